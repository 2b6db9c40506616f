"""What TensorFlow needs of a processor: without it the process is killed while importing, and cannot say why."""

from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")
LACKS_AVX: Final = "this processor has no AVX, without which TensorFlow cannot run"
ADVICE: Final = "train on another machine; the bundle is served on this one too"


def lacks_avx(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether this is an x86-64 processor without AVX; False where that cannot be told."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    # Processors of other kinds have lines of other names.
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    return flags is not None and "avx" not in flags
