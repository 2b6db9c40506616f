"""Who takes part: what each one is, with the settings that suit it on these processors."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.contestants.contest import ROOT, threads
from benchmarks.contestants.prepared import Prepared
from benchmarks.peers.contestants.environments import OURS, Environment
from benchmarks.peers.contestants.unpickled import MODEL as MODEL_VARIABLE
from benchmarks.peers.load.messages import (
    JSON,
    MODEL,
    OPEN_INFERENCE,
    PREDICT,
    Protocol,
    infer_as_bytes,
    infer_as_json,
)

REFERENCE: Final = "scikit-learn"
_BATCH = 64
# MLServer sends a batch on after this time though its processes are busy: with less, batches stay small.
_MLSERVER_WAIT_S, _LITSERVE_WAIT_S = 0.02, 0.005


@dataclass(frozen=True)
class Files:
    """What the contestants answer from."""

    prepared: Prepared
    pickle: Path
    """The pipeline of scaler and stack, by joblib."""


@dataclass(frozen=True)
class Place:
    """Where a server is started."""

    environment: Environment
    port: int
    spare: tuple[int, ...]
    """Other ports that are free."""
    folder: Path
    """Empty; its working folder."""


@dataclass(frozen=True)
class Contestant:
    """One column of the table, or the same server asked in another way."""

    key: str
    name: str
    environment: str
    """Its requirements file."""
    named: tuple[str, ...]
    """Distributions whose versions are told."""
    how: str
    """How it runs, and on how many threads, for people."""
    processes: int = 1
    """Processes that compute; the processors are divided among them."""
    protocol: Callable[[Files], Protocol] | None = None
    """None: in process."""
    command: Callable[[Files, Place], list[str]] | None = None
    kind: str = ""
    """Of `in_process`, for one without a server."""
    beside: str = ""
    """Key of the one that is the same server asked by gRPC; where there is one, this one is no column of the table."""
    variables: Callable[[Files, Place], Mapping[str, str]] = field(default=lambda files, place: {})  # noqa: ARG005

    @property
    def ours(self) -> bool:
        """Whether it is GenreStack."""
        return self.environment.startswith(OURS)

    @property
    def threads(self) -> int:
        """Threads that each computing process may use."""
        return max(1, threads() // self.processes)


def surroundings(contestant: Contestant, files: Files, place: Place) -> dict[str, str]:
    """Return the variables of a contestant's process: its share of the processors, no GPU, nothing sent anywhere."""
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    fixed = {"CUDA_VISIBLE_DEVICES": "-1", "ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    inherited = os.environ.get("PYTHONPATH", "") if place.environment.packages is None else ""
    return {
        **os.environ,
        **dict.fromkeys(counts, str(contestant.threads)),
        **fixed,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), inherited))),
        "PYTHONWARNINGS": "ignore",
        **contestant.variables(files, place),
    }


def _always(protocol: Protocol) -> Callable[[Files], Protocol]:
    return lambda files: protocol  # noqa: ARG005 - whatever the model


