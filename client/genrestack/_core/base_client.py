"""What the synchronous and the asynchronous client share: everything but the waiting."""

from typing import Any, Final, Self, cast

import grpc
from grpc_health.v1 import health_pb2

from genrestack._core.answers import parsed
from genrestack._core.connection.options import NOT_GIVEN, ClientOptions, NotGiven, Timeout
from genrestack._core.invalid import invalid
from genrestack._core.known_models import KnownModels
from genrestack._core.request import ModelSpec
from genrestack._core.retry import Deadline, check_timeout
from genrestack._core.status import from_rpc_error, says_none_serves
from genrestack.errors import Cancelled, ClientClosed, DeadlineExceeded, GenreStackError, Unavailable
from genrestack.model_info import Health

POLL_SECONDS: Final = 0.1
"""From one look at a server that is not ready to the next."""
_HEALTH_BYTES: Final = 4096
CLOSED_MEANWHILE: Final = "this client was closed during the call"


class BaseClient:
    """Options, what travels beside a request, deadlines and error mapping."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._closed = False
        self._known_models = KnownModels()
        # In one process a stream would save nothing.
        self._streaming_disabled = options.local is not None

    @classmethod
    def from_options(cls, options: ClientOptions) -> Self:
        """Make a client of settings that are checked already."""
        client = cls.__new__(cls)
        client._connect(options)  # noqa: SLF001 - its own
        return client

    def _connect(self, options: ClientOptions) -> None:
        """Do what making a client does."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: unpickling connects again, or loads the models from their folder."""
        if self._closed:
            raise ClientClosed("this client is closed; pickle it before that, or make a new one")
        return type(self).from_options, (self._options_elsewhere(),)

    def _options_elsewhere(self) -> ClientOptions:
        """Return the settings by which another process asks the same."""
        return self._options

    @property
    def target(self) -> str:
        """The address this client asks; several with commas between them."""
        return self._options.address.shown

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.target}{', closed' if self._closed else ''}>"

    def _deadline(self, timeout: Timeout = NOT_GIVEN) -> Deadline:
        if self._closed:
            raise ClientClosed("this client is closed; make a new one")
        chosen = self._options.timeout if isinstance(timeout, NotGiven) else timeout
        check_timeout(chosen)
        return Deadline(chosen)

    def _disable_streaming(self) -> None:
        """Record that the server has no streams: from now on every batch of one is a call of its own."""
        self._streaming_disabled = True

    def _error(self, error: grpc.RpcError) -> GenreStackError:
        named = from_rpc_error(error, self._options.peer)
        return Cancelled(CLOSED_MEANWHILE) if self._closed and isinstance(named, Cancelled) else named

    def _not_ready(self, service: str, deadline: Deadline, last: str) -> DeadlineExceeded:
        what = f"{service} at {self.target}" if service else self.target
        return DeadlineExceeded(f"{what} was not ready within {deadline.timeout:g} s: {last}")


def check_stream(in_flight: int, on_error: str) -> None:
    """Raise InvalidInput unless a stream can be run like this."""
    if in_flight < 1:
        raise invalid("in_flight", f"is {in_flight}; give 1 or more")
    if on_error not in ("raise", "return"):
        raise invalid("on_error", f"is {on_error!r}; give 'raise' or 'return'")


def health_service(spec: ModelSpec) -> str:
    """Return the name of the health service that speaks of a model, or of the whole server.

    Raises:
        InvalidInput: a version without a model.

    """
    if not spec.version:
        return spec.model
    if not spec.model:
        raise invalid("model", f"is not named, but version {spec.version} is; name both")
    return f"{spec.model}/{spec.version}"


def health_of(data: bytes) -> Health:
    """Translate the standard answer.

    Raises:
        ProtocolError: it is another message.

    """
    answer = parsed(health_pb2.HealthCheckResponse, data, _HEALTH_BYTES)
    named = {answer.SERVING: Health.SERVING, answer.NOT_SERVING: Health.NOT_SERVING}
    return named.get(answer.status, Health.UNKNOWN)


def none_serves(error: Unavailable) -> bool:
    """Return whether a call failed because several servers are there and none serves."""
    return isinstance(error.__cause__, grpc.RpcError) and says_none_serves(
        cast(grpc.Call, error.__cause__).details() or ""
    )
