"""What is tried on a processor, and what came of it."""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from cpus import emulated
from cpus.machine import Machine, Stopped
from cpus.switches import Switch, lacks, seen_on, words
from sklearn.datasets import make_classification

from genrestack import Client
from genrestack_bundle import open_bundle

SUITE: Final = (
    "tests/export", "tests/bundle/test_golden.py", "tests/bundle/test_session.py", "tests/server/test_real_model.py",
)  # fmt: skip
PRECISIONS: Final = ("single", "double")
_BEGAN: Final = time.monotonic()


class Tries:
    """What was tried, and what came of it."""

    def __init__(self, folder: Path) -> None:
        """Train and export what all the others are compared with."""
        self.folder = folder
        self.failed = False
        self.native_program = emulated.native_program(folder / "native", "gcc")
        self.table = _table(folder / "table.csv")
        here = Machine("this machine")
        self.seen = seen_on(here)
        say(f"this machine: {words(self.seen)}")
        measured = here.measured("training", self.table, self._fresh("models"))
        say(f"this machine, trained and exported: {_line(measured)}")
        self.bundles = [folder / "models" / precision / "1" for precision in PRECISIONS]
        self.answers = self._answers(here)[1]

    def switched(self, switch: Switch) -> None:
        """Run the parity tests, the golden rows and a training of its own under a switch."""
        if lacking := lacks(switch):
            say(f"{switch.name}: not run, this processor has no {lacking}")
            return
        machine = Machine(switch.name, variables=switch.variables)
        try:
            seen = seen_on(machine)
        except Stopped as reason:
            self.failed = True
            say(f"{switch.name}: FAILED: {reason}")
            return
        if not switch.effect(seen, self.seen):
            say(f"{switch.name}: no effect, and so not run ({words(seen)})")
            return
        if seen == self.seen:
            say(f"{switch.name}: what this machine chooses by itself, and so not run again")
            return
        say(f"{switch.name}: {words(seen)}")
        self._try(machine, "golden rows", self.golden)
        self._try(
            machine, "trained and exported", lambda m: _line(m.measured("training", self.table, self._fresh("m")))
        )
        self._try(machine, "parity tests", _suite)

    def native(self, machine: Machine, emulator: Sequence[str | Path], program: Path | None) -> None:
        """See that native operators answer there what they answer here, to the last bit, by every instruction set."""
        if program is None or self.native_program is None:
            say(f"{machine.name}, native operators: not run, there is no compiler for it ({emulated.CROSS_PACKAGE})")
            return
        here = self.native_program
        self._try(machine, "native operators", lambda _: _compared(_hashes(here), _hashes(*emulator, program)))

    def emulated(self, machine: Machine, *, starts: bool = True) -> None:
        """Answer the golden rows on an emulated processor, and ask a server there; or see that it does not start."""
        if not starts:
            self._fails(machine, "golden rows", lambda: self.golden(machine))
            return
        self._try(machine, "golden rows", self.golden)
        self._try(machine, "served", self.served)

    def trains(self, machine: Machine, *, starts: bool) -> None:
        """See whether what trains can be imported there."""
        if starts:
            self._try(machine, "train", lambda m: m.python_with("-c", "import tensorflow") or "TensorFlow is imported")
        else:
            self._fails(machine, "train", lambda: machine.python_with("-c", "import tensorflow"))

    def trained(self, machine: Machine) -> str:
        """Train and export there; say what the exports measured."""
        return _line(machine.measured("training", self.table, self._fresh("trained")))

    def golden(self, machine: Machine) -> str:
        """Answer the golden rows there; say how far from the original's and from this machine's answers they are."""
        measured, answers = self._answers(machine)
        moved = max(float(np.abs(answers[name] - self.answers[name]).max()) for name in PRECISIONS)
        apart = f"{moved:.1e} from this machine's answers" if moved else "equal to this machine's to the last bit"
        return f"{_line(measured)}; {apart}"

    def served(self, machine: Machine) -> str:
        """Ask a server there for the golden rows, by the client here."""
        with machine.serving(self.folder / "models") as target, Client(target, timeout=600) as client:
            return "; ".join(_asked(client, path) for path in self.bundles)

    def _answers(self, machine: Machine) -> tuple[Any, dict[str, Any]]:
        out = self.folder / "answers.npz"
        measured = machine.measured("golden_rows", out, *self.bundles)
        with np.load(out) as file:
            return measured, dict(file)

    def _fresh(self, name: str) -> Path:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return self.folder / name

    def _try(self, machine: Machine, what: str, work: Callable[[Machine], str]) -> None:
        try:
            say(f"{machine.name}, {what}: {work(machine)}")
        except Stopped as reason:
            self.failed = True
            say(f"{machine.name}, {what}: FAILED: {reason}")

    def _fails(self, machine: Machine, what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Stopped as reason:
            say(f"{machine.name}, {what}: does not start, as expected: {reason}")
        else:
            self.failed = True
            say(f"{machine.name}, {what}: FAILED: it starts, and is said not to")


def say(what: str) -> None:
    """Print a line with the time so far."""
    print(f"{time.monotonic() - _BEGAN:5.0f} s  {what}", flush=True)


def _asked(client: Client, path: Path) -> str:
    golden = open_bundle(path).golden
    answer = client.predict(golden.rows, model=path.parent.name)
    found = [answer.classes.index(label) for label in answer.labels]
    right = int((np.asarray(found) == golden.class_index).sum())
    off = float(np.abs(answer.probabilities - golden.probabilities).max())
    said = f"{path.parent.name} {right} of {len(found)} labels, max |Δp| {off:.1e}"
    if right != len(found):
        raise Stopped(said)
    return said


def _compared(here: dict[str, str], there: dict[str, str]) -> str:
    if len({*here.values(), *there.values()}) != 1:
        raise Stopped(f"other answers than here: {there}, here {here}")
    return f"{', '.join(there)}: equal to this machine's ({', '.join(here)}) to the last bit"


def _hashes(*command: str | Path) -> dict[str, str]:
    """Return one number for all answers of each instruction set."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode or not done.stdout:
        raise Stopped(f"exit status {done.returncode}")
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: number for name, _, number in pairs}


def _table(path: Path) -> Path:
    """Write a table of ten classes, 57 features."""
    rows, labels = make_classification(
        1500, 57, n_informative=20, n_classes=10, n_clusters_per_class=1, class_sep=1.5, random_state=0
    )
    names = ",".join(f"feature_{number}" for number in range(rows.shape[1]))
    lines = [f"{','.join(map(repr, map(float, row)))},class_{label}" for row, label in zip(rows, labels, strict=True)]
    path.write_text("\n".join([f"{names},label", *lines]) + "\n", encoding="utf-8")
    return path


def _suite(machine: Machine) -> str:
    """Run the parity tests; give pytest's last line."""
    said = machine.python_with("-m", "pytest", "-q", "-m", "not long and not gpu", "-p", "no:cacheprovider", *SUITE)
    return said.splitlines()[-1]


def _line(measured: Any) -> str:
    return "; ".join(
        f"{name} {each['labels']} of {each['rows']} labels, max |Δp| {each['stack']:.1e} ({_parts(each['parts'])})"
        for name, each in measured.items()
    )


def _parts(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {off:.1e}" for name, off in parts.items())
