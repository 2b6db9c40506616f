"""What the synchronous client shares with its asynchronous twin: everything but the waiting."""

from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from genrestack._messages import Selection
from genrestack._options import NOT_GIVEN, ClientOptions, NotGiven, Timeout, check_timeout, invalid
from genrestack._retry import Deadline
from genrestack._status import from_rpc_error
from genrestack.errors import Cancelled, ClientClosed, DeadlineExceeded, GenreStackError
from genrestack.health import Health

POLL_SECONDS: Final = 0.1
"""From one look at a server that is not ready to the next."""
CLOSED_MEANWHILE: Final = "this client was closed during the call"
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
        named = from_rpc_error(error, self.target)
        return Cancelled(CLOSED_MEANWHILE) if self._closed and isinstance(named, Cancelled) else named

    def _not_ready(self, service: str, deadline: Deadline, last: str) -> DeadlineExceeded:
        what = f"{service} at {self.target}" if service else self.target
        return DeadlineExceeded(f"{what} was not ready within {deadline.timeout:g} s: {last}")


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


def check_stream(in_flight: int, on_error: str) -> None:
    """Raise InvalidInput unless a stream can be run like this."""
    if in_flight < 1:
        raise invalid("in_flight", f"is {in_flight}; give 1 or more")
    if on_error not in ("raise", "return"):
        raise invalid("on_error", f"is {on_error!r}; give 'raise' or 'return'")


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
