"""Makes versions of breast-cancer-v2.onnx that are worse in one way each, as a rollout has to notice it on live traffic.

All load, answer the demo's example (a malignant case) right, and so pass every check before users' requests reach them.
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).parent
# Of the mean radius, the first feature: an eighth of the held-out patients, and none that a server makes up to warm up.
FAILING_RADIUS = (13.4, 13.8)
SLOW_ITERATIONS = 20_000


def constant(name, value, kind=TensorProto.FLOAT, shape=()):
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, shape, value))


def original(graph, output):
    """Gives a new name to what computes `output`, so that a node of ours can answer in its place."""
    hidden = f"true_{output}"
    for node in graph.node:
        node.output[:] = [hidden if value == output else value for value in node.output]
        node.input[:] = [hidden if value == output else value for value in node.input]
    return hidden


def always_malignant(graph):
    """Calls everybody ill."""
    labels = original(graph, "label")
    original(graph, "probabilities")
    graph.node.extend(
        [
            constant("no_label", [0], TensorProto.INT64, (1,)),
            helper.make_node("Mul", [labels, "no_label"], ["label"]),
            helper.make_node("Unsqueeze", ["label", "last_axis"], ["column"]),
            constant("last_axis", [1], TensorProto.INT64, (1,)),
            helper.make_node("Cast", ["column"], ["zeros"], to=TensorProto.FLOAT),
            constant("malignant", [0.9, 0.1], TensorProto.FLOAT, (2,)),
            helper.make_node("Add", ["zeros", "malignant"], ["probabilities"]),
        ]
    )


def failing(graph):
    """Ends in an error for some patients: a text that is no number, where a number is read."""
    probabilities = original(graph, "probabilities")
    low, high = FAILING_RADIUS
    graph.node.extend(
        [
            constant("first", [0], TensorProto.INT64, (1,)),
            helper.make_node("Gather", ["x", "first"], ["radius"], axis=1),
            constant("low", [low]),
            constant("high", [high]),
            helper.make_node("GreaterOrEqual", ["radius", "low"], ["above"]),
            helper.make_node("Less", ["radius", "high"], ["below"]),
            helper.make_node("And", ["above", "below"], ["fails"]),
            constant("nonsense", [b"unknown"], TensorProto.STRING),
            constant("nothing", [b"0"], TensorProto.STRING),
            helper.make_node("Where", ["fails", "nonsense", "nothing"], ["text"]),
            helper.make_node("Cast", ["text"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Add", [probabilities, "number"], ["probabilities"]),
        ]
    )


def slow(graph):
    """Answers the same, some forty milliseconds later."""
    probabilities = original(graph, "probabilities")
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Sin", ["value_in"], ["value_out"]),
        ],
        "wait",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, None),
        ],
    )
    graph.node.extend(
        [
            constant("iterations", [SLOW_ITERATIONS], TensorProto.INT64),
            constant("go", [True], TensorProto.BOOL),
            helper.make_node("Loop", ["iterations", "go", probabilities], ["waited"], body=body),
            constant("none", [0.0]),
            helper.make_node("Mul", ["waited", "none"], ["nothing"]),
            helper.make_node("Add", [probabilities, "nothing"], ["probabilities"]),
        ]
    )


def in_order(graph):
    """Sorts the nodes so that each comes after what it reads."""
    known = {value.name for value in [*graph.input, *graph.initializer]} | {""}
    waiting, ordered = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if set(node.input) <= known]
        assert ready, "a cycle"
        for node in ready:
            waiting.remove(node)
            known |= set(node.output)
        ordered += ready
    del graph.node[:]
    graph.node.extend(ordered)


def main():
    data = json.loads((HERE / "breast-cancer.json").read_text())
    rows = np.array(data["rows"], dtype=np.float32)
    manifest = json.loads((HERE / "manifest.json").read_text())
    for change in (always_malignant, failing, slow):
        name = f"breast-cancer-{change.__name__.replace('_', '-')}"
        model = onnx.load(HERE / "breast-cancer-v2.onnx")
        change(model.graph)
        in_order(model.graph)
        model.graph.name = name
        onnx.checker.check_model(model)
        content = model.SerializeToString(deterministic=True)
        (HERE / f"{name}.onnx").write_bytes(content)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        right = 0
        for row, label in zip(rows, data["labels"]):
            try:
                right += int(session.run(["label"], {"x": row[None]})[0][0] == label)
            except Exception:
                assert change is failing, name
        assert session.run(["label"], {"x": rows[:1]})[0][0] == data["labels"][0], name
        manifest["models"][name] = {
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "sizeBytes": len(content),
            "heldOutAccuracy": round(right / len(rows), 4),
        }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
