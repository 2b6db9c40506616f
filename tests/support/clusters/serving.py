"""What Ray Serve answers on a cluster of two nodes, one of whose replicas, and then nodes, is lost under load.

`python -m support.clusters.serving PART FOLDER` writes what it saw to FOLDER/seen.json. The cluster binds to the
machine's own address, and its proxy to every interface: run it in a network namespace that has no other than loopback.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import yaml
from ray import serve
from ray.serve.schema import ServeDeploySchema
from server.bundles.tiny import draw_rows, write_tiny
from server.http.asking import Http, in_json
from server.running.live import running_server

from genrestack import Client, RetryOptions
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server.ray_app import app
from genrestack_server.ray_app.config import read
from support.clusters.asking import (
    FILE,
    HTTP_PORT,
    PATIENCE_S,
    PORT,
    SLOW,
    STACKS,
    TARGET,
    Load,
    Seen,
    by_http,
    closed_by_http,
    difference,
    error_of,
    refusals,
    replicas,
    streamed,
    two_nodes,
    until,
)
from support.interrupts import interruptible


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
    with running_server(models, max_rows=1000, http_port=0) as plain:
        seen["refusals"] = ours = refusals(TARGET)
        theirs = refusals(f"127.0.0.1:{plain.port}")
        seen["refusals differ"] = {name: theirs[name] for name in theirs if theirs[name] != ours[name]}
        assert plain.server is not None
        assert plain.server.http_port is not None
        seen["by HTTP"] = ours_by_http = by_http(HTTP_PORT)
        by_plain = by_http(plain.server.http_port)
        seen["by HTTP differs"] = {name: by_plain[name] for name in by_plain if by_plain[name] != ours_by_http[name]}
        seen["closed by HTTP"] = closed_by_http()


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
        http = Http(HTTP_PORT)
        rows = draw_rows(3)
        for model in ("second", "third", "tiny", "gone"):
            answer = http.infer(in_json(rows, "probabilities"), f"/v2/models/{model}/infer")
            if answer.status == 200:
                gap = np.abs(
                    answer.outputs["probabilities"] - STACKS["second" if model == "tiny" else model].predict_proba(rows)
                )
                seen[f"by HTTP, {model}"] = float(gap.max())
            else:
                seen[f"by HTTP, {model}"] = [answer.status, answer.document["error"]]


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
    # Ray leaves it ignored where it is inherited so, as where the tests run in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(deployed(repository(folder, "tiny"))), encoding="utf-8")
    # Its lines would be taken for this process's.
    with (folder / "said").open("w", encoding="utf-8") as said:
        with interruptible():
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
    """Watch a cluster and record what is seen."""
    seen: Seen = {}
    parts = {"smoke": smoke, "losses": losses, "multiplexed": multiplexed, "scaled": scaled, "command": command}
    parts[part](folder, seen)
    (folder / "seen.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
