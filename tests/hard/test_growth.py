"""Work grows no faster than what was sent: sizes at which linear work takes moments, and anything steeper hours.

Nothing here is timed: what grows faster than it should meets the time limit of its test.
"""

import os
import random
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import Running, details, running_server
from server.running.watching import index, on_loop, registry
from support.waiting import until

from genrestack_common.text import quoted
from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import Matrix, PredictRequest, PredictResponse
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import InvalidInput
from genrestack_server.inference.validation import check_finite, column_order
from genrestack_server.models.registry import VersionState
from genrestack_server.models.repository import Versions
from genrestack_server.models.version_policy import VersionPolicy
from genrestack_server.service.messages import MAX_FIELDS
from genrestack_server.service.oip import repository, requests

pytestmark = pytest.mark.timeout(60)

PREDICT = "/genrestack.v1.PredictionService/Predict"
INFER = "/inference.GRPCInferenceService/ModelInfer"
WIDE = 40_000
"""Features of a model."""


def scrambled(number: int) -> str:
    """A name that looks like all others and is none of them: comparing two takes the square of their length."""
    return f"{''.join(random.Random(number).sample('abcdefghij' * 9, 90))}_{number}"


def refused(running: Running, method: str, data: bytes) -> grpc.RpcError:
    call: Any = running.channel.unary_unary(method)
    with pytest.raises(grpc.RpcError) as caught:
        call(data, timeout=60, compression=grpc.Compression.Gzip)
    error: grpc.RpcError = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    return error


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = tmp_path_factory.mktemp("growth")
    write_tiny(models, "tiny", TinyStack.draw(1))
    with running_server(models) as running:
        yield running


