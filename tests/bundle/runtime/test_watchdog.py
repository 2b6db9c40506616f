"""Time limits: who is ended, who is not, and what onnxruntime makes of it."""

import math
import threading
import time
from pathlib import Path

import pytest
from server.bundles.hostile import endless, endless_when_hot, folded, hot_rows, write_hostile
from server.bundles.tiny import TinyStack, draw_rows, write_tiny

from genrestack_bundle import (
    Bundle,
    BundleError,
    Cancellation,
    ComposedSession,
    LoadCancelledError,
    RunLimit,
    open_bundle,
    verified_session,
    verify_parity,
)
from genrestack_bundle.runtime.watchdog import TimeLimit

# A test that hangs fails by pytest's own limit.
LONG_S = 250.0


class Noted(TimeLimit):
    """Notes that it was ended."""

    def __init__(
        self, *, at: float = math.inf, seconds: float = math.inf, cancellation: Cancellation | None = None
    ) -> None:
        super().__init__(at=at, seconds=seconds, cancellation=cancellation)
        self.told = threading.Event()

    def _notify(self) -> None:
        self.told.set()


def test_what_reaches_its_moment_is_ended_and_what_was_through_before_is_not() -> None:
    with Noted(seconds=0.05) as through:
        pass
    with Noted(seconds=0.1) as late, Noted(seconds=LONG_S) as early:
        assert late.told.wait(LONG_S)
        assert late.over
        assert not early.over
    assert not through.over


def test_a_moment_that_is_brought_forward_counts() -> None:
    with Noted() as limit:
        limit.lower(time.monotonic() + 0.05)
        assert limit.told.wait(LONG_S)
    before = Noted()
    before.lower(0.0)
    with before:
        assert before.over


def test_a_cancellation_ends_what_names_it_now_and_later() -> None:
    cancellation = Cancellation()
    with Noted(cancellation=cancellation) as now, Noted() as other:
        cancellation.cancel()
        assert now.over
        with Noted(cancellation=cancellation) as later:
            assert later.over
        assert not other.over


def test_a_limit_that_cannot_be_told_leaves_the_others_theirs(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Noted):
        def _notify(self) -> None:
            super()._notify()
            raise OSError("no")

    with Broken(seconds=0.02) as broken:
        assert broken.told.wait(LONG_S)
    with Noted(seconds=0.02) as limit:
        assert limit.told.wait(LONG_S)
    assert "could not be ended" in caplog.text


def test_many_threads_have_limits_at_once() -> None:
    missed: list[int] = []

    def work(number: int) -> None:
        for turn in range(50):
            with Noted(seconds=(number + turn) % 5 / 1000) as limit:
                if not limit.told.wait(LONG_S):
                    missed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missed == []


def _session(bundle: Bundle, **options: object) -> ComposedSession:
    graph = bundle.compose()
    return ComposedSession(graph, part_names=bundle.part_names, provider="cpu", threads=1, **options)  # type: ignore[arg-type]


def test_an_endless_run_ends_and_the_session_answers_on(tmp_path: Path) -> None:
    session = _session(open_bundle(write_hostile(tmp_path, "tiny", "scaler.onnx", endless_when_hot)))
    limit = RunLimit(seconds=0.1)
    with limit, pytest.raises(Exception, match="terminate"):
        session.run(hot_rows(), limit.options)
    assert limit.over
    assert session.run(draw_rows(3)).probabilities.shape == (3, 3)


def test_parts_of_a_graph_are_not_run_while_it_is_loaded(tmp_path: Path) -> None:
    """Five thousand products of 2,000 by 2,000 take hours, and while loading nothing could end them."""
    bundle = open_bundle(write_hostile(tmp_path, "tiny", "scaler.onnx", folded(5000, 2000)))
    session = _session(bundle)
    with pytest.raises(BundleError, match=r"tiny/1 needs more than 0\.2 s for its golden rows"):
        verify_parity(session, bundle, within_s=0.2)


def test_loading_has_a_time_limit(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny(tmp_path, "tiny", TinyStack.draw()))
    with pytest.raises(BundleError, match="needs more than 0 s to load the graph"):
        _session(bundle, within_s=0.0)


def test_loading_can_be_cancelled(tmp_path: Path) -> None:
    bundle, cancellation = open_bundle(write_tiny(tmp_path, "tiny", TinyStack.draw())), Cancellation()
    verified_session(bundle, threads=1, cancellation=cancellation)
    cancellation.cancel()
    with pytest.raises(LoadCancelledError):
        _session(bundle, cancellation=cancellation)
    with pytest.raises(LoadCancelledError):
        verified_session(bundle, threads=1, cancellation=cancellation)


def test_golden_rows_that_never_end_can_be_cancelled(tmp_path: Path) -> None:
    bundle, cancellation = open_bundle(write_hostile(tmp_path, "tiny", "scaler.onnx", endless)), Cancellation()
    session = _session(bundle)
    threading.Timer(0.1, cancellation.cancel).start()
    with pytest.raises(LoadCancelledError):
        verify_parity(session, bundle, within_s=10 * LONG_S, cancellation=cancellation)
