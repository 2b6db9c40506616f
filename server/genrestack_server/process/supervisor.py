"""Several workers on one port: started, watched, restarted and stopped from here.

This process serves nothing itself; it imports neither gRPC nor onnxruntime.
"""

import asyncio
import logging
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from genrestack_server.address import HTTP, reserved_port
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import StartError
from genrestack_server.process.signals import (
    AT_ONCE_S,
    DRAINED,
    FAREWELL_S,
    FORCED,
    INTERRUPTED,
    Announce,
    take_signals,
)
from genrestack_server.process.worker_handle import WorkerHandle, ending

if TYPE_CHECKING:
    from genrestack_server.telemetry.aggregation import Totals

_log = logging.getLogger(__name__)

_TICK_S: Final = 0.2
# A supervisor that was itself held up this long (a suspended machine, a frozen container) cannot blame its workers.
_LATE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How long a supervisor waits for what, in seconds."""

    heartbeat_timeout: float = 10.0
    """Without a sign that a worker's event loop turns, after which it counts as stuck."""
    startup_timeout: float = 120.0
    """Until the first of these signs: a process imports its libraries first."""
    first_delay: float = 0.1
    """Between a worker's end and its restart; doubled each time it has ended soon again."""
    max_delay: float = 30.0
    """The most that comes of it."""
    stable_after: float = 60.0
    """After which a worker has not ended soon."""
    attempts: int = 3
    """Starts of a worker that may fail in a row (this one is a number)."""
    kill_after: float = FAREWELL_S
    """Beyond the time to finish, after which a worker that was told to stop is killed."""


def supervise(config: ServerConfig, announce: Announce, policy: RestartPolicy | None = None) -> int:
    """Serve with `config.workers` workers until SIGINT or SIGTERM, drain, and return the exit status.

    Args:
        config: what to serve, and where.
        announce: called once, when all workers serve.
        patience: how long to wait for what.

    Raises:
        StartError: the server cannot start.

    """
    return asyncio.run(_supervise(config, announce, policy or RestartPolicy()))


async def _supervise(config: ServerConfig, announce: Announce, policy: RestartPolicy) -> int:
    with ExitStack() as held:
        port = held.enter_context(reserved_port(config.host, config.port))
        http_port = config.http_port
        if http_port is not None:
            http_port = held.enter_context(reserved_port(config.host, http_port, HTTP))
        supervisor = Supervisor(replace(config, port=port, http_port=http_port), policy)
        lines = []
        if config.metrics_port is not None:
            from genrestack_server.telemetry.aggregation import Totals
            from genrestack_server.telemetry.metrics_server import metrics_endpoint
            from genrestack_server.telemetry.probes import Probes

            supervisor.totals = Totals(lambda: supervisor.serving)
            probes = Probes(supervisor.is_ready)
            endpoint = metrics_endpoint(config.metrics_host, config.metrics_port, supervisor.totals, probes)
            lines = [f"metrics on {held.enter_context(endpoint)}"]
        take_signals(config, supervisor.stop, supervisor.reload)
        await supervisor.run(lambda said: announce([*said, *lines]))
        return supervisor.status


