"""Fits as tasks of a Ray cluster, each tried again elsewhere when its machine is lost.

Tasks, not actors: an actor pool, such as joblib's Ray backend, dies with a machine. Importing this module imports Ray.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import ray
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from genrestack_training.errors import ClusterError
from genrestack_training.fitting.engines import Codes, Rows, longest_first
from genrestack_training.fitting.progress import Fits
from genrestack_training.fitting.single_thread import Brought, fit_aside, warn_here
from genrestack_training.fitting.store import library_versions
from genrestack_training.fitting.tasks import FitTask, Fitted

RETRIES: Final = 5
"""How often a fit begins anew after its machine or process was lost; never after an error of its own."""

_Key = tuple[str, int]
_News = tuple[_Key, int, int]
"""Of which fit, epochs done and in all; 0 of 0 when it begins."""


class RayTasks:
    """One Ray task a fit, each with one CPU and one thread, the long fits first."""

    def __init__(self, most: int | None = None) -> None:
        """Take the cluster that this process is connected to.

        Args:
            most: fits at once; None: as many as the cluster has CPUs.

        """
        self._most = most
        cpus = int(ray.cluster_resources().get("CPU", 0))
        self.lanes = max(1, cpus if most is None else min(most, cpus))

    def run(self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: Fits) -> Iterator[tuple[FitTask, Fitted]]:
        """Run tasks, giving each result as soon as it is there.

        Raises:
            ClusterError: a fit was lost too often, or a machine of the cluster is not set up as this one.

        """
        waiting = longest_first(tasks, len(rows))
        data = ray.put(rows), ray.put(codes)
        with _telling() as paper, _running() as running:
            desk = _Desk(paper, fits)
            fit = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_fit_there).remote
            while waiting or running:
                while waiting and len(running) < (self._most or len(tasks)):
                    task = waiting.pop(0)
                    running[fit(task, *data, paper, library_versions())] = task
                ready, _ = ray.wait([*running, *desk.expected], num_returns=1)
                if ready[0] not in running:
                    desk.read()
                    continue
                task = running[ready[0]]
                brought = _fetch(ready[0], task)
                del running[ready[0]]
                warn_here(brought.warned)
                desk.close(task.key)
                yield task, brought.fitted


def _fit_there(task: FitTask, rows: Rows, codes: Codes, paper: Any, versions: str) -> bytes:
    """Fit on some machine of the cluster.

    The result is packed here: taken out of the object store as it is, its arrays would be read-only, with which an SVC
    cannot predict.
    """
    if versions != library_versions():
        raise ClusterError(
            f"the machine {ray.util.get_node_ip_address()} of the Ray cluster has {library_versions()}, and this one "
            f"has {versions}: fits would differ; install the same versions there and here"
        )
    paper.print.remote(task.key, 0, 0)
    packed: bytes = cloudpickle.dumps(fit_aside(task, rows, codes, epochs=partial(paper.print.remote, task.key)))
    return packed


def _fetch(result: Any, task: FitTask) -> Brought:
    """Unpack a result, or raise what its fit has raised."""
    try:
        brought: Brought = cloudpickle.loads(ray.get(result))
    except RayTaskError as error:
        raise _as_here(error) from None
    except RayError as error:
        if lacking := _lacking(str(error)):
            raise lacking from error
        where = f"fold {task.fold}" if task.fold else "all training rows"
        raise ClusterError(
            f"the fit of {task.part}, {where}, was begun {RETRIES + 1} times and lost with its process or machine each "
            "time; see whether the machines have memory enough, and run the same command again: finished fits are kept"
        ) from error
    return brought


def _as_here(error: RayTaskError) -> BaseException:
    """Give the exception that the fit has raised, without Ray's wrapping."""
    cause: BaseException = error.cause
    return _lacking(str(cause)) or cause


def _lacking(said: str) -> ClusterError | None:
    """Say what a machine of the cluster lacks, if that is what Ray says."""
    named = re.search(r"No module named '([^'.]+)", said)
    if named is None:
        return None
    ours = named[1].startswith("genrestack")
    remedy = 'pip install "genrestack[train,ray]" there, at the version of this machine' if ours else "install it there"
    return ClusterError(f"a machine of the Ray cluster lacks the module {named[1]}; {remedy}")


@contextmanager
def _running() -> Iterator[dict[Any, FitTask]]:
    """Keep account of what runs, and stop what still does when the block ends early."""
    running: dict[Any, FitTask] = {}
    try:
        yield running
    finally:
        for result in running:
            with suppress(RayError, ValueError):
                ray.cancel(result, force=True)


class _Paper:
    """Where fits print how far they are: an actor, which nobody's result depends on."""

    def __init__(self) -> None:
        self._news: list[_News] = []
        self._any = asyncio.Event()

    async def print(self, key: _Key, done: int, of: int) -> None:
        self._news.append((key, done, of))
        self._any.set()

    async def read(self) -> list[_News]:
        """Wait for news."""
        await self._any.wait()
        self._any.clear()
        news, self._news = self._news, []
        return news


@contextmanager
def _telling() -> Iterator[Any]:
    """Start the paper on this process's own machine: losing another one does not lose it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    paper = ray.remote(num_cpus=0)(_Paper).options(scheduling_strategy=here).remote()
    try:
        yield paper
    finally:
        ray.kill(paper)


class _Desk:
    """Reads the paper and passes on what it says of fits that are not over."""

    def __init__(self, paper: Any, fits: Fits) -> None:
        self._paper = paper
        self._fits = fits
        self._over: set[_Key] = set()
        self.expected = [paper.read.remote()]
        """The next news; empty once there will be none."""

    def read(self) -> None:
        """Pass on the news that have come."""
        try:
            news = ray.get(self.expected.pop())
        except RayError:
            # Somebody watching is no reason to stop fitting.
            return
        self.expected.append(self._paper.read.remote())
        for key, done, of in news:
            if key in self._over:
                continue
            if done == 0:
                self._fits.begin(key)
            else:
                self._fits.epoch(key, done, of)

    def close(self, key: _Key) -> None:
        """Hear no more of a fit that is over."""
        self._over.add(key)
        self._fits.end(key)
