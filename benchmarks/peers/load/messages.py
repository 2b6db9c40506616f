"""The same rows in the form of each protocol, and probabilities out of its answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
_READY: Final = "/v2/health/ready"
_KINDS: Final = {"FP32": "<f4", "FP64": "<f8"}
_LENGTH: Final = "Inference-Header-Content-Length"


def _as_json(request: bytes) -> Mapping[str, str]:  # noqa: ARG001 - one signature for all
    return {"Content-Type": "application/json"}


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
    headers: Callable[[bytes], Mapping[str, str]] = _as_json
    """HTTP's headers of a request."""


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
        values: Any = np.frombuffer(response.raw_output_contents[0], _KINDS[output.datatype])
    else:
        values = np.asarray(output.contents.fp64_contents or output.contents.fp32_contents)
    return np.asarray(values, np.float64).reshape(tuple(output.shape))


def _json_request(rows: Rows) -> bytes:
    return json.dumps({"rows": rows.tolist()}).encode()


def _json_response(answer: bytes) -> Probabilities:
    return np.asarray(json.loads(answer)["probabilities"], np.float64)


def _infer_document(rows: Rows, outputs: Sequence[Any], **tensor: Any) -> bytes:
    # The tensor's name is what our server asks for; MLServer takes any.
    inputs = [{"name": "features", "datatype": "FP32", "shape": rows.shape, **tensor}]
    return json.dumps({"inputs": inputs, **({"outputs": outputs} if outputs else {})}).encode()


def _infer_json_request(rows: Rows, output: str = "") -> bytes:
    return _infer_document(rows, [{"name": output}] if output else [], data=rows.ravel().tolist())


def _infer_bytes_request(rows: Rows, output: str) -> bytes:
    data = _bytes(rows)
    wanted = [{"name": output, "parameters": {"binary_data": True}}]
    return _infer_document(rows, wanted, parameters={"binary_data_size": len(data)}) + data


def _infer_http_response(answer: bytes) -> Probabilities:
    document, length = _document(answer)
    (output,) = document["outputs"]
    values: Any = output["data"] if "data" in output else np.frombuffer(answer[length:], _KINDS[output["datatype"]])
    return np.asarray(values, np.float64).reshape(output["shape"])


def _document(message: bytes) -> tuple[dict[str, Any], int]:
    """Read the JSON that a message begins with; return where it ends as well, for bytes may follow."""
    document, length = json.JSONDecoder().raw_decode(message.decode("latin-1"))
    return document, length


def _with_bytes(request: bytes) -> Mapping[str, str]:
    return {"Content-Type": "application/octet-stream", _LENGTH: str(_document(request)[1])}


def _bytes(rows: Rows) -> bytes:
    return np.ascontiguousarray(rows, "<f4").tobytes()


PREDICT: Final = Protocol("grpc", "/genrestack.v1.PredictionService/Predict", _predict_request, _predict_response)
OPEN_INFERENCE: Final = Protocol("grpc", "/inference.GRPCInferenceService/ModelInfer", _infer_request, _infer_response)
JSON: Final = Protocol("http", "/predict", _json_request, _json_response, ready="/health")


def infer_as_json(model: str, output: str = "") -> Protocol:
    """Ask a model by the Open Inference Protocol over HTTP, in JSON; for one output, or for what it answers unasked."""
    return Protocol("http", _path(model), partial(_infer_json_request, output=output), _infer_http_response, _READY)


def infer_as_bytes(model: str, output: str) -> Protocol:
    """Ask a model by the Open Inference Protocol over HTTP, with Triton's binary tensor extension."""
    request = partial(_infer_bytes_request, output=output)
    return Protocol("http", _path(model), request, _infer_http_response, _READY, _with_bytes)


def _path(model: str) -> str:
    return f"/v2/models/{model}/infer"
