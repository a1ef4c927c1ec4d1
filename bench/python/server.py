"""FastAPI, uvicorn and onnxruntime serving the Open Inference Protocol's infer call, as a team would write it today.

Run by `server.ts`, beside which it is measured: `server.py MODEL_NAME MODEL_PATH PORT plain|orjson`. `plain` is
FastAPI as its tutorial shows it, with pydantic models in and out; `orjson` does all that is commonly advised for speed:
the raw body through orjson, and no models. One worker, one engine thread, no access log, uvloop and httptools.
"""

import sys
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel

NUMPY = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_}
DATATYPES = {np.dtype(kind): name for name, kind in NUMPY.items()}


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferRequest(BaseModel):
    id: str | None = None
    inputs: list[Tensor]


class InferResponse(BaseModel):
    model_name: str
    id: str | None = None
    outputs: list[Tensor]


def load(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def application(name: str, path: str, variant: str) -> FastAPI:
    session = load(path)
    names = [output.name for output in session.get_outputs()]
    app = FastAPI(openapi_url=None)

    def array(datatype: str, shape: list[int], data: list[Any]) -> np.ndarray:
        if datatype not in NUMPY:
            raise HTTPException(400, f"datatype {datatype} is not served")
        return np.array(data, dtype=NUMPY[datatype]).reshape(shape)

    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    # The handlers are coroutines: a run takes microseconds, less than a hop to the thread pool.
    if variant == "plain":

        @app.post(f"/v2/models/{name}/infer")
        async def infer(request: InferRequest) -> InferResponse:
            feeds = {tensor.name: array(tensor.datatype, tensor.shape, tensor.data) for tensor in request.inputs}
            results = session.run(None, feeds)
            outputs = [
                Tensor(name=name, shape=list(result.shape), datatype=DATATYPES[result.dtype], data=result.ravel().tolist())
                for name, result in zip(names, results)
            ]
            return InferResponse(model_name=name, id=request.id, outputs=outputs)

    else:

        @app.post(f"/v2/models/{name}/infer")
        async def infer_orjson(request: Request) -> Response:
            body = orjson.loads(await request.body())
            feeds = {tensor["name"]: array(tensor["datatype"], tensor["shape"], tensor["data"]) for tensor in body["inputs"]}
            results = session.run(None, feeds)
            outputs = [
                {"name": name, "shape": result.shape, "datatype": DATATYPES[result.dtype], "data": result.ravel()}
                for name, result in zip(names, results)
            ]
            answer = {"model_name": name, "id": body.get("id"), "outputs": outputs}
            return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    return app


def main() -> None:
    name, path, port, variant = sys.argv[1:5]
    if variant not in ("plain", "orjson"):
        sys.exit(f"variant {variant} is neither plain nor orjson")
    uvicorn.run(
        application(name, path, variant),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