class Supervisor:
    """Keeps workers serving until it is told to stop. Belongs to one event loop."""

    def __init__(self, config: ServerConfig, policy: RestartPolicy) -> None:
        """Start nothing yet.

        Args:
            config: what every worker gets; its ports have numbers, and are reserved.
            patience: how long to wait for what.

        """
        self.totals: Totals | None = None
        """What the workers count, if anybody wants to know."""
        self._config = config
        self._policy = policy
        self._workers: dict[int, WorkerHandle] = {}
        self._failed = dict.fromkeys(range(1, config.workers + 1), 0)
        """Starts that failed in a row, by the worker's number."""
        self._announce: Announce | None = None
        self._stopping = asyncio.Event()
        self._at_once = self._forced = self._interrupted = False
        self._last_moment = float("inf")
        self._failure: StartError | None = None

    @property
    def serving(self) -> int:
        """How many workers say that they serve."""
        return sum(worker.serving for worker in list(self._workers.values()))

    def is_ready(self) -> bool:
        """Return whether a worker serves models, and stopping has not begun."""
        return not self._stopping.is_set() and any(each.serving and each.ready for each in self._workers.values())

    @property
    def status(self) -> int:
        """Exit status of the process."""
        if self._forced:
            return FORCED
        return INTERRUPTED if self._interrupted else DRAINED

    def stop(self, number: signal.Signals) -> None:
        """Drain every worker and stop; the second time, stop at once."""
        self._at_once = self._forced = self._stopping.is_set()
        self._interrupted = number is signal.SIGINT and self._announce is not None
        if self._at_once:
            self._end(AT_ONCE_S)
        else:
            _log.info("stopping: every worker finishes what is in flight")
            self._end(self._config.grace + self._policy.kill_after)

    def reload(self) -> None:
        """Make every worker read certificates and tokens again."""
        for worker in self._workers.values():
            worker.send("reload")

    async def run(self, announce: Announce) -> None:
        """Keep workers serving until `stop`; `announce` once, when all of them serve.

        Raises:
            StartError: they cannot start.

        """
        self._announce = announce
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.gather(*(self._keep(number) for number in self._failed))
        finally:
            watch.cancel()
            for worker in self._workers.values():
                worker.kill()
        if self._failure is not None:
            raise self._failure

    async def _keep(self, number: int) -> None:
        """Keep a worker of this number running: start another after its end."""
        submit = 0
        while not self._stopping.is_set():
            worker = self._workers[number] = await WorkerHandle.start(number, self._config)
            if self._stopping.is_set():
                self._send_stop(worker)
            status = await worker.follow(self._on_message)
            del self._workers[number]
            if self.totals is not None:
                self.totals.retire_worker(str(number))
            if self._stopping.is_set():
                # A worker that never served had no callers.
                self._forced = self._forced or (worker.said is not None and status != DRAINED)
            else:
                self._judge(worker, status)
                stable_after = worker.said is not None and time.monotonic() - worker.began > self._policy.stable_after
                submit = 0 if stable_after else submit + 1
                await self._pause(submit)

    def _on_message(self, worker: WorkerHandle) -> None:
        if self.totals is not None:
            self.totals.update(str(worker.number), worker.metrics)
        while worker.commands:
            self._pass_on(worker, *worker.commands.pop(0))
        if worker.said is not None:
            self._failed[worker.number] = 0
            if self._announce is not None and self.serving == self._config.workers:
                self._announce(worker.said)
                self._announce = None

    def _pass_on(self, doer: WorkerHandle, command: str, name: str) -> None:
        """Make every other worker load or unload what one was asked to, those yet to come included."""
        others = [loaded for loaded in self._config.load_models if loaded != name]
        loaded = (*others, name) if command == "load" else tuple(others)
        self._config = replace(self._config, load_models=loaded)
        for worker in self._workers.values():
            if worker is not doer:
                worker.send(command, name)

    def _judge(self, worker: WorkerHandle, status: int) -> None:
        """Record a worker that ended by itself, and give up where another one would fare no better."""
        how = "no longer answered and was killed" if worker.stuck else ending(status)
        if self.totals is not None:
            self.totals.restarts.labels("stuck" if worker.stuck else "ended").inc()
        if worker.said is not None:
            _log.error("worker %d (process %d) %s; it is restarted", worker.number, worker.process.pid, how)
            return
        self._failed[worker.number] += 1
        text = worker.failure or f"worker {worker.number} {how} while it started; the lines above may say why"
        if self._is_hopeless(worker):
            self._failure = StartError(text)
            self._end(self._policy.kill_after)
        else:
            _log.error("worker %d cannot start and is tried again: %s", worker.number, text)

    def _is_hopeless(self, worker: WorkerHandle) -> bool:
        often = [failed >= self._policy.attempts for failed in self._failed.values()]
        if self._announce is None:
            return all(often)
        return worker.failure is not None or any(often)

    async def _pause(self, submit: int) -> None:
        policy = self._policy
        # The exponent is bounded, or the power would leave what a float can hold.
        pause = min(policy.max_delay, policy.first_delay * 2 ** min(submit - 1, 20)) if submit else 0.0
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _end(self, seconds: float) -> None:
        self._stopping.set()
        self._last_moment = time.monotonic() + seconds
        for worker in self._workers.values():
            self._send_stop(worker)

    def _send_stop(self, worker: WorkerHandle) -> None:
        worker.send("leave" if self._at_once or self._failure is not None else "drain")

    async def _watch(self) -> None:
        """Kill workers that are stuck, and after the grace period those that are left."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            for worker in self._workers.values():
                if now - before > _LATE_S:
                    worker.last_message = now
                allowed = self._policy.heartbeat_timeout if worker.alive else self._policy.startup_timeout
                worker.stuck = worker.stuck or now - worker.last_message > allowed
                if worker.stuck or now > self._last_moment:
                    worker.kill()
            before = now