def _mlserver(files: Files, place: Place) -> list[str]:
    """Write the settings of the one model, and start the server on their folder."""
    settings = {
        "name": MODEL,
        "implementation": "benchmarks.peers.contestants.mlserver_model.Stack",
        "parameters": {"uri": str(files.pickle), "extra": {"predict_fn": "predict_proba"}},
        "max_batch_size": _BATCH,
        "max_batch_time": _MLSERVER_WAIT_S,
    }
    (place.folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return [str(place.environment.program("mlserver")), "start", str(place.folder)]


def _mlserver_variables(grpc: int, http: int) -> Callable[[Files, Place], Mapping[str, str]]:
    """Say where each protocol listens: 0 is the port that is asked, others are spare ones."""

    def variables(files: Files, place: Place) -> dict[str, str]:  # noqa: ARG001 - one signature for all
        ports = (place.port, *place.spare)
        numbers = {"GRPC_PORT": ports[grpc], "HTTP_PORT": ports[http], "METRICS_PORT": ports[2]}
        others = {"HOST": "127.0.0.1", "DEBUG": "false", "PARALLEL_WORKERS": threads()}
        return {f"MLSERVER_{name}": str(value) for name, value in (numbers | others).items()}

    return variables


def _litserve(files: Files, place: Place) -> list[str]:  # noqa: ARG001 - one signature for all
    module = "benchmarks.peers.contestants.litserve_app"
    options = (str(place.port), str(threads()), str(_BATCH), str(_LITSERVE_WAIT_S))
    return [str(place.environment.python), "-m", module, *options]


def _genrestack(workers: int, *, http: bool = False) -> Callable[[Files, Place], list[str]]:
    def command(files: Files, place: Place) -> list[str]:
        grpc, by_http = (place.spare[0], ["--http-port", str(place.port)]) if http else (place.port, [])
        options = ["--port", str(grpc), *by_http, "--workers", str(workers), "--provider", "cpu"]
        program = [str(place.environment.python), "-m", "genrestack", "serve", str(files.prepared.single)]
        return [*program, *options, "--log-level", "warning"]

    return command


def _our_model(files: Files) -> str:
    (folder,) = (each for each in files.prepared.single.iterdir() if each.is_dir())
    return folder.name


def contestants() -> tuple[Contestant, ...]:
    """Describe all of them, for the processors that this process may use."""
    count = threads()
    batching = f"batches of up to {_BATCH} requests, waiting"
    pickle = ("scikit-learn", "scikeras", "keras", "tensorflow")
    processes = f"inference processes: {count}, of 1 thread each"
    return (
        Contestant(
            REFERENCE, "scikit-learn", "scikit-learn", pickle,
            f"in process, the pickle; threads of OpenMP, BLAS and TensorFlow: {count} each; many callers are threads",
            kind="pickle",
        ),
        Contestant(
            "mlserver", "MLServer", "mlserver", ("mlserver", "mlserver-sklearn", *pickle),
            "gRPC, Open Inference Protocol; its scikit-learn runtime on the pickle; "
            f"{processes}; {batching} {1e3 * _MLSERVER_WAIT_S:g} ms",
            processes=count, protocol=_always(OPEN_INFERENCE), command=_mlserver,
            variables=_mlserver_variables(grpc=0, http=1),
        ),
        Contestant(
            "litserve", "LitServe", "litserve", ("litserve", *pickle),
            f"HTTP, JSON; the pickle; {processes}; {batching} {1e3 * _LITSERVE_WAIT_S:g} ms; its ZeroMQ queue",
            processes=count, protocol=_always(JSON), command=_litserve,
            variables=lambda files, place: {MODEL_VARIABLE: str(files.pickle)},  # noqa: ARG005
        ),
        Contestant(
            "onnxruntime", "onnxruntime, five parts", "onnxruntime", ("onnxruntime", "numpy"),
            f"in process, five sessions; threads of each: {count}; many callers are threads", kind="stock",
        ),
        Contestant(
            "genrestack-1", "GenreStack, 1 worker", OURS, ("genrestack", "onnxruntime", "grpcio"),
            f"gRPC, raw float32; threads: {count}; single precision", protocol=_always(PREDICT), command=_genrestack(1),
        ),
        Contestant(
            "genrestack-2", "GenreStack, 2 workers", OURS, ("genrestack", "onnxruntime", "grpcio"),
            f"gRPC, raw float32; threads of each worker: {max(1, count // 2)}; single precision",
            processes=2, protocol=_always(PREDICT), command=_genrestack(2),
        ),
        Contestant(
            "mlserver-json", "MLServer, HTTP, JSON", "mlserver", ("mlserver", "starlette", "uvicorn"),
            "the same server by HTTP, Open Inference Protocol, rows and answers as JSON",
            processes=count, protocol=_always(infer_as_json(MODEL)), command=_mlserver,
            variables=_mlserver_variables(grpc=1, http=0), beside="mlserver",
        ),
        Contestant(
            "genrestack-json", "GenreStack, HTTP, JSON", f"{OURS}-http", ("genrestack", "starlette", "uvicorn"),
            "1 worker by HTTP, Open Inference Protocol, rows and answers as JSON",
            protocol=lambda files: infer_as_json(_our_model(files), "probabilities"),
            command=_genrestack(1, http=True), beside="genrestack-1",
        ),
        Contestant(
            "genrestack-bytes", "GenreStack, HTTP, bytes", f"{OURS}-http", ("genrestack", "starlette", "uvicorn"),
            "1 worker by HTTP, Open Inference Protocol, rows and answers by Triton's binary tensor extension",
            protocol=lambda files: infer_as_bytes(_our_model(files), "probabilities"),
            command=_genrestack(1, http=True), beside="genrestack-1",
        ),
    )  # fmt: skip
