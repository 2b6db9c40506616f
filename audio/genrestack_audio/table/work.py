"""Computing many recordings at once, each in a process of its own; one that brings its process down stops nothing."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from threadpoolctl import threadpool_limits

from genrestack_audio.errors import AudioError
from genrestack_audio.extractors.window_features import SPECTRAL_FEATURES, WindowFeatures
from genrestack_audio.features.compiled import prepare
from genrestack_audio.table.allocator import keep_freed_memory
from genrestack_audio.table.journal import RecordingFeatures
from genrestack_audio.windows.windows import Windows

Outcome = RecordingFeatures | AudioError
Work = Callable[[Path, Windows | None], Outcome]
_CRASHED = "brings the decoder down; convert the file to wav with another program, or leave it out"


def compute(path: Path, windows: Windows | None, features: WindowFeatures = SPECTRAL_FEATURES) -> Outcome:
    """Compute all rows of a recording, or with None one row of the whole; an error is returned, being a result."""
    prepare()
    from genrestack_audio.decode.sound import open_sound
    from genrestack_audio.windows.segments import stream_segments, whole_segment

    try:
        with open_sound(path) as sound:
            segments = (
                [whole_segment(sound, features)] if windows is None else list(stream_segments(sound, windows, features))
            )
            rows = tuple(tuple(segment.features.tolist()) for segment in segments)
            return RecordingFeatures(tuple(segment.length for segment in segments), rows, sound.notes)
    except AudioError as error:
        return error
    except MemoryError:
        return AudioError(f"{path}: needs more memory than there is; use fewer processes (--jobs) or shorter windows")


def compute_all(
    paths: Sequence[Path], windows: Windows | None, *, jobs: int, work: Work = compute
) -> Iterator[tuple[Path, Outcome]]:
    """Compute recordings, `jobs` at a time, a single one in this process; results come as they are ready."""
    if jobs == 1:
        keep_freed_memory()
        with threadpool_limits(1):
            for path in paths:
                yield path, work(path, windows)
        return
    left = list(paths)
    while left:
        running: dict[Future[Outcome], Path] = {}
        try:
            for path, outcome in _run_pool(list(left), windows, jobs, work, running):
                left.remove(path)
                yield path, outcome
        except BrokenProcessPool:
            # One of those being computed is at fault: each gets a process that it may bring down alone.
            for path in running.values():
                left.remove(path)
                yield path, _alone(path, windows, work)


def _run_pool(
    paths: Sequence[Path], windows: Windows | None, jobs: int, work: Work, running: dict[Future[Outcome], Path]
) -> Iterator[tuple[Path, Outcome]]:
    """Keep every process busy with few recordings waiting, so that few are suspect after a crash."""
    waiting = iter(paths)
    with _processes(min(jobs, len(paths))) as pool:
        for path in islice(waiting, jobs + 1):
            running[pool.submit(work, path, windows)] = path
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                yield running.pop(future), outcome
                for path in islice(waiting, 1):
                    running[pool.submit(work, path, windows)] = path


def _alone(path: Path, windows: Windows | None, work: Work) -> Outcome:
    try:
        with _processes(1) as pool:
            return pool.submit(work, path, windows).result()
    except BrokenProcessPool:
        return AudioError(f"{path}: {_CRASHED}")


@contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Forked processes would inherit threads' locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_init_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _init_worker() -> None:
    """Ignore interrupts, which are the parent's, use one processor, and keep memory for the next window."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    threadpool_limits(1)
