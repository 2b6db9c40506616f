"""The same rows in the form of each protocol, and probabilities out of its answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse

Rows = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]
MODEL: Final = "stack"
"""The model's name, where a protocol asks for one."""


@dataclass(frozen=True)
class Protocol:
    """How a server is asked."""

    transport: str
    """"grpc" or "http"."""
    method: str
    """gRPC's full method, or a path."""
    request: Callable[[Rows], bytes]
    """Write a request of raw rows, float32, shape (n, f)."""
    probabilities: Callable[[bytes], Probabilities]
    """Read an answer: shape (n, k)."""
    ready: str = ""
    """Path that answers 200 once the server can answer; empty where a server refuses until then."""


def _predict_request(rows: Rows) -> bytes:
    return PredictRequest(rows=to_matrix(rows)).SerializeToString()


def _predict_response(answer: bytes) -> Probabilities:
    return np.asarray(from_matrix(PredictResponse.FromString(answer).probabilities), np.float64)


def _infer_request(rows: Rows) -> bytes:
    tensor = oip.ModelInferRequest.InferInputTensor(name="rows", datatype="FP32", shape=rows.shape)
    request = oip.ModelInferRequest(model_name=MODEL, inputs=[tensor], raw_input_contents=[_bytes(rows)])
    return request.SerializeToString()


def _infer_response(answer: bytes) -> Probabilities:
    response = oip.ModelInferResponse.FromString(answer)
    (output,) = response.outputs
    if response.raw_output_contents:
        kinds = {"FP32": "<f4", "FP64": "<f8"}
        values: Any = np.frombuffer(response.raw_output_contents[0], kinds[output.datatype])
    else:
        values = np.asarray(output.contents.fp64_contents or output.contents.fp32_contents)
    return np.asarray(values, np.float64).reshape(tuple(output.shape))


def _json_request(rows: Rows) -> bytes:
    return json.dumps({"rows": rows.tolist()}).encode()


def _json_response(answer: bytes) -> Probabilities:
    return np.asarray(json.loads(answer)["probabilities"], np.float64)


def _bytes(rows: Rows) -> bytes:
    return np.ascontiguousarray(rows, "<f4").tobytes()


PREDICT: Final = Protocol("grpc", "/genrestack.v1.PredictionService/Predict", _predict_request, _predict_response)
OPEN_INFERENCE: Final = Protocol("grpc", "/inference.GRPCInferenceService/ModelInfer", _infer_request, _infer_response)
JSON: Final = Protocol("http", "/predict", _json_request, _json_response, ready="/health")
