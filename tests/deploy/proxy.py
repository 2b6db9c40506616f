"""nginx as an ordinary user, with the configuration of `deploy/nginx` and other ports."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from support.tools import need
from support.waiting import GUARD_S, until

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "nginx.conf"
# What Debian calls nobody; no account has to exist by this number.
_NOBODY = 65534
_LISTEN, _FIRST, _SECOND = "127.0.0.1:8080", "127.0.0.1:50051", "127.0.0.1:50052"


class Proxy:
    """Nginx in front of two servers on this machine."""

    def __init__(self, program: str, folder: Path, behind: Sequence[int]) -> None:
        self._program = program
        self._folder = folder
        self._behind = behind
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self._write()
        user: int | None = None
        if os.geteuid() == 0:
            user = _NOBODY
            os.chown(self._folder, user, user)
        command = [self._program, "-p", str(self._folder), "-c", "nginx.conf", "-g", "daemon off;"]
        with (self._folder / "errors").open("wb") as errors:
            process = subprocess.Popen(command, stderr=errors, stdin=subprocess.DEVNULL, user=user, group=user)
        self._process = process
        until(lambda: _listens(self._port) or process.poll() is not None, "nginx does not listen")
        assert process.poll() is None, (self._folder / "errors").read_text()

    def leave_out(self, port: int | None) -> None:
        """Mark the server on this port as `down`, and no other, as one would by hand."""
        assert self._process is not None
        self._write(down=port)
        self._process.send_signal(signal.SIGHUP)

    def passed(self) -> "Counter[tuple[str, str]]":
        """Count what it let through, by method and gRPC status; empty: the call had no end."""
        lines = (self._folder / "access.log").read_text().splitlines()
        found = [re.search(r" /\S*/(\w+) http=\d+ grpc=-?(\d*)", line) for line in lines]
        assert all(found), lines
        return Counter((each[1], each[2]) for each in found if each)

    def end(self) -> None:
        """Its workers end with it on this signal; after SIGKILL they would not."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(GUARD_S)

    def _write(self, down: int | None = None) -> None:
        text = CONFIGURATION.read_text()
        for documented, port in zip((_LISTEN, _FIRST, _SECOND), (self._port, *self._behind), strict=True):
            assert text.count(f"{documented} ") == 1, documented
            text = text.replace(f"{documented} ", f"127.0.0.1:{port} " + ("down " if port == down else ""))
        (self._folder / "nginx.conf").write_text(text)


@contextmanager
def proxy(ports: Sequence[int]) -> Iterator[Proxy]:
    """Run nginx in front of these."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    need(program, "nginx (Debian package nginx-light)")
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        running = Proxy(program, Path(folder), ports)
        try:
            running.start()
            yield running
        finally:
            running.end()


def free_port() -> int:
    """Find a port that nothing listens on, outside the range from which connections take theirs.

    A server that is killed and started again comes back on the same port; meanwhile nobody may take it.
    """
    dice = random.Random()
    while True:
        port = dice.randrange(20_000, 32_000)
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
