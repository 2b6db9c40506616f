"""Fits as tasks of a Ray cluster, each tried again elsewhere when its machine is lost.

Tasks, not actors: an actor pool, such as joblib's Ray backend, dies with a machine. Importing this module imports Ray.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import ray
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from genrestack_training.errors import ClusterError
from genrestack_training.fitting.engines import Codes, Rows, longest_first
from genrestack_training.fitting.progress import FitTracker
from genrestack_training.fitting.single_thread import RemoteFit, fit_single_threaded, replay_warnings
from genrestack_training.fitting.store import library_versions
from genrestack_training.fitting.tasks import FitTask, Fitted

RETRIES: Final = 5
"""How often a fit is retried after its machine or process was lost; never after an error of its own."""

_FitKey = tuple[str, int]
_FitProgress = tuple[_FitKey, int, int]
"""Of which fit, epochs done and in all; 0 of 0 when it begins."""


class RayEngine:
    """One Ray task a fit, each with one CPU and one thread, the long fits first."""

    def __init__(self, most: int | None = None) -> None:
        """Use the cluster that this process is connected to.

        Args:
            most: fits at once; None: as many as the cluster has CPUs.

        """
        self._most = most
        cpus = int(ray.cluster_resources().get("CPU", 0))
        self.parallelism = max(1, cpus if most is None else min(most, cpus))

    def run(
        self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: FitTracker
    ) -> Iterator[tuple[FitTask, Fitted]]:
        """Run tasks, yielding each result as soon as it is there.

        Raises:
            ClusterError: a fit was lost too often, or a machine of the cluster is not set up as this one.

        """
        waiting = longest_first(tasks, len(rows))
        data = ray.put(rows), ray.put(codes)
        running: dict[Any, FitTask] = {}
        with _progress_actor(running) as actor:
            reader = _ProgressReader(actor, fits)
            fit = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_fit_remotely).remote
            while waiting or running:
                while waiting and len(running) < (self._most or len(tasks)):
                    task = waiting.pop(0)
                    running[fit(task, *data, actor, library_versions())] = task
                ready, _ = ray.wait([*running, *reader.expected], num_returns=1)
                if ready[0] not in running:
                    reader.read()
                    continue
                task = running[ready[0]]
                remote = _fetch(ready[0], task)
                del running[ready[0]]
                replay_warnings(remote.warned)
                reader.close(task.key)
                yield task, remote.fitted


def _fit_remotely(task: FitTask, rows: Rows, codes: Codes, actor: Any, versions: str) -> bytes:
    """Fit on some machine of the cluster.

    The result is packed here: taken out of the object store as it is, its arrays would be read-only, with which an SVC
    cannot predict.
    """
    if versions != library_versions():
        raise ClusterError(
            f"the machine {ray.util.get_node_ip_address()} of the Ray cluster has {library_versions()}, and this one "
            f"has {versions}: fits would differ; install the same versions there and here"
        )
    report = partial(_report, actor, task.key)
    report(0, 0)
    packed: bytes = cloudpickle.dumps(fit_single_threaded(task, rows, codes, epochs=report))
    return packed


class _WithdrawnError(Exception):
    """The training has ended without this fit; nobody reads its result."""


def _report(actor: Any, key: _FitKey, done: int, of: int) -> None:
    """Report progress from where the fit runs.

    Raises:
        _WithdrawnError: the fit is not wanted any more.

    """
    try:
        wanted = ray.get(actor.print.remote(key, done, of))
    except RayError:
        # Progress that is lost is not a reason to stop fitting.
        return
    if not wanted:
        raise _WithdrawnError


def _fetch(result: Any, task: FitTask) -> RemoteFit:
    """Unpack a result, or raise what its fit has raised."""
    try:
        remote: RemoteFit = cloudpickle.loads(ray.get(result))
    except RayTaskError as error:
        raise _original_error(error) from None
    except RayError as error:
        if missing := _missing_module(str(error)):
            raise missing from error
        where = f"fold {task.fold}" if task.fold else "all training rows"
        raise ClusterError(
            f"the fit of {task.part}, {where}, was begun {RETRIES + 1} times and lost with its process or machine each "
            "time; see whether the machines have memory enough, and run the same command again: finished fits are kept"
        ) from error
    return remote


def _original_error(error: RayTaskError) -> BaseException:
    """Return the exception that the fit has raised, without Ray's wrapping."""
    cause: BaseException = error.cause
    return _missing_module(str(cause)) or cause


def _missing_module(said: str) -> ClusterError | None:
    """Return an error that names the module a machine of the cluster lacks, if that is what Ray reports."""
    named = re.search(r"No module named '([^'.]+)", said)
    if named is None:
        return None
    ours = named[1].startswith("genrestack")
    remedy = 'pip install "genrestack[train,ray]" there, at the version of this machine' if ours else "install it there"
    return ClusterError(f"a machine of the Ray cluster lacks the module {named[1]}; {remedy}")


class _ProgressActor:
    """Actor to which fits report their progress and which says whether they are wanted; no result depends on it."""

    def __init__(self) -> None:
        self._progress: list[_FitProgress] = []
        self._any = asyncio.Event()
        self._wanted = True

    async def print(self, key: _FitKey, done: int, of: int) -> bool:
        """Take progress, and return whether the fit is still wanted."""
        self._progress.append((key, done, of))
        self._any.set()
        return self._wanted

    async def withdraw(self) -> None:
        """Have the fits end at their next report."""
        self._wanted = False
        self._any.set()

    async def read(self) -> list[_FitProgress]:
        """Wait for progress."""
        await self._any.wait()
        self._any.clear()
        progress, self._progress = self._progress, []
        return progress


@contextmanager
def _progress_actor(running: Collection[Any]) -> Iterator[Any]:
    """Start the progress actor on this process's own machine: losing another one does not lose it.

    Fits that still run at the end of the block are withdrawn, and the actor ends with the last of them. `ray.cancel` is
    not used: where it meets the end of a task, Ray ends the calling process
    (https://github.com/ray-project/ray/pull/54798; seen with 2.60).
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor = ray.remote(num_cpus=0)(_ProgressActor).options(scheduling_strategy=here).remote()
    try:
        yield actor
    finally:
        if running:
            actor.withdraw.remote()
        else:
            ray.kill(actor)


class _ProgressReader:
    """Forwards the progress of fits that have not ended."""

    def __init__(self, actor: Any, fits: FitTracker) -> None:
        self._actor = actor
        self._fits = fits
        self._over: set[_FitKey] = set()
        self.expected = [actor.read.remote()]
        """The next progress; empty once there will be none."""

    def read(self) -> None:
        """Forward the progress that has arrived."""
        try:
            progress = ray.get(self.expected.pop())
        except RayError:
            # Progress that is lost is not a reason to stop fitting.
            return
        self.expected.append(self._actor.read.remote())
        for key, done, of in progress:
            if key in self._over:
                continue
            if done == 0:
                self._fits.begin(key)
            else:
                self._fits.epoch(key, done, of)

    def close(self, key: _FitKey) -> None:
        """Ignore further progress of a fit that has ended."""
        self._over.add(key)
        self._fits.end(key)
