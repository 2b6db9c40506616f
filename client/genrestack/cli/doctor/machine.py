"""This machine and this shell: limits, clock, text, folders, variables."""

import locale
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from genrestack.cli.doctor.finding import Finding, note, ok, problem

_FEW_FILES: Final = 1024
_TOO_FEW_FILES: Final = 128
_SET_TMPDIR: Final = "set TMPDIR to a folder of yours, or give the container one (--tmpfs /tmp)"
_PREFIX: Final = "GENRESTACK_"
_SECRET: Final = ("TOKEN", "KEY")


def look_at_machine() -> Iterator[Finding]:
    """Check what every command needs."""
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield clock(time.time())
    yield text(sys.stdout.encoding or locale.getpreferredencoding(do_setlocale=False))
    yield from folders(_cache(os.environ), _temporary())
    yield from variables(os.environ)


def open_files(limit: int) -> Finding:
    """Judge the soft limit of open files: each connection takes one."""
    if limit == resource.RLIM_INFINITY:
        return ok("open files", "no limit")
    found = f"at most {limit:,} files and connections at once"
    if limit >= _FEW_FILES:
        return ok("open files", found)
    judge = problem if limit < _TOO_FEW_FILES else note
    return judge("open files", found, f"raise it where genrestack serve starts: ulimit -n {64 * _FEW_FILES}")


def clock(now: float) -> Finding:
    """Compare the clock with the newest file of this installation: certificates fail where it is behind."""
    newest = max(file.stat().st_mtime for file in Path(__file__).parent.glob("*.py"))
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now + 86_400 < newest:
        return problem(
            "clock",
            f"{shown}, before this installation was made",
            "set the clock (timedatectl set-ntp true); certificates are judged by it",
        )
    return ok("clock", shown)


def text(encoding: str) -> Finding:
    """Judge the encoding that text is printed in: names of classes may hold any letter."""
    if encoding.lower().replace("-", "") in {"utf8", "utf8sig"}:
        return ok("text", f"printed as {encoding}")
    return note(
        "text", f"printed as {encoding}, which cannot show every letter", "export PYTHONUTF8=1, or LC_ALL=C.UTF-8"
    )


def folders(cache: Path | None, temporary: Path | None) -> Iterator[Finding]:
    """Check whether what has to be kept for the next time, or for a moment, can be written."""
    if cache is None or not _writable(cache):
        where = "no home folder" if cache is None else f"{cache} cannot be written"
        yield note("cache", where, "set XDG_CACHE_HOME to a folder of yours; without it songs take 20 s to begin")
    else:
        yield ok("cache", f"{cache} can be written")
    if temporary is not None and _writable(temporary):
        yield ok("temporary files", f"{temporary} can be written")
    else:
        where = "there is no folder for them" if temporary is None else f"{temporary} cannot be written"
        yield note("temporary files", f"{where}; serving needs none, training does", _SET_TMPDIR)


def variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """List the settings that come from the environment, without what has to stay secret."""
    ours = sorted(name for name in environ if name.startswith(_PREFIX))
    if ours:
        shown = [name if name.endswith(_SECRET) else f"{name}={environ[name]}" for name in ours]
        yield note("environment", ", ".join(shown), "they count wherever no option is given; unset NAME takes one away")


def _cache(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get("XDG_CACHE_HOME"):
        return Path(named)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def _temporary() -> Path | None:
    """Find the folder for temporary files; a container with a read-only root may have none."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def _writable(folder: Path) -> bool:
    """Return whether a folder, or the nearest one above it that exists, can be written; nothing is left behind."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
