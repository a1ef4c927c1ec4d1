"""Makes the small models of the tests: one idea each, so that a failing test says which.

They are written to `tiny/`. `wide-mlp.onnx` is a few hundred bytes whose weights, made by `ConstantOfShape`, take
megabytes once an engine has folded them: reading them costs a single row dear and a row in a batch little.
"""

import hashlib
import json
import pathlib
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

TINY = pathlib.Path(__file__).parent / "tiny"
OPSET = 18
IR_VERSION = 9

DATATYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "string": TensorProto.STRING,
}


def model(name, nodes, inputs, outputs, initializers=(), opset=OPSET):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="fairlead-tests")
    made.ir_version = IR_VERSION
    return made


def value(name, datatype, shape):
    return helper.make_tensor_value_info(name, datatype, shape)


def identity(datatype):
    """Gives back what it is given: `y` is `x`, of any shape of two dimensions."""
    kind = DATATYPES[datatype]
    return model(
        f"identity-{datatype}",
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", kind, ["rows", "columns"])],
        [value("y", kind, ["rows", "columns"])],
    )


def fixed_batch():
    """Takes exactly four rows: requests cannot be batched together."""
    return model(
        "fixed-batch",
        [helper.make_node("Neg", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, [4, 3])],
        [value("y", TensorProto.FLOAT, [4, 3])],
    )


def two_inputs():
    """`sum` is a + b, row by row."""
    return model(
        "two-inputs",
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        [value("a", TensorProto.FLOAT, ["rows", 2]), value("b", TensorProto.FLOAT, ["rows", 2])],
        [value("sum", TensorProto.FLOAT, ["rows", 2])],
    )


def several_outputs():
    """The two greatest values of a row, where they stand, and the row's mean."""
    return model(
        "several-outputs",
        [
            helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.array([2], np.int64))),
            helper.make_node("TopK", ["x", "k"], ["values", "indices"], axis=1),
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        ],
        [value("x", TensorProto.FLOAT, ["rows", 4])],
        [
            value("values", TensorProto.FLOAT, ["rows", 2]),
            value("indices", TensorProto.INT64, ["rows", 2]),
            value("mean", TensorProto.FLOAT, ["rows"]),
        ],
        [numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )


def batch_mean():
    """Takes the mean over the rows, so a batch's answer is not its rows' answers: a model that must not be batched."""
    return model(
        "batch-mean",
        [helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0)],
        [value("x", TensorProto.FLOAT, ["rows", 2])],
        [value("mean", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.array([0], np.int64), "axes")],
    )


