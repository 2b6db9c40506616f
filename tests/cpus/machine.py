"""A processor that programs are run on: this machine's, with switches set, or one that is emulated."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
SWITCHES: Final = ("OPENBLAS_", "NPY_", "ONEDNN_", "DNNL_", "TF_", "MKL_")
"""Variables by which libraries choose how they compute begin so; what this machine presets of them is taken away."""
_CHATTER: Final = ("warning: TCG", "cudart_stub.cc", "cuda_platform.cc")


class Stopped(Exception):
    """A program did not end well; the text is the last line it wrote."""


@dataclass(frozen=True)
class Machine:
    """How a Python is started there."""

    name: str
    python: Sequence[str | Path] = (sys.executable,)
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of the programs; give what it printed.

        Raises:
            Stopped: it ended with another status than 0, or by a signal.

        """
        return self.python_with("-W", "ignore", PROGRAMS / f"{program}.py", *arguments)

    def python_with(self, *arguments: str | Path) -> str:
        """Run Python with these arguments; see `run`."""
        command = [*self.python, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=self._environment(), cwd=ROOT)
        if done.returncode:
            raise Stopped(f"exit status {done.returncode}: {_last_line(done.stderr) or _last_line(done.stdout)}")
        return done.stdout

    def measured(self, program: str, *arguments: str | Path) -> Any:
        """Run a program whose last line is JSON; give what it holds."""
        return json.loads(self.run(program, *arguments).splitlines()[-1])

    @contextmanager
    def serving(self, models_dir: Path) -> Iterator[str]:
        """Serve a repository there for the length of the block; give HOST:PORT."""
        command = [*self.python, PROGRAMS / "serving.py", models_dir]
        with subprocess.Popen(
            command, env=self._environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            try:
                found = re.search(r" on (\S+:\d+) ", line := process.stdout.readline())
                if not found:
                    raise Stopped(f"the server does not start: {line.strip()}")
                yield found[1]
            finally:
                process.kill()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SWITCHES)}
        return {**kept, **self.variables}


def _last_line(text: str) -> str:
    """Return the last line that says something: qemu and TensorFlow have words for every machine."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line and not any(word in line for word in _CHATTER)), "")
