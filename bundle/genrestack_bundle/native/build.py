"""Compile the native operators: `python build.py [LIBRARY]`, by default beside their sources, if they are newer.

The standard library is all it needs, so that a build backend, a Dockerfile and a person can run it before anything is
installed. Nothing in it depends on the processor that compiles: instruction sets are chosen when the library runs.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).resolve().parent
LIBRARY: Final = "libgenrestack_native.so"
LEFT_OUT: Final = "GENRESTACK_NO_NATIVE"
"""Variable that has an installation leave the library out."""
_MACHINES: Final = {"x86_64", "aarch64"}
_FLAGS: Final = (
    "-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden",
    # Contracted operations would round otherwise on processors that have them.
    "-ffp-contract=off", "-fno-fast-math",
    "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Wshadow",
)  # fmt: skip


class NotBuilt(Exception):
    """The library cannot be compiled here; the text says why."""


def ensure(library: Path) -> None:
    """Compile the library where it is missing or older than its sources.

    Raises:
        NotBuilt: it is not wanted, or cannot be compiled here.

    """
    if os.environ.get(LEFT_OUT, "0") not in {"", "0"}:
        raise NotBuilt(f"{LEFT_OUT} is set")
    if stale(library):
        try:
            build(library)
        except OSError as error:
            raise NotBuilt(f"{library.parent} cannot be written ({error.strerror})") from error


def build(library: Path, flags: Sequence[str] = ()) -> None:
    """Compile the library; it appears whole or not at all.

    Args:
        library: the file to write.
        flags: further flags of the compiler.

    Raises:
        NotBuilt: it is not meant for this machine, there is no compiler, or that fails.
        OSError: it cannot be written.

    """
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise NotBuilt(f"it is for Linux on x86-64 and aarch64, not for {sys.platform} on {platform.machine()}")
    if compiler is None:
        raise NotBuilt("there is no C compiler (gcc)")
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".native-") as folder:
        fresh = Path(folder) / LIBRARY
        command = [compiler, *_FLAGS, *flags, "-o", str(fresh), *map(str, sources()), "-lm"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NotBuilt(f"{compiler} fails: {_first_error(done.stderr)}")
        fresh.replace(library)


def sources() -> list[Path]:
    """Return the files that are compiled."""
    return sorted(SOURCES.glob("*.c"))


def stale(library: Path) -> bool:
    """Return whether the library is missing, or older than one of its sources."""
    if not library.exists():
        return True
    newest = max(path.stat().st_mtime for path in (*sources(), *SOURCES.glob("*.h"), Path(__file__)))
    return library.stat().st_mtime < newest


def _first_error(text: str) -> str:
    lines = text.splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "it says nothing")


def main() -> None:
    """Compile, and say in a line where that is not possible."""
    library = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCES / LIBRARY
    try:
        ensure(library)
    except NotBuilt as reason:
        sys.exit(f"the native operators are not compiled: {reason}; standard operators answer in their place")


if __name__ == "__main__":
    main()
