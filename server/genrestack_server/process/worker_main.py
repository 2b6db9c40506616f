"""One of several processes that serve a port together; its supervisor alone starts it."""

import asyncio
import base64
import ctypes
import json
import logging
import pickle
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import StartError
from genrestack_server.process.runner import ServerRunner
from genrestack_server.process.signals import leave, report_unhandled
from genrestack_server.process.worker_handle import HEARTBEAT_S
from genrestack_server.telemetry import log_setup

if TYPE_CHECKING:
    from genrestack_server.models.manager import ModelManager
    from genrestack_server.server import Server

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Serve what the supervisor at the other end of the socket given as argument says."""
    _end_with_parent()
    return asyncio.run(_work(socket.socket(fileno=int(sys.argv[1]))))


class ControlChannel:
    """The worker's end of the control channel to its supervisor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._manager: asyncio.Future[ModelManager] = asyncio.get_running_loop().create_future()

    async def order(self) -> ServerConfig:
        """Read what to serve."""
        order = base64.b64decode(await self._reader.readline())
        config: ServerConfig = pickle.loads(order)  # noqa: S301 - from the process that started this one
        return config

    def send(self, **message: Any) -> None:
        """Write one message to the supervisor."""
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def heartbeat(self, server: "Server") -> None:
        """Show that this worker can answer: its event loop turns, its port is open, and no run is stuck.

        A supervisor that does not read is not written to.
        """
        while True:
            if not (server.down or server.stuck) and not self._writer.transport.get_write_buffer_size():
                self.send(**_state(server))
            await asyncio.sleep(HEARTBEAT_S)

    async def handle_commands(self, runner: ServerRunner, server: "Server") -> None:
        """Run the supervisor's commands; end when it has gone, since nothing else restarts or stops this worker."""
        following: set[asyncio.Task[None]] = set()
        while order := await self._next_order():
            match order:
                case ["reload"]:
                    server.reload()
                case ["drain" | "leave" as how]:
                    runner.stop(at_once=how == "leave")
                case [command, name]:
                    task = asyncio.create_task(self._follow(command, name))
                    following.add(task)
                    task.add_done_callback(following.discard)
        _log.error("the supervisor is gone")
        leave(1)

    async def _next_order(self) -> list[str]:
        """Read the next command; an empty one when the supervisor has gone."""
        with suppress(OSError):
            if line := await self._reader.readline():
                order: list[str] = json.loads(line)
                return order
        return []

    def broadcast(self, command: str, name: str) -> None:
        """Make the other workers load or unload what this one was asked to."""
        self.send(command=[command, name])

    def started(self, server: "Server") -> None:
        """From now on, load and unload what other workers were asked to."""
        self._manager.set_result(server.engine.manager)

    async def _follow(self, command: str, name: str) -> None:
        await (await self._manager).follow(command, name)

    async def end(self, server: "Server") -> None:
        """Write the last counts, and wait until they have left."""
        self.send(**_state(server))
        await self._writer.drain()


async def _work(channel: socket.socket) -> int:
    control = ControlChannel(*await asyncio.open_unix_connection(sock=channel))
    config = await control.order()
    log_setup.configure(config.log_level, config.log_format)
    try:
        await _serve(control, _share_cpus(config))
    except StartError as error:
        control.send(failure=str(error))
        return 2


async def _serve(control: ControlChannel, config: ServerConfig) -> NoReturn:
    from genrestack_server.process.runner import startup_banner
    from genrestack_server.server import Server

    server = Server(
        config,
        shares_port=True,
        accepts=lambda accepting: control.send(accepting=accepting),
        broadcast=control.broadcast,
    )
    runner = ServerRunner(config.grace)
    # The supervisor's commands come over the control channel; a signal from elsewhere drains this worker, and no
    # second one is counted, as signalling a whole group would send two.
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, runner.stop)
    loop.set_exception_handler(report_unhandled)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Referred to, as the event loop itself does not keep its tasks.
    _tasks = [
        asyncio.create_task(control.heartbeat(server)),
        asyncio.create_task(control.handle_commands(runner, server)),
    ]

    def serving() -> None:
        control.started(server)
        control.send(serving=startup_banner(server), ready=server.is_ready())

    status = await runner.run(server, serving)
    await control.end(server)
    leave(status)


def _state(server: "Server") -> dict[str, Any]:
    metrics = server.telemetry.metrics
    return {"ready": server.is_ready()} | ({} if metrics is None else {"metrics": metrics.packed()})


def _share_cpus(config: ServerConfig) -> ServerConfig:
    from genrestack_common.resources import usable_cpus

    return replace(config, threads=config.threads or max(1, usable_cpus() // config.workers))


def _end_with_parent() -> None:
    """Make the kernel end this process with the one that started it: a stuck event loop would not notice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
