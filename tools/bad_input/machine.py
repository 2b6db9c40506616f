"""Libraries, disks and folders that are not what a command needs, and a person who presses Ctrl-C."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tools.bad_input.finding import Finding
from tools.bad_input.world import BIN, World, after, line, until

TITLE = "The machine"
_TRAIN = ("train", "digits.csv", "--settings", "quick.toml")
# Stands in for an environment without these libraries; `tests/e2e/test_bare_wheel.py` has a real one.
_WITHOUT = """
import sys
LIBRARIES = set(sys.argv.pop(1).split(","))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LIBRARIES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from genrestack.cli.main import main
main(sys.argv[1:])
"""
_LIBRARIES = "tensorflow,keras,sklearn,pandas,joblib,onnx,onnxruntime,grpc_reflection"
_KIB = 1024


def walk(world: World) -> Iterator[Finding]:
    """Show each of them."""
    yield from _missing(world)
    yield from _full(world)
    yield from _read_only(world)
    yield from _interrupted(world)


def _missing(world: World) -> Iterator[Finding]:
    for arguments in (("train", "digits.csv"), ("export", "runs/digits/first"), ("serve",), ("demo",)):
        argv = [sys.executable, "-c", _WITHOUT, _LIBRARIES, *arguments]
        shown = f"{line(arguments)}   # in an environment with the client alone"
        yield world.run(f"Libraries that are not installed: {arguments[0]}", argv=argv, shown=shown)
    ray = (*_TRAIN, "--run", "runs/ray", "--backend", "ray")
    argv = [sys.executable, "-c", _WITHOUT, "ray", *ray]
    yield world.run("Ray, which is not installed", argv=argv, shown=f"{line(ray)}   # without the extra ray")
    nowhere = (*ray, "--ray-address", "127.0.0.1:1")
    yield world.run("A Ray cluster that is not there", *nowhere)


def _full(world: World) -> Iterator[Finding]:
    """Bound the size of a file; where this user may mount one, also fill a disk."""
    export = ("export", "runs/digits/first")
    for kib, arguments in ((20, (*_TRAIN, "--run", "runs/full")), (20, (*export, "--models", "full-models"))):
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (kib * _KIB, kib * _KIB))
        yield world.run(
            f"Files that may not grow: {arguments[0]}", *arguments, preexec_fn=limit,
            shown=f"ulimit -f {kib}; {line(arguments)}",
        )  # fmt: skip
    for arguments in ((*_TRAIN, "--run", "disk/run"), (*export, "--models", "disk")):
        mounted = 'mount -t tmpfs -o size=100k none disk && exec "$0" "$@"'
        (world.folder / "disk").mkdir(exist_ok=True)
        argv = ["unshare", "--mount", "sh", "-c", mounted, str(BIN / "genrestack"), *arguments]
        if _may("unshare", "--mount", "true"):
            shown = f"{line(arguments)}   # disk: 100 KiB"
            yield world.run(f"A full disk: {arguments[0]}", argv=argv, shown=shown)


def _read_only(world: World) -> Iterator[Finding]:
    locked = world.folder / "locked"
    (locked / "models").mkdir(parents=True)
    shutil.copytree(world.folder / "models" / "digits", locked / "secret" / "digits")
    shutil.copy(world.folder / "digits.csv", locked / "secret.csv")
    for path, mode in (
        (locked / "secret.csv", 0),
        (locked / "secret" / "digits" / "1" / "knn.onnx", 0),
        (locked, 0o555),
    ):
        path.chmod(mode)
    (locked / "models").chmod(0o555)
    # Root writes where it likes, unless that right is taken from it.
    may = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if may and not _may(*may, "true"):
        return
    export = ("export", "runs/digits/first", "--models", "locked/models")
    for title, arguments in (
        ("A folder that may not be written: train --run", (*_TRAIN, "--run", "locked/runs/mine")),
        (
            "A folder that may not be written: train --models",
            (*_TRAIN, "--run", "runs/locked", "--models", "locked/models"),
        ),
        ("A folder that may not be written: export", export),
        ("A folder that may not be written: demo", ("demo", "--dir", "locked/demo")),
        ("A table that may not be read", ("train", "locked/secret.csv")),
        ("A graph that may not be read", ("serve", "locked/secret")),
        ("A table that may not be read: predict", ("predict", "locked/secret.csv", "--server", "127.0.0.1:1")),
    ):
        yield world.run(title, argv=[*may, str(BIN / "genrestack"), *arguments], shown=line(arguments))
    for path in (locked, locked / "models"):
        path.chmod(0o755)


def _interrupted(world: World) -> Iterator[Finding]:
    slow = ("train", "digits.csv", "--preset", "demo")
    yield world.interrupted("Ctrl-C while training", *slow, "--run", "runs/cut", when=until("fold 1"))
    waiting = ("health", "--server", "127.0.0.1:1", "--wait", "30")
    yield world.interrupted("Ctrl-C while waiting", *waiting, when=after(1.5))
    if (world.folder / "runs" / "cut").exists():
        raise RuntimeError("an interrupted training has left a run behind")


def _may(*arguments: str) -> bool:
    return (
        shutil.which(arguments[0]) is not None
        and not subprocess.run(arguments, capture_output=True, check=False).returncode
    )
