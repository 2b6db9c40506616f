"""The Open Inference Protocol three ways: by gRPC, by HTTP with bytes, by HTTP with JSON; 1 and 256 rows."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, slower
from benchmarks.serving.servers import connected, genrestack_server
from genrestack_proto.inference import open_inference_pb2 as pb

_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_GRPC, _BYTES, _JSON = "ModelInfer by gRPC", "HTTP, bytes", "HTTP, JSON"
_WARM_UP: Final = 20
_MANY: Final = 256
# Calls of many rows take longer, so that fewer will do.
_FEWER: Final = 10
_LENGTH: Final = "Inference-Header-Content-Length"

Rows = npt.NDArray[np.float32]
Call = Callable[[Rows], Rows]


def by_http(repository: Path, budget: Budget) -> tuple[Figure, ...]:
    """Time calls in turns; one caller, each call waits for the one before and ends with an array of probabilities."""
    rows = open_only_bundle(repository).golden.rows.astype(np.float32)
    many = np.resize(rows, (_MANY, rows.shape[1]))
    with (
        genrestack_server(repository, http=True) as server,
        connected(server.address) as channel,
        closing(HTTPConnection("127.0.0.1", server.http_port)) as connection,
    ):
        callers = _callers(channel, connection, repository)
        return (
            *_figures(callers, rows[:1], budget.calls),
            *_figures(callers, many, max(1, budget.calls // _FEWER)),
        )


def _figures(callers: Mapping[str, Call], rows: Rows, count: int) -> tuple[Figure, ...]:
    answers = {name: call(rows) for name, call in callers.items()}
    for name, answer in answers.items():
        if not np.array_equal(answer, answers[_GRPC]):
            raise RuntimeError(f"{name} answers otherwise than gRPC")
    times = _in_turns(callers, rows, count)
    what = f"{len(rows)} row{'s' if len(rows) > 1 else ''}"
    baseline = Baseline(f"{_GRPC}, {what}", _median_ms(times[_GRPC]))
    return tuple(
        slower(f"{name}, {what}, p50", _median_ms(times[name]), baseline, note=_p99(times[name]))
        for name in (_BYTES, _JSON)
    )


def _in_turns(callers: Mapping[str, Call], rows: Rows, count: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in callers}
    for _ in range(_WARM_UP + count):
        for name, call in callers.items():
            begun = time.perf_counter()
            call(rows)
            taken[name].append(time.perf_counter() - begun)
    return {name: seconds[_WARM_UP:] for name, seconds in taken.items()}


def _callers(channel: Any, connection: HTTPConnection, repository: Path) -> dict[str, Call]:
    (folder,) = [each for each in repository.iterdir() if each.is_dir()]
    infer: Any = channel.unary_unary(_METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString)
    path = f"/v2/models/{folder.name}/infer"

    def ask(body: bytes, headers: dict[str, str]) -> tuple[bytes, int]:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        length = response.getheader(_LENGTH)
        data = response.read()
        return data, len(data) if length is None else int(length)

    def by_grpc(rows: Rows) -> Rows:
        tensor = pb.ModelInferRequest.InferInputTensor(name="features", datatype="FP32", shape=rows.shape)
        wanted = pb.ModelInferRequest.InferRequestedOutputTensor(name="probabilities")
        raw = [rows.tobytes()]
        request = pb.ModelInferRequest(
            model_name=folder.name, inputs=[tensor], outputs=[wanted], raw_input_contents=raw
        )
        answer = infer(request)
        return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)

    def by_bytes(rows: Rows) -> Rows:
        data = rows.tobytes()
        tensor = _tensor(rows) | {"parameters": {"binary_data_size": len(data)}}
        wanted = {"name": "probabilities", "parameters": {"binary_data": True}}
        text = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
        body, length = ask(text + data, {_LENGTH: str(len(text))})
        (output,) = json.loads(body[:length])["outputs"]
        return np.frombuffer(body[length:], np.float32).reshape(output["shape"])

    def by_json(rows: Rows) -> Rows:
        tensor = _tensor(rows) | {"data": rows.ravel().tolist()}
        body, _ = ask(json.dumps({"inputs": [tensor], "outputs": [{"name": "probabilities"}]}).encode(), {})
        (output,) = json.loads(body)["outputs"]
        return np.array(output["data"], np.float32).reshape(output["shape"])

    return {_GRPC: by_grpc, _BYTES: by_bytes, _JSON: by_json}


def _tensor(rows: Rows) -> dict[str, Any]:
    return {"name": "features", "datatype": "FP32", "shape": rows.shape}


def _median_ms(seconds: list[float]) -> float:
    return 1e3 * statistics.median(seconds)


def _p99(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return ""
    return f"p99 {1e3 * statistics.quantiles(seconds, n=100)[-1]:.2f} ms"
