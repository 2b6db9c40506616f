"""What Ray Serve answers on a cluster of two nodes, one of whose replicas, and then nodes, is lost under load.

`python -m support.ray_serving PART FOLDER` writes what it saw to FOLDER/seen.json. The cluster binds to the machine's
own address, and its proxy to every interface: run it in a network namespace that has no other than loopback.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import psutil
import ray
import yaml
from google.rpc import status_pb2
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.schema import ServeDeploySchema
from server.live import running_server
from server.tiny_bundle import TinyStack, draw_rows, write_tiny

from genrestack import AsyncClient, Client, GenreStackError, RetryOptions
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server.ray_app import app
from genrestack_server.ray_app.config import read

FILE = Path(__file__).resolve().parents[2] / "deploy" / "ray" / "serve.yaml"
PORT = 50077
TARGET = f"127.0.0.1:{PORT}"
PATIENCE_S = 120.0
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
    # Both nodes have the same address here, and so one proxy between them.
    options = {"port": PORT, "grpc_servicer_functions": [f"genrestack_server.ray_app.{function}"]}
    serve.start(proxy_location="HeadOnly", grpc_options=options)
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
        """Wait until so many more were answered; a caller that failed ends the waiting."""
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


def look_around(seen: Seen, models: Path) -> None:
    """Ask everything that a client can ask."""
    import asyncio

    rows = draw_rows(9)
    with Client(TARGET, timeout=PATIENCE_S) as client:
        client.wait_until_ready(PATIENCE_S)
        whole = client.predict(rows, model="tiny", base=True)
        seen["difference"] = max(
            float(np.abs(whole.probabilities - STACKS["tiny"].predict_proba(rows)).max()),
            *(float(np.abs(whole.base[part] - table).max()) for part, table in STACKS["tiny"].base(rows).items()),
        )
        seen["models"] = [(model.name, model.version, model.state) for model in client.models()]
        seen["features"] = [feature.name for feature in client.model("tiny").features]
        seen["health"] = [client.health(), client.health("tiny"), client.health("tiny", 1), client.health("gone")]
        batches = np.array_split(draw_rows(400), 40)
        want = [STACKS["tiny"].predict_proba(batch) for batch in batches]
        blocking = [answer.probabilities for answer in client.predict_stream(batches, model="tiny")]
        awaited = asyncio.run(streamed(batches))
        seen["stream difference"] = max(
            float(np.abs(answer - wanted).max())
            for answers in (blocking, awaited)
            for answer, wanted in zip(answers, want, strict=True)
        )
        outcomes = client.predict_stream([rows, rows[:, 1:], rows], model="tiny", on_error="return")
        seen["stream outcomes"] = [type(outcome).__name__ for outcome in outcomes]
    with running_server(models, max_rows=1000) as plain:
        seen["refusals"] = ours = refusals(TARGET)
        theirs = refusals(f"127.0.0.1:{plain.port}")
        seen["refusals differ"] = {name: theirs[name] for name in theirs if theirs[name] != ours[name]}


def lose_a_replica(seen: Seen) -> None:
    """Kill one of two replicas under load; nobody may notice."""
    load = Load()
    load.more(100)
    before = replicas()
    os.kill(next(iter(before)), signal.SIGKILL)
    load.more(300)
    until(lambda: len(replicas().keys() - before.keys()) == 1)
    load.more(100)
    seen["difference through the loss of a replica"] = load.end()


def lose_a_request(seen: Seen) -> None:
    """Kill every replica while one of them computes: what its caller hears, who does not try again."""
    once = RetryOptions(attempts=1)
    with Client(TARGET, timeout=PATIENCE_S, retry=once) as client, ThreadPoolExecutor(1) as pool:
        slow: Future[Any] = pool.submit(error_of, lambda: client.predict(draw_rows(64), model="slow"))
        before = replicas()
        until(lambda: any(process.cpu_percent(0.2) > 20 for process in before.values()) or slow.done())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        seen["lost with its replica"] = slow.result(PATIENCE_S)
        until(lambda: len(replicas().keys() - before.keys()) == 2)
    with Client(TARGET, timeout=PATIENCE_S) as client:
        seen["difference after the loss of all"] = difference(client, "tiny", 1)


def lose_a_node(seen: Seen, cluster: Any, node: Any) -> None:
    """Take a node away under load; nobody may notice."""
    load = Load()
    load.more(100)
    cluster.remove_node(node, allow_graceful=False)
    load.more(500)
    seen["difference through the loss of a node"] = load.end()
    seen["nodes left"] = len(cluster.list_all_nodes())


def deployed(models: Path) -> dict[str, Any]:
    """Read the configuration file that the project has, for this repository and port."""
    config: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    config["grpc_options"]["port"] = PORT
    (application,) = config["applications"]
    application["args"]["models_dir"] = str(models)
    return config


def smoke(folder: Path, seen: Seen) -> None:
    """Two nodes, every call, every kind of refusal, and the loss of a replica."""
    models = repository(folder, "tiny")
    schema = ServeDeploySchema.model_validate(deployed(models))
    seen["file"] = [schema.applications[0].import_path, read(schema.applications[0].args)[1].models_dir == models]
    with two_nodes("add_prediction_service"):
        serve.run(app({"models_dir": str(models), "min_replicas": "2", "max_replicas": "2", "max_rows": 1000}))
        look_around(seen, models)
        lose_a_replica(seen)


def losses(folder: Path, seen: Seen) -> None:
    """What may be lost, lost."""
    models = repository(folder, "tiny", "slow")
    with two_nodes("add_prediction_service") as (cluster, other):
        serve.run(app({"models_dir": str(models), "min_replicas": 2, "max_replicas": 2, "default_model": "tiny"}))
        for _ in range(3):
            lose_a_replica(seen)
        lose_a_request(seen)
        lose_a_node(seen, cluster, other)


def multiplexed(folder: Path, seen: Seen) -> None:
    """Three models for replicas that hold two each."""
    models = repository(folder, "tiny", "second", "third")
    with two_nodes("add_multiplexed_prediction_service"):
        arguments = {"models_dir": str(models), "max_replicas": 1, "models_per_replica": 2, "default_model": "tiny"}
        serve.run(app(arguments))
        with Client(TARGET, timeout=PATIENCE_S) as client:
            ask = partial(difference, client)
            seen["differences"] = [ask(model, seed) for seed in range(4) for model in ("tiny", "second", "third")]
            seen["by default"] = client.predict(draw_rows(1)).model
            seen["states"] = {model.name: model.state for model in client.models()}
            seen["described"] = [client.model(model).name for model in ("second", "third", "tiny")]
            seen["health"] = [client.health(), client.health("third"), client.health("gone")]
            seen["unknown"] = error_of(lambda: client.predict(draw_rows(1), model="gone"))
            write_tiny(models, "tiny", STACKS["second"])
            until(lambda: client.model("tiny").version == 2)
            bad = write_tiny(models, "bad", STACKS["tiny"], answers=STACKS["second"])
            seen["refused"] = error_of(lambda: client.predict(draw_rows(1), model="bad"))
            seen["refused again"] = error_of(lambda: client.predict(draw_rows(1), model="bad"))
            assert bad.is_dir()
        with grpc.insecure_channel(TARGET) as channel:
            request = pb.PredictRequest(rows=to_matrix(draw_rows(1)))
            by_metadata = PredictionServiceStub(channel).Predict(
                request, metadata=(("multiplexed_model_id", "third"),), timeout=PATIENCE_S
            )
            seen["by metadata"] = by_metadata.model


def scaled(folder: Path, seen: Seen) -> None:
    """More replicas under load."""
    models = repository(folder, "tiny")
    with two_nodes("add_prediction_service"):
        serve.run(app({"models_dir": str(models), "max_replicas": "2", "target_ongoing_requests": "1"}))
        seen["replicas at first"] = len(replicas())
        load = Load()
        until(lambda: len(replicas()) == 2)
        load.more(100)
        seen["difference"] = load.end()


def command(folder: Path, seen: Seen) -> None:
    """The documented command, on a cluster that it starts itself."""
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(deployed(repository(folder, "tiny"))), encoding="utf-8")
    # Its lines would be taken for this process's.
    with (folder / "said").open("w", encoding="utf-8") as said:
        running = subprocess.Popen(
            [str(Path(sys.executable).parent / "serve"), "run", str(file)], stdout=said, stderr=said
        )
        try:
            with Client(TARGET, timeout=PATIENCE_S) as client:
                client.wait_until_ready(PATIENCE_S)
                seen["difference"] = difference(client, "tiny", 5)
        finally:
            running.send_signal(signal.SIGINT)
            seen["status"] = running.wait(PATIENCE_S)


def repository(folder: Path, *names: str) -> Path:
    for name in names:
        write_tiny(folder / "models", name, STACKS[name], slow=SLOW if name == "slow" else 0)
    return folder / "models"


def main(part: str, folder: Path) -> None:
    """Look at a cluster and write down what is seen."""
    seen: Seen = {}
    parts = {"smoke": smoke, "losses": losses, "multiplexed": multiplexed, "scaled": scaled, "command": command}
    parts[part](folder, seen)
    (folder / "seen.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
