"""Trains the demo's models on scikit-learn's real data sets and exports them to ONNX, with rows no model has seen.

Every model takes `x` FP32 [N, features] and gives `label` INT64 [N] and `probabilities` FP32 [N, classes].
Seeds are fixed and the training is single-threaded, so the same requirements give the same bytes on one machine.
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

SEED = 20240501
OPSET = {"": 18, "ai.onnx.ml": 3}
HERE = pathlib.Path(__file__).parent


def export(name, classifier, features):
    """Writes `name`.onnx and returns its bytes, with outputs named and typed as the Open Inference Protocol shows them."""
    model = to_onnx(
        classifier,
        initial_types=[("x", FloatTensorType([None, features]))],
        options={id(classifier): {"zipmap": False, "output_class_labels": False}},
        target_opset=OPSET,
    )
    rename = {model.graph.output[0].name: "label", model.graph.output[1].name: "probabilities"}
    for node in model.graph.node:
        node.output[:] = [rename.get(value, value) for value in node.output]
        node.input[:] = [rename.get(value, value) for value in node.input]
    for output in model.graph.output:
        output.name = rename[output.name]
    assert [output.type.tensor_type.elem_type for output in model.graph.output] == [TensorProto.INT64, TensorProto.FLOAT]
    model.graph.name = name
    domains = {opset.domain: opset for opset in model.opset_import}
    opsets = [onnx.helper.make_opsetid(domain, opset.version) for domain, opset in sorted(domains.items())]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    onnx.checker.check_model(model)
    content = model.SerializeToString(deterministic=True)
    (HERE / f"{name}.onnx").write_bytes(content)
    return content


def predictions(content, rows):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["label", "probabilities"], {"x": rows})


def build(data_set, bunch, classifiers, held_out_rows):
    """Trains each classifier on the same rows and writes held-out rows with true labels and expected answers."""
    rows = bunch.data.astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        rows, bunch.target, test_size=0.25, random_state=SEED, stratify=bunch.target
    )
    kept = slice(0, held_out_rows)
    models = {}
    for name, classifier in classifiers.items():
        classifier.fit(train_x, train_y)
        content = export(name, classifier, rows.shape[1])
        labels, probabilities = predictions(content, test_x)
        exact = classifier.predict_proba(test_x)
        assert np.abs(exact - probabilities).max() < 1e-5, name
        assert (classifier.predict(test_x) == labels).all(), name
        models[name] = {
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "sizeBytes": len(content),
            "heldOutAccuracy": round(float((labels == test_y).mean()), 4),
            "expected": {
                "label": labels[kept].tolist(),
                "probabilities": [[float(np.float32(p)) for p in row] for row in probabilities[kept]],
            },
        }
    data = {
        "dataSet": data_set,
        "features": [str(name) for name in bunch.feature_names],
        "classes": [str(name) for name in bunch.target_names],
        "rows": [[float(value) for value in row] for row in test_x[kept]],
        "labels": test_y[kept].tolist(),
        "expected": {name: model.pop("expected") for name, model in models.items()},
    }
    (HERE / f"{data_set}.json").write_text(compact(data))
    return models


def compact(data):
    """JSON with one row a line: small, and readable in a diff."""
    lines = []
    for key, value in data.items():
        if key == "rows":
            rows = ",\n    ".join(json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f'  "{key}": [\n    {rows}\n  ]')
        elif key == "expected":
            models = ",\n    ".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items())
            lines.append(f'  "{key}": {{\n    {models}\n  }}')
        else:
            lines.append(f'  "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    models = build(
        "breast-cancer",
        load_breast_cancer(),
        {
            # The first version is worse on purpose: two questions on thirty measurements.
            "breast-cancer-v1": DecisionTreeClassifier(max_depth=2, random_state=SEED),
            "breast-cancer-v2": make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000)),
        },
        held_out_rows=64,
    )
    models |= build(
        "digits",
        load_digits(),
        {
            "digits": make_pipeline(
                StandardScaler(), MLPClassifier((32,), max_iter=300, alpha=1e-2, random_state=SEED)
            )
        },
        held_out_rows=32,
    )
    (HERE / "manifest.json").write_text(json.dumps({"models": models}, indent=2) + "\n")


if __name__ == "__main__":
    main()
