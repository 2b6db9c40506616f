"""From settings to an application of Ray Serve."""

from collections.abc import Mapping
from typing import Any, Final

from genrestack_server.errors import StartError
from genrestack_server.ray_app.config import RayConfig, read

NAME: Final = "GenreStack"
"""Of the deployment, for the `deployments` of a configuration file."""


def build(args: Mapping[str, Any]) -> Any:
    """Build the application that Ray deploys.

    Raises:
        SettingsError: a setting is unknown, or not what it may be.
        StartError: what this needs is not installed.

    """
    config, server = read(args)
    try:
        from ray import serve

        from genrestack_server.ray_app.replica import Replica
    except ImportError as error:
        text = f'replicas need, on every machine: pip install "genrestack[server,ray]" ({error})'
        raise StartError(text) from error
    return serve.deployment(Replica).options(**_options(config)).bind(server, config.models_per_replica)


def _options(config: RayConfig) -> dict[str, Any]:
    return {
        "name": NAME,
        "ray_actor_options": {"num_cpus": config.num_cpus},
        # A line for each request costs more than the request; the server's own log has a sample.
        "logging_config": {"enable_access_log": False},
        "max_ongoing_requests": config.max_ongoing_requests,
        "max_queued_requests": config.max_queued_requests,
        "autoscaling_config": {
            "min_replicas": config.min_replicas,
            "max_replicas": config.max_replicas,
            "target_ongoing_requests": config.target_ongoing_requests,
        },
    }
