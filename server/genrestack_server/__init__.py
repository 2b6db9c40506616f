"""The gRPC server: front ends translate, one core predicts, a registry owns the versions."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrestack_server.config.server_config import ServerConfig
    from genrestack_server.errors import AddressError, RepositoryError, ServerError, StartError
    from genrestack_server.server import Server

__all__ = ["AddressError", "RepositoryError", "Server", "ServerConfig", "ServerError", "StartError"]

_HOMES = {
    "AddressError": "errors",
    "RepositoryError": "errors",
    "Server": "server",
    "ServerConfig": "config.server_config",
    "ServerError": "errors",
    "StartError": "errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: gRPC and onnxruntime take their time."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
