"""`priority` and `timeout` of a request, as Triton has them, and the id that goes into the log."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from server.bundles.held import holding
from server.bundles.tiny import draw_rows
from server.oip.asking import features
from server.running.live import Running, RunServer
from support.waiting import GUARD_S, until
from tritonclient.utils import InferenceServerException

from genrestack_proto.inference.open_inference_pb2 import InferParameter
from genrestack_server.call import Call
from genrestack_server.service.oip.parameters import obey
from genrestack_server.telemetry.observer import Observer


def obeyed(parameters: Mapping[str, InferParameter], **known: Any) -> Call:
    call = Call("ModelInfer", began=100.0, **known)
    obey(parameters, call)
    return call


def await_waiting(running: Running, rows: int) -> None:
    server = running.server
    assert server is not None
    until(lambda: server.engine.batcher.waiting_rows == rows)


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
@pytest.mark.parametrize(
    ("level", "before", "high_priority"),
    [(1, False, True), (2, True, False), (0, True, True), (0, False, False), (9, False, False), (2**62, True, True)],
)
def test_priority(kind: str, level: int, before: bool, high_priority: bool) -> None:
    parameter = InferParameter()
    setattr(parameter, kind, level)
    assert obeyed({"priority": parameter}, high_priority=before).high_priority is high_priority


@pytest.mark.parametrize(
    ("microseconds", "before", "deadline"),
    [(0, None, None), (0, 105.0, 105.0), (2_500_000, None, 102.5), (2_500_000, 101.0, 101.0), (10**6, 105.0, 101.0)],
)
def test_timeout_only_ever_shortens(microseconds: int, before: float | None, deadline: float | None) -> None:
    parameters = {"timeout": InferParameter(int64_param=microseconds)}
    assert obeyed(parameters, deadline=before).deadline == deadline


def test_what_is_past_its_timeout_is_not_computed(tiny_models: Path, run_server: RunServer) -> None:
    with (
        run_server(tiny_models, max_batch_rows=1000) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client,
        ThreadPoolExecutor(1) as pool,
        holding(running, "tiny") as held,
    ):
        answers: Queue[Any] = Queue()
        client.async_infer("tiny", features(draw_rows(600)), lambda result, error: answers.put(error))
        held.wait()
        late = pool.submit(client.infer, "tiny", features(draw_rows(1)), timeout=200_000, priority=2)
        # Its time passes while it waits, or on the way there if the machine is very busy.
        until(lambda: (running.server and running.server.engine.batcher.waiting_rows == 1) or late.done())
        time.sleep(0.2)
        held.free()
        with pytest.raises(InferenceServerException) as caught:
            late.result()
        assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        assert client.infer("tiny", features(draw_rows(1)), timeout=3_600_000_000).as_numpy("label").shape == (1,)
        assert answers.get(timeout=GUARD_S) is None


def test_the_upper_priority_overtakes(tiny_models: Path, run_server: RunServer) -> None:
    ended: Queue[str] = Queue()

    def noting(name: str) -> Callable[[Any, Any], None]:
        return lambda result, error: ended.put(name if error is None else str(error))

    with (
        run_server(tiny_models, batching=False, max_batch_rows=1000) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client,
        holding(running, "tiny") as held,
    ):
        client.async_infer("tiny", features(draw_rows(400)), noting("first"))
        held.wait()
        client.async_infer("tiny", features(draw_rows(400)), noting("usual"), priority=2)
        await_waiting(running, 400)
        client.async_infer("tiny", features(draw_rows(1)), noting("high_priority"), priority=1)
        await_waiting(running, 401)
        held.free()
        order = [ended.get(timeout=GUARD_S) for _ in range(3)]
    assert order.index("high_priority") < order.index("usual")


def test_a_full_queue_refuses(tiny_models: Path, run_server: RunServer) -> None:
    with (
        run_server(tiny_models, max_queue_rows=10, max_batch_rows=100) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client,
        holding(running, "tiny"),
    ):
        # An empty queue takes any request; of this one two pieces are in work, and the others wait.
        waiting = client.async_infer("tiny", features(draw_rows(600)), lambda result, error: None)
        await_waiting(running, 400)
        with pytest.raises(InferenceServerException) as caught:
            client.infer("tiny", features(draw_rows(1)))
        waiting.cancel()
    assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    assert "--max-queue-rows" in caught.value.message()


def test_observers_are_told_id_priority_and_deadline(tiny_models: Path, run_server: RunServer) -> None:
    ended: list[Call] = []

    class Noting(Observer):
        def call_ended(self, call: Call) -> None:
            ended.append(call)

    with (
        run_server(tiny_models) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client,
    ):
        assert running.server is not None
        running.server.observers.add(Noting())
        client.infer("tiny", features(draw_rows(2)), request_id="a\nb" + "c" * 500, priority=1, timeout=10**6)
        client.infer("tiny", features(draw_rows(1)), headers={"x-request-id": "beside", "genrestack-priority": "high"})
        with pytest.raises(InferenceServerException):
            client.infer("tiny", features(np.full((1, 4), np.inf, dtype=np.float32)), request_id="bad")
    first, second, third = ended
    assert (first.method, first.model, first.version, first.rows, first.high_priority) == (
        "ModelInfer",
        "tiny",
        2,
        2,
        True,
    )
    assert first.request_id == "a?b" + "c" * 125
    assert first.deadline == pytest.approx(first.began + 1)
    assert (second.request_id, second.high_priority) == ("beside", True)
    assert (third.request_id, third.code.name) == ("bad", "INVALID_ARGUMENT")
