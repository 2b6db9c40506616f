"""Versions that come, change and go while the server runs, over a real port."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from server.bundles.held import holding
from server.bundles.hostile import endless, write_hostile
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import Running, RunServer
from server.running.watching import LOOK_S, NEVER_S, Seen, alone, ask, index, refusal, registry, some_looks, states
from support.waiting import GUARD_S, until

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server.models.registry import VersionState

READY, UNAVAILABLE, UNLOADING = VersionState.READY, VersionState.UNAVAILABLE, VersionState.UNLOADING


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_new_version_takes_over(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    write_tiny(tmp_path, "tiny", stack)
    with run_server(tmp_path, poll_interval=LOOK_S) as running:
        seen = Seen(running)
        assert ask(running).version == 1
        other = TinyStack.draw(5)
        write_tiny(tmp_path, "tiny", other)
        until(lambda: ask(running).version == 2)
        found = from_matrix(ask(running).probabilities)
        assert abs(found - other.predict_proba(draw_rows(3))).max() < 1e-6
        until(lambda: running.health("tiny/1") == "NOT_SERVING")
        assert running.health("tiny/2") == running.health("tiny") == running.health() == "SERVING"
        assert index(running) == {
            "tiny/1": (UNAVAILABLE, "it is not served: the version policy is latest:1"),
            "tiny/2": (READY, ""),
        }
        assert (seen.loads, seen.unloads, seen.failures) == (["tiny/2"], ["tiny/1"], [])
        code, text = refusal(running, "tiny", 1)
        assert (code, text) == (
            grpc.StatusCode.NOT_FOUND, "model 'tiny' has no version 1 here; served: 2 (0 means the newest)",
        )  # fmt: skip


def _answered(answers: list[tuple[int, int, np.ndarray]], version: int) -> bool:
    return any(by == version for by, _, _ in answers)


def swap_under_load(folder: Path, run_server: RunServer, versions: int) -> int:
    """Swap `versions` versions while four callers ask; every answer has to be one version's own. Return how many."""
    write_tiny(folder, "tiny", TinyStack.draw(1))
    done, answers = threading.Event(), list[tuple[int, int, np.ndarray]]()

    def call(running: Running, caller: int) -> None:
        seed = caller
        while not done.is_set():
            seed += 4
            request = PredictRequest(rows=to_matrix(draw_rows(1 + seed % 40, seed)))
            response = running.stub.Predict(request, timeout=30)
            answers.append((response.version, seed, from_matrix(response.probabilities)))

    with run_server(folder, poll_interval=LOOK_S) as running, ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call, running, caller) for caller in range(4)]
        try:
            until(partial(_answered, answers, 1))
            for version in range(2, versions + 1):
                write_tiny(folder, "tiny", TinyStack.draw(version))
                until(partial(_answered, answers, version))
        finally:
            done.set()
        for caller in callers:
            caller.result()
        assert registry(running).find("tiny", 0).version == versions
    graphs = {version: alone(folder / "tiny" / str(version)) for version in range(1, versions + 1)}
    for version, seed, found in answers:
        assert abs(found - graphs[version](draw_rows(1 + seed % 40, seed))).max() < 1e-6
    return len(answers)


def test_versions_swapped_under_load(tmp_path: Path, run_server: RunServer) -> None:
    swap_under_load(tmp_path, run_server, 8)


@pytest.mark.long
def test_fifty_versions_swapped_under_load(tmp_path: Path, run_server: RunServer) -> None:
    print(
        f"\n{swap_under_load(tmp_path, run_server, 50):,} answers over 50 versions, each as its version's graph alone"
    )


