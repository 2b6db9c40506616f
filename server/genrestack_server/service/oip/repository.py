"""The repository extension: what is known of every version."""

from functools import lru_cache
from typing import Final

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.errors import InvalidInput
from genrestack_server.models.registry import IndexSnapshot, Registry
from genrestack_server.service.messages import run_in_thread

# This many take a millisecond or two.
_LARGE: Final = 200
_READY: Final = "READY"

ModelIndex = pb.RepositoryIndexResponse.ModelIndex


async def index(registry: Registry, *, only_ready: bool) -> pb.RepositoryIndexResponse:
    """List every version that is known, or only those that are ready; not to be changed, as others are handed it too.

    A long list is made in another thread, and once: until something changes, all callers are given the same.
    """
    snapshot = registry.snapshot()
    if len(snapshot) > _LARGE:
        return await run_in_thread(_listed, snapshot, only_ready)
    return _listed(snapshot, only_ready)


@lru_cache(maxsize=2)
def _listed(snapshot: IndexSnapshot, only_ready: bool) -> pb.RepositoryIndexResponse:  # noqa: FBT001 - a key
    entries = (
        ModelIndex(name=entry.name, version=str(entry.version), state=entry.state.upper(), reason=entry.reason)
        for entry in snapshot.entries()
    )
    return pb.RepositoryIndexResponse(models=[entry for entry in entries if not only_ready or entry.state == _READY])


def check_repository(name: str) -> None:
    """Refuse another repository than the one there is.

    Raises:
        InvalidInput: one is named.

    """
    if name:
        raise InvalidInput.of("repository_name", "there is one repository, without a name; leave it empty")
