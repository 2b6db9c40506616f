"""A client without a server: the models are loaded into this process."""

import os
from typing import Literal

from genrestack._core.connection import options as defaults
from genrestack._core.connection.local import LocalSource
from genrestack._core.connection.options import ClientOptions
from genrestack._core.request import ModelSpec
from genrestack._sync.client import Client

Provider = Literal["auto", "cpu", "cuda", "tensorrt"]


def load(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    version: int | None = None,
    timeout: float | None = defaults.DEFAULT_TIMEOUT,
    provider: Provider | None = None,
    threads: int | None = None,
) -> Client:
    """Load models into this process, and return a client that asks them without a server.

    It verifies and runs them as a server does, and gives the same answers and errors. What is loaded stays as it is: a
    version that is exported later is seen by loading again. Closing the client, which `with` does, frees the models and
    their threads.

    Args:
        path: the folder of one model, such as models/gtzan: its newest good version; that of one version, such as
            models/gtzan/3; or a model repository: every model in it.
        model: only this one of a repository.
        version: only this one of the model.
        timeout: seconds for a whole call; None for no limit. Each call can have its own. Loading takes what it takes.
        provider: what runs the graph: `auto`, `cpu`, `cuda` or `tensorrt`; None: as a server chooses.
        threads: threads of one run; None: the CPUs that this process may use.

    Raises:
        InvalidInput: there is no such folder, it holds no model, or a setting cannot be used.
        NotFound: no such model or version; the message lists what there is.
        FailedPrecondition: no version of a model is good; the message names the reason.
        ModuleNotFoundError: the extra `server` is not installed; the message says how to.

    """
    ModelSpec.of(model, version)
    source = LocalSource(
        path=os.path.abspath(path),  # noqa: PTH100 - not through links: the folders' names are those of the models
        shown=os.fspath(path),
        model=model,
        version=version,
        provider=provider,
        threads=threads,
    )
    return Client.from_options(ClientOptions(timeout=timeout, local=source))
