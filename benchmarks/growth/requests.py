"""How long a server takes over requests, and over its repository, as they grow: `python -m benchmarks.growth requests`.

Everything is measured from outside: a request until its answer or its refusal, a repository by the longest time that a
caller of one row waits while it is looked at.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click
import grpc
import numpy as np
from google.protobuf.message import Message

from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.growth.fits import exponent
from benchmarks.serving.servers import connected, genrestack_server
from genrestack_bundle import Bundle
from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, Matrix, PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_NATIVE: Final = "/genrestack.v1.PredictionService"
_OIP: Final = "/inference.GRPCInferenceService"
_Request = tuple[str, Message]
_Kind = Callable[[Bundle, int], _Request]
_Infer = oip.ModelInferRequest
_FOLDERS: Final = "old version folders: longest wait of another caller"
_INDEX: Final = "old version folders: RepositoryIndex"
# So long are the looks at a repository watched: three at the server's own pace.
_WATCHED_S: Final = 4.0
_TIMES: Final = (1, 2, 4)


def _names(_: Bundle, count: int) -> _Request:
    rows = Matrix(shape=[1, count])
    return f"{_NATIVE}/Predict", PredictRequest(rows=rows, feature_names=["no feature"] * count)


def _bad_rows(bundle: Bundle, count: int) -> _Request:
    columns = len(bundle.model.features)
    return f"{_NATIVE}/Predict", PredictRequest(rows=to_matrix(np.full((count, columns), np.nan, np.float32)))


def _good_rows(bundle: Bundle, count: int) -> _Request:
    rows = np.resize(bundle.golden.rows, (count, len(bundle.model.features)))
    return f"{_NATIVE}/Predict", PredictRequest(rows=to_matrix(rows))


def _long_name(_: Bundle, count: int) -> _Request:
    return f"{_NATIVE}/GetModel", GetModelRequest(model="n" * count)


def _outputs(bundle: Bundle, count: int) -> _Request:
    tensor = _Infer.InferInputTensor(name="features", datatype="FP32", shape=[1, len(bundle.model.features)])
    output = _Infer.InferRequestedOutputTensor(name="label")
    return f"{_OIP}/ModelInfer", _Infer(model_name=bundle.model.name, inputs=[tensor], outputs=[output] * count)


def _inputs(bundle: Bundle, count: int) -> _Request:
    tensor = _Infer.InferInputTensor(name="features", datatype="FP32")
    return f"{_OIP}/ModelInfer", _Infer(model_name=bundle.model.name, inputs=[tensor] * count)


def _parameters(bundle: Bundle, count: int) -> _Request:
    parameters = {f"p{number}": oip.InferParameter(bool_param=True) for number in range(count)}
    return f"{_OIP}/ModelInfer", _Infer(model_name=bundle.model.name, parameters=parameters)


KINDS: Final[Mapping[str, _Kind]] = {
    "feature names and columns": _names,
    "outputs of the Open Inference Protocol": _outputs,
    "inputs of the Open Inference Protocol": _inputs,
    "parameters of the Open Inference Protocol": _parameters,
    "characters of a model's name": _long_name,
    "rows of NaN": _bad_rows,
    "rows, answered": _good_rows,
}


@click.command()
@click.option("--models", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
              default=Path("demo/models"), show_default=True, metavar="DIR",
              help="A repository of one bundle, as `genrestack demo` makes it.")  # fmt: skip
@click.option("--size", type=click.IntRange(min=100), default=15_000, show_default=True,
              help="Measure at this many, twice and four times as many.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="Take the best of N.")
def requests(models: Path, size: int, repeat: int) -> None:
    """Send requests of growing size to a server, and put folders of old versions into its repository.

    The last column is b of t ∝ nᵇ, through the two largest sizes: 1 where twice as much takes twice as long.

    \b
    Examples:
      python -m benchmarks.growth requests
      python -m benchmarks.growth requests --models models --size 30000
    """  # noqa: D301 - click's mark for "do not wrap"
    sizes = [size * times for times in _TIMES]
    click.echo(f"| | at {' | at '.join(f'{n:,}' for n in sizes)} | b |")
    click.echo("|---|" + "---|" * (len(sizes) + 1))
    bundle = open_only_bundle(models)
    with genrestack_server(models) as server, connected(server.address) as channel:
        for name, kind in KINDS.items():
            click.echo(_line(name, sizes, [_seconds(channel, *kind(bundle, n), repeat) for n in sizes]))
    waits, indices = zip(*(_with_folders(bundle, n, repeat) for n in sizes), strict=True)
    click.echo(_line(_FOLDERS, sizes, waits))
    click.echo(_line(_INDEX, sizes, indices))


def _line(name: str, sizes: list[int], seconds: Any) -> str:
    times = " | ".join(f"{1000 * each:,.1f} ms" for each in seconds)
    return f"| {name} | {times} | {exponent(sizes, seconds):.2f} |"


def _seconds(channel: grpc.Channel, method: str, request: Message, repeat: int) -> float:
    """Time a request until its answer or refusal; the best of some."""
    call: Any = channel.unary_unary(method)
    data = request.SerializeToString()
    taken = []
    for _ in range(repeat):
        begun = time.perf_counter()
        with suppress(grpc.RpcError):
            call(data)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def _with_folders(bundle: Bundle, count: int, repeat: int) -> tuple[float, float]:
    """Watch a server of a repository with many folders of old versions, and ask for its index."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / bundle.model.name
        shutil.copytree(bundle.path, model / str(count + 1))
        for version in range(1, count + 1):
            (model / str(version)).mkdir()
        with genrestack_server(Path(folder)) as server, connected(server.address) as channel:
            with _caller(channel, bundle) as waits:
                time.sleep(_WATCHED_S)
            index = _seconds(channel, f"{_OIP}/RepositoryIndex", oip.RepositoryIndexRequest(), repeat)
        return max(waits), index


@contextmanager
def _caller(channel: grpc.Channel, bundle: Bundle) -> Iterator[list[float]]:
    """Ask one row after another for the length of the block; gives the times they took."""
    stub = PredictionServiceStub(channel)
    request = PredictRequest(rows=to_matrix(bundle.golden.rows[:1]))
    waits: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            begun = time.perf_counter()
            stub.Predict(request)
            waits.append(time.perf_counter() - begun)

    caller = threading.Thread(target=ask)
    caller.start()
    try:
        yield waits
    finally:
        done.set()
        caller.join()
