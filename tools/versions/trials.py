"""What is run on an installed case: the demo, or the line that says why there is none, and the core tests."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.versions.cases import ROOT, TRAINING, Case
from tools.versions.environments import Follow, StepError, Workshop, run_logged

_SUMMARY: Final = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s")
# Warnings are errors in `make test`, where all versions are pinned. Announcements of others are not failures here.
_PYTEST: Final = "-v -W default -p no:cacheprovider"
_BESIDE: Final = "-n 2 --dist loadfile"
_TABLE: Final = "tempo,label\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(60))


@dataclass(frozen=True)
class Step:
    """What was tried, what came of it, and whether that is as it has to be."""

    what: str
    found: str
    good: bool


@dataclass(frozen=True)
class Trial:
    """An installed case, to be tried."""

    workshop: Workshop
    case: Case
    programs: Path
    follow: Follow

    def steps(self) -> Iterator[Step]:
        """Yield what came of each thing that is tried."""
        if self.case.demo:
            yield self._step("demo", self._demo)
        if self.case.python not in TRAINING:
            yield self._refusal()
        yield self._step("tests", self._tests)

    def _step(self, what: str, run: Callable[[], str]) -> Step:
        try:
            return Step(what, run(), good=True)
        except StepError as error:
            return Step(what, str(error), good=False)

    def _demo(self) -> str:
        folder = self.workshop.folder / f"{self.case.name}-demo"
        try:
            self._run(["genrestack", "demo", "--dir", str(folder)], self.workshop.folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return "passed"

    def _tests(self) -> str:
        beside = self._pytest(*_BESIDE.split(), *self.case.tests)
        return f"{beside}; {self._pytest(*self.case.alone)}" if self.case.alone else beside

    def _pytest(self, *arguments: str) -> str:
        argv = ["python", "-m", "pytest", *_PYTEST.split(), "-m", "not long and not gpu", *arguments]
        summaries = [match[1] for line in self._run(argv, ROOT) if (match := _SUMMARY.match(line))]
        if not summaries:
            raise StepError("pytest printed no summary")
        return summaries[-1]

    def _refusal(self) -> Step:
        """Ask for a training where TensorFlow cannot be installed: one line has to say so, and nothing is left."""
        with tempfile.TemporaryDirectory(dir=self.workshop.folder) as folder:
            Path(folder, "table.csv").write_text(_TABLE, encoding="utf-8")
            argv = [str(self.programs / "genrestack"), "train", "table.csv"]
            env = self._environment()
            done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, cwd=folder)
            left = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
        said = (done.stdout + done.stderr).strip()
        clear = done.returncode == 1 and "\n" not in said and "no stable release for Python" in said
        return Step("train", f"{said}{f' (left {left})' if left != ['table.csv'] else ''}", good=clear)

    def _run(self, argv: Sequence[str], cwd: Path) -> list[str]:
        program, *arguments = argv
        log = self.workshop.log(self.case)
        return run_logged([str(self.programs / program), *arguments], log, self._environment(), cwd, self.follow)

    def _environment(self) -> dict[str, str]:
        """Keep the variables of this process but for Python's and ours; the environment's programs come first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GENRESTACK_"))}
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return kept | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
