"""The same predictor behind Ray Serve's gRPC proxy, on one machine or many.

    serve run deploy/ray/serve.yaml

`app` builds the application; `add_prediction_service` and `add_multiplexed_prediction_service` tell Ray's proxies which
calls there are. Ray imports this module in its proxies too, which is why nothing heavy is imported here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrestack_server.ray_app.proxy import Proxy

__all__ = ["add_multiplexed_prediction_service", "add_prediction_service", "app"]


def app(args: Mapping[str, Any]):  # type: ignore[no-untyped-def]
    """Build the application: `serve run genrestack_server.ray_app:app models_dir=models`.

    Args:
        args: settings by name, as texts (command line) or values (file); see `RayConfig` and `SERVER_SETTINGS`.

    Raises:
        StartError: a setting is unknown or not what it may be, or what this needs is not installed.

    """
    from genrestack_server.ray_app.building import build

    return build(args)


def add_prediction_service(_: object, proxy: "Proxy") -> None:
    """Answer `genrestack.v1.PredictionService` and `grpc.health.v1` on one of Ray's gRPC proxies.

    To be named in `grpc_servicer_functions`. In the place of the generated function: that one would have proxies unpack
    and pack every message for nothing, and promise streams.
    """
    from genrestack_server.ray_app.proxy import add_to

    add_to(proxy, multiplexed=False)


def add_multiplexed_prediction_service(_: object, proxy: "Proxy") -> None:
    """Do the same, and send requests to replicas that hold their model; for applications with `models_per_replica`."""
    from genrestack_server.ray_app.proxy import add_to

    add_to(proxy, multiplexed=True)
