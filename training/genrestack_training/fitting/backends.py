"""Where a training's fits run, by the name of the backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import joblib

from genrestack_training.config.settings import BACKENDS
from genrestack_training.errors import SettingsError
from genrestack_training.fitting.engines import Engine


def check_backend(backend: str, ray_address: str | None) -> None:
    """Check a choice of backend before anything is spent on it.

    Raises:
        SettingsError: there is no such backend, it is not installed, or an address is given to one that has none.

    """
    if backend not in BACKENDS:
        raise SettingsError(f"there is no backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    if backend != "ray" and ray_address is not None:
        raise SettingsError("an address of a Ray cluster is given, and the backend is local; choose the backend ray")
    if backend == "ray" and find_spec("ray") is None:
        raise SettingsError('the backend ray needs: pip install "genrestack[train,ray]"')


@contextmanager
def open_backend(backend: str, *, jobs: int | None = None, ray_address: str | None = None) -> Iterator[Engine | None]:
    """Yield the engine of a backend for the length of the block; None leaves the choice to `choose_engine`.

    Args:
        backend: one of `BACKENDS`.
        jobs: fits at once; None: as many as there are CPUs.
        ray_address: of a Ray cluster; None: what RAY_ADDRESS says, else one of this machine alone for the block.

    Raises:
        SettingsError: Ray is not installed.
        ClusterError: the cluster cannot be reached.

    """
    if backend != "ray":
        yield None
        return
    from genrestack_training.fitting.ray_cluster import ray_cluster

    with ray_cluster(ray_address, jobs or joblib.cpu_count()):
        from genrestack_training.fitting.ray_engine import RayEngine

        yield RayEngine(jobs)