def test_a_request_ends_on_the_version_it_began_with(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    write_tiny(tmp_path, "slow", stack)
    with (
        run_server(tmp_path, poll_interval=LOOK_S) as running,
        ThreadPoolExecutor(1) as pool,
        holding(running, "slow") as held,
    ):
        batch = pool.submit(ask, running, rows=600)
        held.wait()
        write_tiny(tmp_path, "slow", TinyStack.draw(3))
        until(lambda: registry(running).find("slow", 0).version == 2)
        assert states(running) == {"slow/1": UNLOADING, "slow/2": READY}
        assert not batch.done()
        held.free()
        answer = batch.result()
        assert (answer.version, len(answer.labels)) == (1, 600)
        assert abs(from_matrix(answer.probabilities) - stack.predict_proba(draw_rows(600))).max() < 1e-6
        until(lambda: states(running)["slow/1"] == UNAVAILABLE)


def test_a_bad_version_is_refused_once_and_served_when_repaired(
    tmp_path: Path, stack: TinyStack, run_server: RunServer, caplog: pytest.LogCaptureFixture
) -> None:
    models = tmp_path / "models"
    write_tiny(models, "tiny", stack)
    with run_server(models, poll_interval=LOOK_S) as running:
        seen = Seen(running)
        good = write_tiny(tmp_path / "aside", "tiny", TinyStack.draw(2))
        bad = Path(shutil.copytree(good, tmp_path / "aside" / "bad"))
        flip_a_byte(bad / "left.onnx")
        bad.rename(models / "tiny" / "2")
        until(lambda: bool(seen.failures))
        some_looks(running)
        reason = "left.onnx was altered after the export (its sha256 differs); export the model again"
        assert seen.failures == [("tiny/2", reason)]
        assert index(running) == {"tiny/1": (READY, ""), "tiny/2": (UNAVAILABLE, reason)}
        lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert lines == [f"rejected tiny/2: {reason}; still serving tiny/1"]
        assert ask(running).version == 1
        shutil.copy(good / "left.onnx", models / "tiny" / "2" / "left.onnx")
        until(lambda: ask(running).version == 2)
        assert index(running)["tiny/2"] == (READY, "")


def test_a_liar_is_refused_by_its_golden_rows(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    write_tiny(tmp_path, "tiny", stack)
    with run_server(tmp_path, poll_interval=LOOK_S) as running:
        seen = Seen(running)
        write_tiny(tmp_path, "tiny", stack, answers=TinyStack(stack.left, stack.right, -stack.meta))
        until(lambda: bool(seen.failures))
        ((title, reason),) = seen.failures
        assert title == "tiny/2"
        assert "does not answer its golden rows" in reason
        assert ask(running).version == 1


def test_a_version_replaced_under_its_number(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    path = write_tiny(tmp_path, "tiny", stack)
    other = TinyStack.draw(4)
    fresh = write_tiny(tmp_path / "aside", "tiny", other)
    with run_server(tmp_path, poll_interval=NEVER_S) as running:
        seen = Seen(running)
        for file in fresh.iterdir():
            shutil.copy(file, path / file.name)
        some_looks(running, 1)
        assert seen.loads == ["tiny/1"]
        found = from_matrix(ask(running).probabilities)
        assert abs(found - other.predict_proba(draw_rows(3))).max() < 1e-6
        os.truncate(path / "SHA256SUMS", 5)
        while not seen.failures:
            some_looks(running, 1)
        assert ask(running).version == 1
        state, reason = index(running)["tiny/1"]
        assert state == READY
        assert reason.startswith("manifest.json was altered")


def test_a_version_that_goes_makes_room_for_an_older_one(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    for _ in range(2):
        write_tiny(tmp_path, "tiny", stack)
    with run_server(tmp_path, poll_interval=LOOK_S) as running:
        assert ask(running).version == 2
        shutil.rmtree(tmp_path / "tiny" / "2")
        until(lambda: ask(running).version == 1)
        until(lambda: states(running) == {"tiny/1": READY})
        assert running.health("tiny/2") == "NOT_SERVING"


def test_models_come_and_go(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    write_tiny(tmp_path, "jazz", stack)
    with run_server(tmp_path, poll_interval=LOOK_S) as running:
        seen = Seen(running)
        write_tiny(tmp_path, "rock", TinyStack.draw(9))
        until(lambda: states(running) == {"jazz/1": READY, "rock/1": READY})
        assert ask(running, "rock").model == "rock"
        assert running.health("rock") == "SERVING"
        assert refusal(running)[0] == grpc.StatusCode.INVALID_ARGUMENT
        shutil.rmtree(tmp_path / "rock")
        until(lambda: states(running) == {"jazz/1": READY})
        assert running.health("rock") == running.health("rock/1") == "NOT_SERVING"
        assert running.health() == "SERVING"
        assert refusal(running, "rock") == (grpc.StatusCode.NOT_FOUND, "there is no model 'rock' here; served: jazz")
        assert ask(running).model == "jazz"
        assert (seen.loads, seen.unloads) == (["rock/1"], ["rock/1"])


def test_stopping_while_a_version_is_loaded_waits_for_nothing(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    """What is being loaded would never end by itself: it is ended, and never served."""
    write_tiny(tmp_path, "slow", stack)
    with run_server(tmp_path, poll_interval=LOOK_S) as running:
        server = running.server
        assert server is not None
        write_hostile(tmp_path, "slow", "scaler.onnx", endless)
        until(lambda: server.busy)
        assert running.stop(grace=5).result(GUARD_S) is True
        until(lambda: not server.busy)
        assert [served.title for served in server.models] == ["slow/1"]
