"""The repository extension: what is known of every version."""

from typing import Final

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.errors import InvalidRequestError
from genrestack_server.registry import Registry

_READY: Final = "READY"

ModelIndex = pb.RepositoryIndexResponse.ModelIndex


def index(registry: Registry, *, only_ready: bool) -> pb.RepositoryIndexResponse:
    """List every version that is known, or only those that are ready."""
    entries = [
        ModelIndex(name=entry.name, version=str(entry.version), state=entry.state.upper(), reason=entry.reason)
        for entry in registry.index()
    ]
    return pb.RepositoryIndexResponse(models=[entry for entry in entries if not only_ready or entry.state == _READY])


def check_repository(name: str) -> None:
    """Refuse another repository than the one there is.

    Raises:
        InvalidRequestError: one is named.

    """
    if name:
        raise InvalidRequestError.of("repository_name", "there is one repository, without a name; leave it empty")
