"""GenreStack's client: ask a served stack for labels and probabilities over gRPC.

    from genrestack import Client

    with Client("localhost:50051") as client:
        prediction = client.predict([[0.1, 0.2, 0.3]])
        print(prediction.labels)

`AsyncClient` is the same for asyncio, and `load("models/gtzan")` returns a client that needs no server. The names below
are loaded when first used, so that `genrestack --help` starts without gRPC and numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genrestack._async.client import AsyncClient
    from genrestack._core.connection.credentials import TLS
    from genrestack._core.connection.options import KeepaliveOptions
    from genrestack._core.retry import RetryOptions
    from genrestack._sync.client import Client
    from genrestack._sync.load import load
    from genrestack.errors import (
        Cancelled,
        ClientClosed,
        DeadlineExceeded,
        FailedPrecondition,
        GenreStackError,
        Internal,
        InvalidInput,
        NotFound,
        PermissionDenied,
        ProtocolError,
        QueueFull,
        ResourceExhausted,
        ServiceError,
        Unauthenticated,
        Unavailable,
        Unsupported,
        Violation,
    )
    from genrestack.model_info import Health, ModelInfo
    from genrestack.prediction import Neighbor, Prediction
    from genrestack.songs.song_prediction import OutsideRange, SongPrediction

_HOMES = {
    "AsyncClient": "genrestack._async.client",
    "Client": "genrestack._sync.client",
    "Health": "genrestack.model_info",
    "KeepaliveOptions": "genrestack._core.connection.options",
    "ModelInfo": "genrestack.model_info",
    "Neighbor": "genrestack.prediction",
    "OutsideRange": "genrestack.songs.song_prediction",
    "Prediction": "genrestack.prediction",
    "RetryOptions": "genrestack._core.retry",
    "SongPrediction": "genrestack.songs.song_prediction",
    "TLS": "genrestack._core.connection.credentials",
    "load": "genrestack._sync.load",
}

__all__ = [
    "TLS",
    "AsyncClient",
    "Cancelled",
    "Client",
    "ClientClosed",
    "DeadlineExceeded",
    "FailedPrecondition",
    "GenreStackError",
    "Health",
    "Internal",
    "InvalidInput",
    "KeepaliveOptions",
    "ModelInfo",
    "Neighbor",
    "NotFound",
    "OutsideRange",
    "PermissionDenied",
    "Prediction",
    "ProtocolError",
    "QueueFull",
    "ResourceExhausted",
    "RetryOptions",
    "ServiceError",
    "SongPrediction",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "Violation",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'genrestack' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "genrestack.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