Infer = oip.ModelInferRequest
Input, Output = Infer.InferInputTensor, Infer.InferRequestedOutputTensor
GOOD = Infer(inputs=[Input(name="features", datatype="FP32", shape=[1, 4])])
MESSAGES: dict[str, tuple[str, Message, Message]] = {
    # What is sent once, and what behind it over and over: two or more bytes each, and a thousandth of that as gzip.
    "outputs": (INFER, GOOD, Infer(outputs=[Output()])),
    "named outputs": (INFER, GOOD, Infer(outputs=[Output(name="label")])),
    "inputs": (INFER, Infer(), Infer(inputs=[Input(name="features")])),
    "raw contents": (INFER, GOOD, Infer(raw_input_contents=[b""])),
    "parameters": (INFER, GOOD, Infer(parameters={"": oip.InferParameter()})),
    "names": (PREDICT, PredictRequest(rows=Matrix(shape=[1, 2**21])), PredictRequest(feature_names=[""])),
    "rows": (PREDICT, PredictRequest(), PredictRequest(rows=Matrix(shape=[1]))),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_millions_of_fields_are_refused_before_they_are_parsed(tiny: Running, what: str) -> None:
    method, head, one = MESSAGES[what]
    packed = one.SerializeToString()
    error = refused(tiny, method, head.SerializeToString() + packed * (2**22 // len(packed)))
    assert details(error)[0] == (
        "request", "it has more than 131,072 fields; send numbers as raw bytes, and each name once",
    )  # fmt: skip
    assert tiny.health("tiny") == "SERVING"


def test_outputs_are_counted_before_they_are_looked_at(tiny: Running) -> None:
    request = Infer()
    request.CopyFrom(GOOD)
    request.outputs.extend([Output(name="label")] * 50_000)
    ((field, text),) = details(refused(tiny, INFER, request.SerializeToString()))
    assert (field, text[:35]) == ("outputs", "50,000 outputs, but tiny/1 has 5: l")


def test_a_million_outputs_cost_no_more_than_five(tiny: Running) -> None:
    """Below any bound on the wire."""
    request = Infer()
    request.CopyFrom(GOOD)
    request.outputs.extend([Output(name="label")] * 1_000_000)
    with pytest.raises(InvalidInput, match="1,000,000 outputs, but tiny/1 has 5"):
        requests.read(request, registry(tiny).find("tiny", 0), ServerConfig())


def test_columns_are_counted_before_names_are_looked_at(tiny: Running) -> None:
    names = ["tempo"] * (MAX_FIELDS - 100)
    request = PredictRequest(rows=Matrix(shape=[1, len(names)]), feature_names=names)
    ((field, text),) = details(refused(tiny, PREDICT, request.SerializeToString()))
    assert (field, text[:33]) == ("rows.shape", "130,972 columns, but tiny/1 takes")
    # A few too many are named: they may be one column of a table.
    request = PredictRequest(
        rows=Matrix(shape=[1, 5]), feature_names=["chroma", "rms", "label", "tempo", "zero_crossing"]
    )
    found = details(refused(tiny, PREDICT, request.SerializeToString()))
    assert ("feature_names[2]", "tiny/1 has no feature 'label'; GetModel lists the features") in found


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of one model with very many features."""
    models = tmp_path_factory.mktemp("wide")
    write_tiny(models, "wide", TinyStack.draw(1, WIDE), features=[scrambled(n) for n in range(WIDE)])
    with running_server(models) as running:
        yield running


def test_very_many_features_in_another_order(wide: Running) -> None:
    rows = draw_rows(2, 3, WIDE)
    names = [scrambled(n) for n in reversed(range(WIDE))]
    request = PredictRequest(rows=to_matrix(rows[:, ::-1]), feature_names=names)
    answer: PredictResponse = wide.stub.Predict(request, timeout=60)
    difference = from_matrix(answer.probabilities) - TinyStack.draw(1, WIDE).predict_proba(rows)
    assert abs(difference).max() < 1e-6


def test_very_many_names_that_are_all_nearly_right(wide: Running) -> None:
    names = [scrambled(n) for n in range(WIDE, 2 * WIDE)]
    request = PredictRequest(rows=Matrix(shape=[1, WIDE], raw=bytes(4 * WIDE)), feature_names=names)
    error = refused(wide, PREDICT, request.SerializeToString())
    assert [field for field, _ in details(error)] == ["feature_names", *(f"feature_names[{n}]" for n in range(4))]
    assert str(error.details()).endswith(f"(and {WIDE} more)")


def test_a_name_in_other_letters_is_found_among_very_many(wide: Running) -> None:
    names = [scrambled(n) for n in range(WIDE)]
    names[7] = names[7].upper()
    with pytest.raises(InvalidInput) as caught:
        column_order(names, WIDE, registry(wide).find("wide", 0))
    missing, unknown = caught.value.violations
    assert missing.field == "feature_names"
    assert unknown.description.endswith(f"did you mean {quoted(scrambled(7))}?")


def test_only_the_first_bad_values_are_looked_for() -> None:
    rows = np.full((2**19, 4), np.nan, dtype=np.float32)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput) as caught:
            check_finite(rows, ("a", "b", "c", "d"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [violation.field for violation in caught.value.violations][:2] == ["rows[0].a", "rows[0].b"]
    assert caught.value.total == rows.size
    # A list of them all would take 16 bytes for each.
    assert peak < 8 * rows.size


def test_a_policy_of_megabytes_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="write latest:N"):
        VersionPolicy.parse("latest:" + "9" * 10**6)


def test_versions_are_looked_up_as_fast_in_half_a_million() -> None:
    versions = Versions(range(1, 500_000))
    assert all(version in versions for version in range(1, 500_000))
    assert 0 not in versions
    assert 500_000 not in versions


OLD = 1000
"""Version folders that the policy does not want."""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = write_tiny(tmp_path, "tiny", TinyStack.draw(1))
    folder.rename(folder.with_name(str(OLD + 1)))
    for version in range(1, OLD + 1):
        folder.with_name(str(version)).mkdir()
    return tmp_path


def test_old_versions_cost_the_event_loop_nothing(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is read in another thread, and of the versions' folders those alone that may be wanted."""
    seen: set[tuple[int, Path]] = set()
    looks = threading.Semaphore(0)
    really_scan, really_open = os.scandir, os.open

    def scan(path: Any = ".") -> Any:
        seen.add((threading.get_ident(), Path(path)))
        if Path(path) == many:
            looks.release()
        return really_scan(path)

    def open_file(path: Any, *args: Any, **options: Any) -> int:
        seen.add((threading.get_ident(), Path(path)))
        return really_open(path, *args, **options)

    with running_server(many, poll_interval=0.05) as running:
        monkeypatch.setattr(os, "scandir", scan)
        monkeypatch.setattr(os, "open", open_file)
        for _ in range(5):
            assert looks.acquire(timeout=30)
        loop = on_loop(running, _ident())
    read = {path for _, path in seen if path.is_relative_to(many)}
    assert read == {many, many / "tiny", many / "tiny" / str(OLD + 1) / "SHA256SUMS"}
    assert loop not in {thread for thread, path in seen if path in read}


def test_the_event_loop_does_nothing_for_each_old_version(many: Path) -> None:
    """Counted, not timed: one look calls fewer functions on the event loop's thread than there are versions."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    async def look() -> None:
        assert running.server is not None
        sys.setprofile(count)
        try:
            await running.server.engine.manager.look_once()
        finally:
            sys.setprofile(None)

    # The server's own looks stay out of the way: one at the start, and none for an hour.
    with running_server(many, poll_interval=3600) as running:
        until(lambda: len(index(running)) == OLD + 1)
        on_loop(running, look())
    assert 0 < calls < OLD


async def _ident() -> int:
    return threading.get_ident()


def test_the_index_of_very_many_versions_is_made_once(many: Path) -> None:
    async def twice() -> list[Any]:
        known = registry(running)
        return [await repository.index(known, only_ready=False) for _ in range(2)]

    with running_server(many, poll_interval=0.05) as running:
        until(lambda: len(index(running)) == OLD + 1)
        first, second = on_loop(running, twice())
        assert first is second
        states = [(model.version, model.state) for model in first.models]
        assert states == [*((str(n), "UNAVAILABLE") for n in range(1, OLD + 1)), (str(OLD + 1), "READY")]
        assert first.models[0].reason == "it is not served: the version policy is latest:1"
        (many / "tiny" / "1").rmdir()
        until(lambda: "tiny/1" not in index(running))
        assert index(running)[f"tiny/{OLD + 1}"] == (VersionState.READY, "")
