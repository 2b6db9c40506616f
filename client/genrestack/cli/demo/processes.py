"""Running other subcommands the way a person would, as a transcript."""

import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import click

from genrestack.cli.main import SeveralLines
from genrestack.cli.standard_streams import PIPE_STATUS
from genrestack_common.text import printable

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_INTERRUPT_SECONDS: Final = 5.0
_TAIL_LINES: Final = 10

Argument = str | int | Path


def run_command(*arguments: Argument) -> None:
    """Show and run `genrestack ARGUMENTS`, its output passing through.

    Raises:
        click.ClickException: it failed.

    """
    words = [str(argument) for argument in arguments]
    _show(words)
    status = _wait(subprocess.Popen(_argv(words), env=_environment()))
    if status == PIPE_STATUS:
        # The reader of its output has closed the pipe.
        raise click.exceptions.Exit(status)
    if status:
        raise click.ClickException(
            f"`{_line(words)}` failed with exit status {status}; what it said stands above. "
            "Put it right and run genrestack demo again, or the command alone."
        )


class Background:
    """A subcommand that runs beside the others and is stopped at the end, whatever happens."""

    def __init__(self, *arguments: Argument, log: Path) -> None:
        self._words = [str(argument) for argument in arguments]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        _show(self._words, " &")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _argv(self._words), stdout=log, stderr=subprocess.STDOUT, env=_environment()
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status and error is None:
            raise self._failure(f"did not stop cleanly (exit status {status})")

    def wait_for_port(self, port: int, seconds: float = _START_SECONDS) -> None:
        """Return once something listens; raises click.ClickException if the process ends or takes too long."""
        end = time.monotonic() + seconds
        while not _listens(port):
            status = None if self._process is None else self._process.poll()
            if status is not None:
                raise self._failure(f"ended with exit status {status}")
            if time.monotonic() > end:
                raise self._failure(f"did not listen on port {port} within {seconds:.0f} s")
            time.sleep(0.05)

    def _failure(self, what: str) -> click.ClickException:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        said = "\n".join(["", *map(printable, lines)]) if lines else " nothing."
        log = printable(str(self._log))
        return SeveralLines(f"`{printable(_line(self._words))}` {what}. All of it is in {log}; it said last:{said}")


def free_port(wanted: int) -> int:
    """`wanted` if it is free on the loopback address, else any port that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As a server would: a port whose last connections are still winding down is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise click.ClickException("no free TCP port on 127.0.0.1; stop some servers and try again")


def _wait(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait()
    except BaseException:
        # Ctrl-C reaches the child too: it gets a moment to say goodbye.
        try:
            process.wait(_INTERRUPT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _argv(words: list[str]) -> list[str]:
    # Nothing that lies in the folder at hand is a module of ours.
    return [sys.executable, "-P", "-m", "genrestack", *words]


def _environment() -> dict[str, str]:
    """Leave out settings of other servers and clients: the commands are shown with all that they are told."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GENRESTACK_")}


def _line(words: list[str]) -> str:
    return shlex.join(["genrestack", *words])


def _show(words: list[str], after: str = "") -> None:
    click.secho(f"\n$ {printable(_line(words))}{after}", bold=True)
    # The child writes to the same place without knowing of our buffer.
    sys.stdout.flush()
