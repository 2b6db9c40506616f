"""Where and with what it was measured."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contestants.contest import threads

_LIBRARIES = (
    "genrestack", "grpcio", "keras", "numpy", "onnxruntime", "scikeras", "scikit-learn", "skl2onnx", "tensorflow",
    "tf2onnx",
)  # fmt: skip
# Share of the CPUs that others may use before the figures are in doubt: by the load before, and by what they took.
_BUSY_BEFORE, _BUSY_MEANWHILE = 0.25, 0.1


@dataclass(frozen=True)
class Machine:
    """A machine and its software."""

    cpu: str
    threads: int
    """Threads of every contestant: the CPUs that this process may use."""
    load: float
    """Mean number of running processes over the last minute, before anything was measured."""
    python: str
    system: str
    versions: dict[str, str]
    date: str

    others: tuple[float, ...] = ()
    """Share of the CPUs that others took while it was measured, in each run; empty where it is not known."""

    @property
    def busy(self) -> bool:
        """Whether others used the machine: meanwhile, or where that is not known, when the measuring began."""
        if self.others:
            return min(self.others) > _BUSY_MEANWHILE
        return self.load > _BUSY_BEFORE * self.threads

    def why_busy(self) -> str:
        """Return how busy others kept it."""
        shares = ", ".join(f"{100 * share:.0f} %" for share in self.others)
        return f"others took {shares} of its processors" if shares else f"load {self.load:.1f}"

    def remarks(self, chosen: str = "") -> list[str]:
        """Return what speaks against figures measured here; `chosen` says what was done with those of several runs."""
        if not self.busy:
            return []
        if len(self.others) < 2:
            return [f"The machine was busy ({self.why_busy()}): measure again in a quiet moment."]
        return [f"The machine was busy in all {len(self.others)} runs ({self.why_busy()}): {chosen}."]


def this_machine() -> Machine:
    """Describe the machine."""
    return Machine(
        cpu=processor(),
        threads=threads(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
        date=datetime.now(UTC).date().isoformat(),
    )


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"
