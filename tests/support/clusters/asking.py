"""A cluster of two nodes with a repository of tiny models, and ways to ask what Ray Serve answers there."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import psutil
import ray
from google.rpc import status_pb2
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve._private import api as serve_api
from server.bundles.tiny import TinyStack, draw_rows
from server.http.asking import INFER, Http, in_bytes, in_json

from genrestack import AsyncClient, Client, GenreStackError
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

FILE = Path(__file__).resolve().parents[3] / "deploy" / "ray" / "serve.yaml"
PORT = 50077
HTTP_PORT = 50078
TARGET = f"127.0.0.1:{PORT}"
PATIENCE_S = 600.0
SLOW = 3000
"""Products for each row of the model `slow`: about half a second."""
STACKS = {"tiny": TinyStack.draw(0), "second": TinyStack.draw(1), "third": TinyStack.draw(2), "slow": TinyStack.draw(3)}
Seen = dict[str, Any]


@contextmanager
def two_nodes(function: str) -> Iterator[tuple[Any, Any]]:
    """Start a cluster of two nodes with room for one replica each, and Serve on it."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    # Serve itself gives a proxy a minute, and has no setting for it.
    serve_api.HTTP_PROXY_TIMEOUT = PATIENCE_S
    # Both nodes have the same address here, and so one proxy between them.
    options = {"port": PORT, "grpc_servicer_functions": [f"genrestack_server.ray_app.{function}"]}
    serve.start(proxy_location="HeadOnly", grpc_options=options, http_options={"host": "127.0.0.1", "port": HTTP_PORT})
    try:
        yield cluster, other
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def replicas() -> dict[int, psutil.Process]:
    """Processes of replicas that this one's cluster runs."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[0].startswith("ray::ServeReplica"):
                found[process.pid] = process
        except (psutil.Error, IndexError):
            continue
    return found


def until(what: Callable[[], object]) -> None:
    """Wait for something to come true, and fail if it does not."""
    end = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def difference(client: Client, model: str, seed: int) -> float:
    """Ask for some rows; return how far the answer is from the reference's."""
    rows = draw_rows(1 + seed % 7, seed=seed)
    answer = client.predict(rows, model=model).probabilities
    return float(np.abs(answer - STACKS[model].predict_proba(rows)).max())


class Load:
    """Callers that ask until they are told to stop."""

    def __init__(self, callers: int = 6) -> None:
        self._stop = Event()
        self._pool = ThreadPoolExecutor(callers)
        self.answered = 0
        self._client = Client(TARGET, timeout=PATIENCE_S)
        self._done = [self._pool.submit(self._ask, number * 10_000) for number in range(callers)]

    def _ask(self, seed: int) -> float:
        worst = 0.0
        while not self._stop.is_set():
            worst = max(worst, difference(self._client, "tiny", seed))
            seed += 1
            self.answered += 1
        return worst

    def more(self, calls: int) -> None:
        """Wait until that many more were answered; a caller that failed ends the waiting."""
        goal = self.answered + calls
        until(lambda: self.answered >= goal or any(done.done() for done in self._done))

    def end(self) -> float:
        """Stop; return the greatest difference from the reference, or raise what a caller has met."""
        self._stop.set()
        try:
            return max(done.result(PATIENCE_S) for done in self._done)
        finally:
            self._pool.shutdown(wait=False)
            self._client.close()


Status = tuple[str, str, list[str]]


def status_of(stub: Any, request: Any, method: str = "Predict", *metadata: tuple[str, str]) -> Status:
    """Code, text and details with which a request is refused."""
    try:
        getattr(stub, method)(request, timeout=PATIENCE_S, metadata=metadata)
    except grpc.RpcError as error:
        call: Any = error
        details = dict(call.trailing_metadata()).get("grpc-status-details-bin", b"")
        said = status_pb2.Status.FromString(details)
        return call.code().name, call.details(), [said.message, *(detail.type_url for detail in said.details)]
    return "OK", "", []


def refusals(target: str) -> dict[str, Status]:
    """What becomes of requests that cannot be answered."""
    rows = draw_rows(3)
    broken = rows.copy()
    broken[1, 2] = np.nan
    with grpc.insecure_channel(target) as channel:
        stub = PredictionServiceStub(channel)
        ask = partial(status_of, stub)
        raw: Any = channel.unary_unary("/genrestack.v1.PredictionService/Predict")
        return {
            "columns": ask(pb.PredictRequest(rows=to_matrix(rows[:, 1:]), model="tiny")),
            "NaN": ask(pb.PredictRequest(rows=to_matrix(broken), model="tiny")),
            "none": ask(pb.PredictRequest(model="tiny")),
            "rows": ask(pb.PredictRequest(rows=to_matrix(draw_rows(1001)), model="tiny")),
            "model": ask(pb.PredictRequest(rows=to_matrix(rows), model="gone")),
            "version": ask(pb.GetModelRequest(model="tiny", version=7), "GetModel"),
            "priority": ask(pb.PredictRequest(rows=to_matrix(rows)), "Predict", ("genrestack-priority", "odd")),
            "bytes": status_of(_Raw(raw), b"\xff\xff"),
        }


def by_http(port: int) -> dict[str, Any]:
    """What is answered by HTTP, but for what tells one request or server from another: ids, the time."""
    rows = draw_rows(300, seed=5)
    documents = {
        "json": in_json(rows[:2], "label", "probabilities"),
        "columns": in_json(rows[:, 1:]),
        "output": in_json(rows, "gone"),
        "deadline": in_json(rows, parameters={"timeout": "soon"}),
    }
    http = Http(port)
    try:
        http.get("/v2/health/ready")
        answers = {
            **{name: http.infer(document) for name, document in documents.items()},
            "bytes": http.infer_binary(*in_bytes(rows, "probabilities", "probabilities.left")),
            "NaN": http.ask("POST", INFER, '{"inputs": [{"name": "features", "data": [NaN]}]}'),
            "model": http.infer(documents["json"], INFER.replace("tiny", "gone")),
            "version": http.infer(documents["json"], INFER.replace("tiny", "tiny/versions/7")),
            "metadata": http.get("/v2/models/tiny"),
            "ready": http.get("/v2/models/tiny/versions/1/ready"),
            "index": http.post("/v2/repository/index"),
            "path": http.get("/v2/gone"),
            "method": http.get(INFER),
        }
    finally:
        http.connection.close()
    return {name: [answer.status, _comparable(answer.body)] for name, answer in answers.items()}


def closed_by_http() -> list[Any]:
    """Calls that one replica would obey and the others not."""
    http = Http(HTTP_PORT)
    try:
        answer = http.post("/v2/repository/models/tiny/unload")
    finally:
        http.connection.close()
    return [answer.status, answer.document["error"]]


def _comparable(body: bytes) -> str:
    return re.sub(r'"request_id": ?"[^"]*"', "", body.decode("latin-1"))


class _Raw:
    """Sends bytes."""

    def __init__(self, method: Any) -> None:
        self.Predict = method


def error_of(call: Callable[[], object]) -> tuple[str, str]:
    try:
        call()
    except GenreStackError as error:
        return type(error).__name__, str(error)
    return "", ""


async def streamed(batches: list[Any]) -> list[Any]:
    async with AsyncClient(TARGET, timeout=PATIENCE_S) as client:
        return [answer.probabilities async for answer in client.predict_stream(batches, model="tiny")]
