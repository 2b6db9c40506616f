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
# Share of the CPUs that others may use before the figures are in doubt.
_BUSY = 0.25


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

    @property
    def busy(self) -> bool:
        """Whether others used the machine when the measuring began."""
        return self.load > _BUSY * self.threads


def this_machine() -> Machine:
    """Describe the machine."""
    return Machine(
        cpu=_cpu(),
        threads=threads(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
        date=datetime.now(UTC).date().isoformat(),
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"
