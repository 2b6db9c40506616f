"""One worker as its supervisor sees it: a process, and a control channel to it."""

import asyncio
import base64
import json
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from genrestack_server.config.server_config import ServerConfig

# One message is one line; the largest is a worker's metrics.
LINE_LIMIT: Final = 64 * 2**20
# How often a worker shows that its event loop turns, and sends its metrics.
HEARTBEAT_S: Final = 1.0
# A worker from which nothing has come for longer does not count as serving: it may be stopped, or its port lost.
_SILENCE_S: Final = 3 * HEARTBEAT_S
# A process that has said its last word has nothing left to do but end.
_EXIT_TIMEOUT_S: Final = 5.0


_NO_MEMORY: Final = ", as the kernel does where memory or a limit of it is used up"


class WorkerHandle:
    """A process that serves the port together with others; `follow` it until it has ended.

    Its messages arrive as JSON lines over a socket pair. The channel is also how either side learns at once that the
    other is gone.
    """

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, line: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self.number = number
        self.process = process
        self.began = self.last_message = time.monotonic()
        """Moments of the start, and of the last message."""
        self.alive = False
        """Whether it has been heard at all: its event loop runs."""
        self.said: list[str] | None = None
        """What it announced when it said SERVING; None: it has not yet."""
        self.accepting = True
        """Whether, as far as it has said, its port takes calls once it has announced itself."""
        self.ready = False
        """Whether, as far as it has said, it serves models."""
        self.failure: str | None = None
        """Why it cannot start."""
        self.metrics: list[Any] = []
        """Its latest metrics, as `families.pack` makes them."""
        self.commands: list[tuple[str, str]] = []
        """What it was asked to load and unload, and did: `load` or `unload`, and the model's name."""
        self.stuck = False
        """Whether it was killed because it no longer answered."""
        self._reader, self._writer = line

    @property
    def serving(self) -> bool:
        """Whether it takes calls: it has reported so, not revoked it, and sent a message recently."""
        recent = time.monotonic() - self.last_message < _SILENCE_S
        return self.said is not None and self.accepting and recent

    @classmethod
    async def start(cls, number: int, config: ServerConfig) -> "WorkerHandle":
        """Start the process and hand it what to serve. Never forked: gRPC and onnxruntime do not survive that."""
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the current folder is nothing to import from. A group of its own: Ctrl-C in a terminal reaches the
            # supervisor alone, which passes it on in order. Its standard output is ours to announce on.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "genrestack_server.process.worker_main", str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL, stdout=2, pass_fds=[theirs.fileno()], process_group=0,
            )  # fmt: skip
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_LIMIT)
        writer.write(base64.b64encode(pickle.dumps(config)) + b"\n")
        return cls(number, process, (reader, writer))

    async def follow(self, heard: Callable[["WorkerHandle"], None]) -> int:
        """Read its messages until it has ended; return its exit status, negative for a signal.

        Args:
            heard: called after each message.

        """
        try:
            while (line := await self._reader.readline()).endswith(b"\n"):
                self._take(json.loads(line))
                heard(self)
        except ConnectionError:
            # It ended without reading what it was told.
            pass
        finally:
            self._writer.close()
        try:
            async with asyncio.timeout(_EXIT_TIMEOUT_S):
                return await self.process.wait()
        except TimeoutError:
            self.kill()
            return await self.process.wait()

    def send(self, *order: str) -> None:
        """Send `drain`, `leave`, `reload`, or `load` or `unload` and a model's name."""
        self._writer.write(json.dumps(order).encode() + b"\n")

    def kill(self) -> None:
        """End it now, whatever it does."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)

    def _take(self, message: dict[str, Any]) -> None:
        self.last_message = time.monotonic()
        self.alive = True
        if "metrics" in message:
            self.metrics = message["metrics"]
        if "command" in message:
            command, name = message["command"]
            self.commands.append((command, name))
        if "accepting" in message:
            self.accepting = message["accepting"]
        if "ready" in message:
            self.ready = message["ready"]
        if "failure" in message:
            self.failure = message["failure"]
        if "serving" in message:
            self.said = message["serving"]


def ending(status: int) -> str:
    """Describe how a process ended, e.g. `was killed by SIGKILL`."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
        return f"was killed by {name}" + (_NO_MEMORY if name == "SIGKILL" else "")
    except ValueError:
        return f"was killed by signal {-status}"
