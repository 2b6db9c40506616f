"""A Ray cluster to fit on: somebody's, or one of this machine alone that lasts for a training.

Ray is imported when a cluster is asked for and not before: it is an extra, and reads its environment when imported.
"""

import importlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from functools import cache
from types import ModuleType
from typing import Any, Final

from genrestack_training.errors import ClusterError
from genrestack_training.fitting.environment import environment
from genrestack_training.fitting.last_words import last_words

_REACH_WITHIN_S: Final = 10.0
# Nothing is reported to Ray's makers, and errors are said by us, once.
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}
# Ray binds to every interface of a Linux machine unless it takes it for one that cannot be in a cluster.
_LOOPBACK: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Ray ends a process whose cluster goes, with status 1 and no word.
_LOST: Final = (
    "Error: {} has gone, or this process was killed: see whether the machine has memory enough and the cluster still "
    "runs, and run the same command again: finished fits are kept"
)
# A path to a socket ends after 107 bytes, and Ray adds about 60.
_LONGEST_FOLDER: Final = 40


@contextmanager
def ray_cluster(address: str | None, cpus: int) -> Iterator[ModuleType]:
    """Yield the module `ray`, connected to a cluster for the length of the block.

    Args:
        address: of a cluster, as `ray.init` takes it; None: where this process is connected already, else what the
            environment variable RAY_ADDRESS says, else a cluster of this machine alone, started for the block.
        cpus: fits at once on a cluster that is started here.

    Raises:
        ClusterError: no cluster answers there, or it runs other versions of Python or Ray.

    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    with ExitStack() as ending:
        ending.enter_context(environment(_QUIET))
        ray = importlib.import_module("ray")
        if ray.is_initialized():
            if address is not None:
                raise ClusterError(
                    "this process is connected to a Ray cluster already; leave ray_address out, or call ray.shutdown()"
                )
        elif address is None or address == "local":
            ending.enter_context(_local_cluster(ray, cpus))
        else:
            ending.enter_context(_remote_cluster(ray, address))
        yield ray


@contextmanager
def _local_cluster(ray: ModuleType, cpus: int) -> Iterator[None]:
    """Start a cluster on loopback, with a token of its own, and end it with the block."""
    # Ray turns its tokens on by itself, and would write one into the home folder.
    token = {"RAY_AUTH_TOKEN": _token(), "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE")}
    with environment({**_LOOPBACK, **token}), _short_folder() as folder:
        # For a Ray that was imported before, what its environment would have said.
        loopback = _patched("ray._private.ray_constants", "ENABLE_RAY_CLUSTER", False)
        alone = {"address": "local", "num_cpus": cpus, "include_dashboard": False, "_temp_dir": folder}
        with loopback, _connected(ray, "the Ray cluster of this machine", **alone):
            yield


@contextmanager
def _remote_cluster(ray: ModuleType, address: str) -> Iterator[None]:
    """Connect to somebody's cluster, which keeps running afterwards."""
    _check_reachable(address)
    with _connected(ray, f"the Ray cluster at {address}", address=address):
        yield


@contextmanager
def _connected(ray: ModuleType, what: str, **arguments: Any) -> Iterator[None]:
    # Of a lost node it would write twenty lines of its log to stdout, where results go.
    with _patched("ray._private.worker", "print_to_stdstream", _silenced), last_words(_LOST.format(what)):
        try:
            _connect(ray, what, **arguments)
            yield
        finally:
            ray.shutdown()


def _silenced(*_: Any, **__: Any) -> None:
    pass


def _connect(ray: ModuleType, what: str, **arguments: Any) -> None:
    try:
        # Ray has its workers import from the directory in which it is started: from one that nobody else may write to.
        with _sigterm_kept(), chdir("/"):
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **arguments)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(_connect_error(what, str(error))) from error


def _connect_error(what: str, said: str) -> str:
    if "ersion mismatch" in said:
        return f"{what} runs another version of Python or Ray; install the same versions there and here"
    if "token" in said.lower():
        return f"{what} asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
    return f"{what} does not answer; check --ray-address (or RAY_ADDRESS), and that `ray start --head` runs there"


def _check_reachable(address: str) -> None:
    """Check that an address accepts connections: Ray itself waits for a minute, and then may end the process.

    Raises:
        ClusterError: it is not an address, or does not answer.

    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ClusterError(
            f"{address!r} is not the address of a Ray cluster; --ray-address takes HOST:PORT, such as 10.0.0.5:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_WITHIN_S).close()
    except OSError as error:
        raise ClusterError(_connect_error(f"the Ray cluster at {address}", "")) from error


@contextmanager
def _patched(module: str, name: str, value: Any) -> Iterator[None]:
    """Replace what Ray has no setting for, where this version of it has it."""
    place = importlib.import_module(module)
    missing = object()
    before = getattr(place, name, missing)
    setattr(place, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(place, name)
        else:
            setattr(place, name, before)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Restore the process's SIGTERM handler, which `ray.init` replaces."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _short_folder() -> Iterator[str]:
    """Create a folder for Ray's sockets and logs, removed when the block ends."""
    place = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="genrestack-", dir=place if len(place) <= _LONGEST_FOLDER else "/tmp")  # noqa: S108 - its own folder in there
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _token() -> str:
    """Create this process's secret: Ray remembers the first one it is given."""
    return secrets.token_hex(32)
