"""Logs ONNX models to an MLflow tracking server, each as the next version of a registered model.

Usage: log_models.py TRACKING_URI NAME MODEL.onnx...   Prints one line of JSON: the versions.
"""

import json
import sys

import mlflow
import onnx

uri, name, *paths = sys.argv[1:]
mlflow.set_tracking_uri(uri)
versions = []
for path in paths:
    with mlflow.start_run():
        info = mlflow.onnx.log_model(
            onnx.load(path), name="model", registered_model_name=name, pip_requirements=["onnx"]
        )
        versions.append(str(info.registered_model_version))
print(json.dumps(versions))
