"""What the synchronous client shares with its asynchronous twin: everything but the waiting."""

from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from genrestack._messages import Selection
from genrestack._options import NOT_GIVEN, ClientOptions, NotGiven, Timeout, check_timeout, invalid
from genrestack._retry import Deadline
from genrestack._status import from_rpc_error
from genrestack.errors import ClientClosed, GenreStackError
from genrestack.health import Health

_LOOPBACK: Final = ("localhost:", "127.", "[::1]:", "ipv4:127.", "ipv6:[::1]", "unix:")


class BaseClient:
    """Options, channel arguments, deadlines and error mapping."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._closed = False

    @property
    def target(self) -> str:
        """The address this client asks."""
        return self._options.target

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.target}{', closed' if self._closed else ''}>"

    def _deadline(self, timeout: Timeout = NOT_GIVEN) -> Deadline:
        if self._closed:
            raise ClientClosed("this client is closed; make a new one")
        chosen = self._options.timeout if isinstance(timeout, NotGiven) else timeout
        check_timeout(chosen)
        return Deadline(chosen)

    def _error(self, error: grpc.RpcError) -> GenreStackError:
        return from_rpc_error(error, self.target)


def channel_arguments(options: ClientOptions) -> list[tuple[str, str | int]]:
    """GRPC channel arguments for these options; the caller's own come last and win."""
    arguments: dict[str, str | int] = {
        "grpc.max_send_message_length": options.max_message_bytes,
        "grpc.max_receive_message_length": options.max_message_bytes,
        # gRPC waits a second and more before it connects again; a retry within that time would only repeat the error.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": max(100, int(options.retry.max_backoff * 1000)),
    }
    if options.target.startswith(_LOOPBACK):
        # A proxy set up for the outside world cannot reach this machine's loopback.
        arguments["grpc.enable_http_proxy"] = 0
    return list((arguments | dict(options.channel_options)).items())


def health_service(selection: Selection) -> str:
    """Name of the health service that speaks of a model, or of the whole server.

    Raises:
        InvalidInput: a version without a model.

    """
    if not selection.version:
        return selection.model
    if not selection.model:
        raise invalid("model", f"is not named, but version {selection.version} is; name both")
    return f"{selection.model}/{selection.version}"


def health_of(answer: health_pb2.HealthCheckResponse) -> Health:
    """Translate the standard answer."""
    named = {answer.SERVING: Health.SERVING, answer.NOT_SERVING: Health.NOT_SERVING}
    return named.get(answer.status, Health.UNKNOWN)
