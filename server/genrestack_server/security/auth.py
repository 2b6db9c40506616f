"""Who may call what: tokens, and the management calls that are closed unless opened."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from genrestack_server.config.server_config import Management
from genrestack_server.errors import PermissionDenied, Unauthenticated
from genrestack_server.security.tokens import Token, Tokens

OPEN_SERVICE: Final = "/grpc.health.v1.Health/"
"""Health answers without a token: probes have none, and it tells no more than whether the port is ready."""
MANAGEMENT_METHODS: Final = frozenset(
    f"/inference.GRPCInferenceService/{name}"
    for name in ("RepositoryModelLoad", "RepositoryModelUnload", "ModelStatistics")
)
"""What changes or reveals more than an answer; the repository's index is not among them."""
AUTHORIZATION: Final = "authorization"
_SCHEME: Final = "bearer "

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


class Authorizer:
    """Decides by method and metadata alone, before a request is read."""

    def __init__(self, management: Management, tokens: Tokens | None) -> None:
        self._management = management
        self._tokens = tokens

    @property
    def needed(self) -> bool:
        """Whether there is anything to refuse."""
        return self._tokens is not None or self._management != "open"

    def check(self, method: str, metadata: Metadata) -> None:
        """Check a call's token.

        Args:
            method: the full name, `/package.Service/Method`.
            metadata: what the caller sent with it.

        Raises:
            Unauthenticated: there are tokens, and the caller has none of them.
            PermissionDenied: a management call, and they are closed or the token is not marked `admin`.

        """
        if self._tokens is None:
            if method in MANAGEMENT_METHODS and self._management != "open":
                raise _closed(method)
        elif not method.startswith(OPEN_SERVICE):
            token = _authenticated(self._tokens, metadata)
            if method in MANAGEMENT_METHODS:
                self._check_management(method, token)

    def _check_management(self, method: str, token: Token) -> None:
        if self._management != "open":
            raise _closed(method)
        if not token.admin:
            raise PermissionDenied(
                f"{method_name(method)} is a management call, for which this token is not marked; "
                "use one made with `genrestack token --admin`"
            )


def _authenticated(tokens: Tokens, metadata: Metadata) -> Token:
    values = [value for key, value in metadata if key == AUTHORIZATION]
    if not values:
        raise Unauthenticated("this server asks for a token; send it as metadata 'authorization: Bearer TOKEN'")
    value = values[0]
    if len(values) > 1 or not isinstance(value, str) or not value.lower().startswith(_SCHEME):
        raise Unauthenticated("the metadata 'authorization' must be, once, 'Bearer TOKEN'")
    token = tokens.find(value[len(_SCHEME) :].strip())
    if token is None:
        raise Unauthenticated("this server does not know the token; it may have been replaced: ask for a new one")
    return token


def _closed(method: str) -> PermissionDenied:
    return PermissionDenied(
        f"{method_name(method)} is a management call, and they are closed on this server; --management open opens them"
    )


def method_name(method: str) -> str:
    """Return `Predict` of `/genrestack.v1.PredictionService/Predict`."""
    return method.rpartition("/")[2]
