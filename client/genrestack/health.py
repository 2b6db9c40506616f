"""What a server says about its own readiness."""

from enum import StrEnum

__all__ = ["Health"]


class Health(StrEnum):
    """Answer of `grpc.health.v1`; compares equal to its name."""

    SERVING = "SERVING"
    """At least one model (or the model asked about) is proven, warm and answering."""
    NOT_SERVING = "NOT_SERVING"
    """Starting, draining, or nothing is loaded."""
    UNKNOWN = "UNKNOWN"
    """The server does not know the service asked about, or does not say."""