def batch_scale():
    """Rounds to 127 steps of the greatest value of all rows: a row beside a great one rounds to nothing.

    Rows of like values do not show it: the scale changes, the label does not.
    """
    return model(
        "batch-scale",
        [
            helper.make_node("Abs", ["x"], ["magnitude"]),
            helper.make_node("ReduceMax", ["magnitude"], ["greatest"], keepdims=0),
            helper.make_node("Div", ["greatest", "levels"], ["step"]),
            helper.make_node("Div", ["x", "step"], ["steps"]),
            helper.make_node("Round", ["steps"], ["rounded"]),
            helper.make_node("ReduceSum", ["rounded", "axes"], ["sum"], keepdims=0),
            helper.make_node("Greater", ["sum", "zero"], ["positive"]),
            helper.make_node("Cast", ["positive"], ["label"], to=TensorProto.INT64),
        ],
        [value("x", TensorProto.FLOAT, ["rows", 4])],
        [value("label", TensorProto.INT64, ["rows"])],
        [
            numpy_helper.from_array(np.array(127, np.float32), "levels"),
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )


def dynamic_quantised():
    """What onnxruntime's `quantize_dynamic` makes of a linear classifier: one scale for the activations of all rows."""
    plain = model(
        "dynamic-quantised",
        [
            helper.make_node("MatMul", ["x", "w"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        [value("x", TensorProto.FLOAT, ["rows", 4])],
        [value("label", TensorProto.INT64, ["rows"])],
        [numpy_helper.from_array(np.array([[-1, 1]] * 4, np.float32), "w")],
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "plain.onnx"), pathlib.Path(folder, "quantised.onnx")
        onnx.save(plain, source)
        quantize_dynamic(source, target)
        return onnx.load(target)


def quantised_in_branch():
    """Quantises dynamically out of sight: in a function of the model's own, called from a branch of an `If`."""
    branches = {}
    for branch, op_type, domain in [("then", "Quantise", "tests"), ("else", "Identity", "")]:
        call = helper.make_node(op_type, ["x"], [f"{branch}_y"], domain=domain)
        branches[f"{branch}_branch"] = helper.make_graph(
            [call], branch, [], [value(f"{branch}_y", TensorProto.FLOAT, ["rows", 4])]
        )
    opset = helper.make_opsetid("", OPSET)
    quantise = helper.make_function(
        "tests",
        "Quantise",
        ["a"],
        ["b"],
        [
            helper.make_node("DynamicQuantizeLinear", ["a"], ["quantised", "scale", "zero"]),
            helper.make_node("DequantizeLinear", ["quantised", "scale", "zero"], ["b"]),
        ],
        [opset],
    )
    made = model(
        "quantised-in-branch",
        [
            helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
            helper.make_node("Squeeze", ["rows"], ["count"]),
            helper.make_node("Greater", ["count", "zero"], ["some"]),
            helper.make_node("If", ["some"], ["y"], **branches),
        ],
        [value("x", TensorProto.FLOAT, ["rows", 4])],
        [value("y", TensorProto.FLOAT, ["rows", 4])],
        [numpy_helper.from_array(np.array(0, np.int64), "zero")],
    )
    made.opset_import.append(helper.make_opsetid("tests", 1))
    made.functions.append(quantise)
    return made


def prototype_names():
    """Names its tensors as every object of JavaScript names its own properties."""
    return model(
        "prototype-names",
        [
            helper.make_node("Neg", ["__proto__"], ["constructor"]),
            helper.make_node("Neg", ["toString"], ["valueOf"]),
        ],
        [value("__proto__", TensorProto.FLOAT, ["rows", 2]), value("toString", TensorProto.FLOAT, ["rows", 2])],
        [value("constructor", TensorProto.FLOAT, ["rows", 2]), value("valueOf", TensorProto.FLOAT, ["rows", 2])],
    )


def prototype_output():
    """Gives a tensor named `__proto__`."""
    return model(
        "prototype-output",
        [helper.make_node("Neg", ["x"], ["__proto__"]), helper.make_node("Abs", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, ["rows", 2])],
        [value("__proto__", TensorProto.FLOAT, ["rows", 2]), value("y", TensorProto.FLOAT, ["rows", 2])],
    )


def sequence_output():
    """Gives a sequence, as a classifier exported with zipmap does; the protocol knows tensors only."""
    return model(
        "sequence-output",
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )


def wide_mlp(width=512, layers=8):
    """30 features through `layers` layers of `width`: weights of width * width * 4 bytes a layer."""
    nodes, initializers, last, last_width = [], [], "x", 30
    for index in range(layers):
        shape = numpy_helper.from_array(np.array([last_width, width], np.int64), f"shape{index}")
        initializers.append(shape)
        fill = numpy_helper.from_array(np.array([1 / last_width], np.float32))
        nodes += [
            helper.make_node("ConstantOfShape", [f"shape{index}"], [f"w{index}"], value=fill),
            helper.make_node("MatMul", [last, f"w{index}"], [f"h{index}"]),
            helper.make_node("Relu", [f"h{index}"], [f"a{index}"]),
        ]
        last, last_width = f"a{index}", width
    initializers.append(numpy_helper.from_array(np.array([0], np.int64), "from"))
    initializers.append(numpy_helper.from_array(np.array([2], np.int64), "to"))
    initializers.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    nodes.append(helper.make_node("Slice", [last, "from", "to", "axis"], ["y"]))
    return model(
        "wide-mlp",
        nodes,
        [value("x", TensorProto.FLOAT, ["rows", 30])],
        [value("y", TensorProto.FLOAT, ["rows", 2])],
        initializers,
    )


def external_weights():
    """A model whose weights lie in a file beside it, as large models' do; returns the model and that file's bytes."""
    weights = np.arange(6, dtype=np.float32).reshape(3, 2)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=weights.shape, data_location=TensorProto.EXTERNAL)
    for key, entry in {"location": "weights.bin", "offset": "0", "length": str(weights.nbytes)}.items():
        tensor.external_data.add(key=key, value=entry)
    made = model(
        "external-weights",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", TensorProto.FLOAT, ["rows", 3])],
        [value("y", TensorProto.FLOAT, ["rows", 2])],
        [tensor],
    )
    return made, weights.tobytes()


def main():
    files = {f"identity-{datatype}.onnx": identity(datatype) for datatype in DATATYPES}
    files |= {
        "fixed-batch.onnx": fixed_batch(),
        "two-inputs.onnx": two_inputs(),
        "several-outputs.onnx": several_outputs(),
        "batch-mean.onnx": batch_mean(),
        "batch-scale.onnx": batch_scale(),
        "dynamic-quantised.onnx": dynamic_quantised(),
        "quantised-in-branch.onnx": quantised_in_branch(),
        "prototype-names.onnx": prototype_names(),
        "prototype-output.onnx": prototype_output(),
        "sequence-output.onnx": sequence_output(),
        "wide-mlp.onnx": wide_mlp(),
    }
    for made in files.values():
        checker.check_model(made, full_check=True)
    files["wrong-opset.onnx"] = model(
        "wrong-opset",
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, ["rows", 2])],
        [value("y", TensorProto.FLOAT, ["rows", 2])],
        opset=999,
    )
    contents = {name: made.SerializeToString(deterministic=True) for name, made in files.items()}
    made, weights = external_weights()
    contents["external-weights/model.onnx"] = made.SerializeToString(deterministic=True)
    contents["external-weights/weights.bin"] = weights

    sums = {}
    for name, content in sorted(contents.items()):
        path = TINY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    (TINY / "manifest.json").write_text(json.dumps(sums, indent=2) + "\n")


if __name__ == "__main__":
    main()
