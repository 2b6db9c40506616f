"""A folder with a small table, a run, a model and a server: everything real, and as small as it can be."""

import csv
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from tools.bad_input.finding import Finding

BIN = Path(sys.executable).parent
FEATURES = tuple(f"pixel_{number}" for number in range(64))
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Without the network a stack is fitted in a second.
SETTINGS = '[stack]\nestimators = ["knn", "svc"]\nfolds = 3\n'
_ROWS = 400
STILL_RUNS = "no exit"
"""Status of a process that should have ended with an error and did not."""
_WAIT_S = 60


@dataclass
class Service:
    """A server in a process of its own."""

    process: "subprocess.Popen[str]"
    port: int

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"


class World:
    """Where the walk takes place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: list[int] = []
        self.rows = _digits()
        self.table("digits.csv", [*FEATURES, "label"], self.rows)
        (folder / "quick.toml").write_text(SETTINGS, encoding="utf-8")
        self.must("train", "digits.csv", "--settings", "quick.toml", "--run", "runs/digits/first")

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        """Write a table."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        return path

    def changed(self, name: str, row: int, column: int, value: object) -> Path:
        """Write the table with another value in one cell."""
        rows = [list(cells) for cells in self.rows]
        rows[row][column] = value
        return self.table(name, [*FEATURES, "label"], rows)

    def run(self, title: str, *arguments: str | int, **options: Any) -> Finding:
        """Run `genrestack ARGUMENTS` and keep what it says on standard error."""
        quiet, shown = options.pop("quiet", False), options.pop("shown", None)
        with self.started(*arguments, **options) as process:
            return self.ended(title, process, shown or line(arguments), quiet=quiet)

    def must(self, *arguments: str | int) -> None:
        """Run what has to succeed."""
        with self.started(*arguments) as process:
            _, said = process.communicate(timeout=_WAIT_S)
        if process.returncode:
            raise RuntimeError(f"{line(arguments)} failed: {said}")

    @contextmanager
    def started(self, *arguments: str | int, **options: Any) -> "Iterator[subprocess.Popen[str]]":
        """Start `genrestack ARGUMENTS` in the folder; killed at the end if it still runs."""
        argv = options.pop("argv", None) or [BIN / "genrestack", *map(str, arguments)]
        process = subprocess.Popen(
            argv, cwd=self.folder, env=self._environment, text=True,
            stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **options,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def ended(self, title: str, process: "subprocess.Popen[str]", shown: str, *, quiet: bool = False) -> Finding:
        """Wait for a process and take down its answer."""
        try:
            out, said = process.communicate(timeout=_WAIT_S)
            status = f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            out, said = process.communicate()
            status = STILL_RUNS
        return Finding(title, f"$ {self.plain(shown)}", status, self.plain(_told(said)), stdout=out or "", quiet=quiet)

    def interrupted(
        self, title: str, *arguments: str | int, when: Callable[[IO[str]], object], **options: Any
    ) -> Finding:
        """Press Ctrl-C once `when`, given the process's standard error, returns."""
        with self.started(*arguments, **options) as process:
            assert process.stderr is not None
            when(process.stderr)
            process.send_signal(signal.SIGINT)
            return self.ended(title, process, f"{line(arguments)}   # and Ctrl-C", quiet=True)

    @contextmanager
    def serving(self, *arguments: str | int) -> Iterator[Service]:
        """Serve on a free port."""
        with self.started("serve", *(arguments or ["models"]), "--port", 0) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r":(\d+) ", said)
            assert found, said
            self.ports.append(int(found[1]))
            yield Service(process, self.ports[-1])

    def plain(self, text: str) -> str:
        """Leave out where on this machine it happened."""
        text = text.replace(f"{self.folder}/", "").replace(str(self.folder), ".")
        for port in self.ports:
            text = re.sub(rf"\b{port}\b", "50051", text)
        return text

    @cached_property
    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GENRESTACK_")}
        # A free port: who has the usual one on this machine is not part of the walk.
        free = {"GENRESTACK_SERVE_PORT": "0"}
        return kept | free | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}


def line(arguments: Sequence[str | int]) -> str:
    """Write the command as a person types it."""
    return shlex.join(["genrestack", *map(str, arguments)])


def until(wanted: str) -> Callable[[IO[str]], object]:
    """Wait until a line with this text comes."""
    return lambda stream: next(text for text in stream if wanted in text)


def after(seconds: float) -> Callable[[IO[str]], object]:
    """Wait."""
    return lambda _: time.sleep(seconds)


def _told(said: str) -> str:
    """Leave the progress and the log out of standard error: they are not an answer to the bad input."""
    noise = re.compile(r"^(\s*\d+%  |\d{4}-\d\d-\d\d[T ]|exporting: |warning: unpickling )")
    return "\n".join(text for text in said.splitlines() if text.strip() and not noise.match(text))


def _digits() -> list[list[object]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return [
        [*(f"{v:g}" for v in row), WORDS[k]] for row, k in zip(digits.data[:_ROWS], digits.target[:_ROWS], strict=True)
    ]
