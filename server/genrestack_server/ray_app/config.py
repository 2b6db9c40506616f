"""Settings of the application: those of its replicas, and those of `genrestack serve` that mean something here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from genrestack_common.settings import Setting, check_settings, settings_of
from genrestack_common.text import did_you_mean, quoted
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import SettingsError

SERVER_SETTINGS: Final = (
    "models_dir", "default_model", "version_policy", "poll_interval", "allow_empty", "provider", "native", "threads",
    "batching", "max_batch_rows", "max_queue_delay", "max_queue_rows", "max_compute_seconds", "max_message_mib",
    "max_rows", "log_sample",
)  # fmt: skip
"""Settings of `ServerConfig` that a replica takes; the others are about a port, which is Ray's."""

_ray = partial(Setting, "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class RayConfig:
    """How many replicas there are, and what each of them takes on.

    Raises:
        ValueError: naming the setting and what it may be.

    """

    min_replicas: Annotated[int, _ray("Replicas there are at least.", least=0, most=10_000)] = 1
    max_replicas: Annotated[int, _ray("Replicas there are at most.", least=1, most=10_000)] = 4
    target_ongoing_requests: Annotated[
        float, _ray("Requests in a replica, on average, at which their number is right.", least=0.1, most=10_000)
    ] = 32.0
    max_ongoing_requests: Annotated[int, _ray("Requests in a replica at most.", least=1, most=100_000)] = 128
    """Twice the rows of one execution: while one is computed, the next gathers, and the batcher is never idle."""
    max_queued_requests: Annotated[
        int, _ray("Requests that may wait in each proxy; what would exceed them is refused.", least=1, most=2**31 - 1)
    ] = 2048
    num_cpus: Annotated[float, _ray("CPUs that Ray sets aside for a replica.", least=0, most=1024)] = 1.0
    models_per_replica: Annotated[
        int | None,
        _ray("Models a replica holds at most, loaded when asked for.", unset="all there are", least=1, most=1000),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_settings(self)
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas is {self.min_replicas}, more than max_replicas, {self.max_replicas}")

    @property
    def threads(self) -> int:
        """Threads of one run, where nothing else is said."""
        return max(1, int(self.num_cpus))


def read(args: Mapping[str, Any]) -> tuple[RayConfig, ServerConfig]:
    """Read what `serve run` and Serve's configuration files hand over.

    Raises:
        SettingsError: naming the setting and what it may be.

    """
    ours, servers = settings_of(RayConfig), settings_of(ServerConfig)
    known = {**ours, **{name: servers[name] for name in SERVER_SETTINGS}}
    values = {name: _value(known, servers, name, value) for name, value in args.items()}
    try:
        config = RayConfig(**{name: value for name, value in values.items() if name in ours})
        rest = {name: value for name, value in values.items() if name not in ours}
        return config, ServerConfig(**_completed(rest, config))
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _completed(values: dict[str, Any], config: RayConfig) -> dict[str, Any]:
    """Add what follows: replicas run in folders of their own, and share a machine's CPUs."""
    values["models_dir"] = Path(values.get("models_dir", "models")).absolute()
    values.setdefault("threads", config.threads)
    if config.models_per_replica is not None:
        values["repository_mode"] = "explicit"
    return values


def _value(known: Mapping[str, Setting], servers: Mapping[str, Setting], name: str, value: object) -> Any:
    setting = known.get(name)
    if setting is None and name in servers:
        raise SettingsError(f"{name} is not a setting of replicas: ports, security and logs are Ray's; leave it out")
    if setting is None:
        raise SettingsError(f"there is no setting {quoted(name)}{did_you_mean(name, known)}")
    try:
        return setting.of_text(value) if isinstance(value, str) else setting.of_toml(value)
    except ValueError as error:
        raise SettingsError(f"{name} {error}") from None
