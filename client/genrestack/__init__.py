"""GenreStack's client: ask a served stack for labels and probabilities over gRPC.

    from genrestack import Client

    with Client("localhost:50051") as client:
        prediction = client.predict([[0.1, 0.2, 0.3]])
        print(prediction.labels)

`AsyncClient` is the same for asyncio. The names below are loaded when first used, so that `genrestack --help` starts
without gRPC and numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genrestack._async_client import AsyncClient
    from genrestack._client import Client
    from genrestack._options import KeepaliveOptions, RetryOptions
    from genrestack._tls import TLS
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
    from genrestack.health import Health
    from genrestack.model_info import ModelInfo
    from genrestack.prediction import Prediction
    from genrestack.song_prediction import OutsideRange, SongPrediction

_HOMES = {
    "AsyncClient": "genrestack._async_client",
    "Client": "genrestack._client",
    "Health": "genrestack.health",
    "KeepaliveOptions": "genrestack._options",
    "ModelInfo": "genrestack.model_info",
    "OutsideRange": "genrestack.song_prediction",
    "Prediction": "genrestack.prediction",
    "RetryOptions": "genrestack._options",
    "SongPrediction": "genrestack.song_prediction",
    "TLS": "genrestack._tls",
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
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'genrestack' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "genrestack.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
