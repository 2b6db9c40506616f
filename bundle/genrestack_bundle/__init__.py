"""The bundle on disk: manifest, hashes, composing the parts, verifying the golden rows."""

from genrestack_bundle.errors import BundleError, LoadCancelledError, ParityError, ProviderError
from genrestack_bundle.golden import Golden
from genrestack_bundle.layout import list_models, list_repository, list_versions
from genrestack_bundle.manifest import read_sums
from genrestack_bundle.neighbor_search import NeighborSearch, SearchingSession, verified_search
from genrestack_bundle.neighbors import MAX_NEIGHBORS, FoundNeighbors
from genrestack_bundle.parity import verify_parity
from genrestack_bundle.provider_selection import VerifiedSession, verified_session
from genrestack_bundle.reader import Bundle, open_bundle, still_missing
from genrestack_bundle.runtime.answer import Answer, WrongAnswerError, verify_answer
from genrestack_bundle.runtime.compose import base_output, compose
from genrestack_bundle.runtime.session import ComposedSession, RunLimit
from genrestack_bundle.runtime.watchdog import Cancellation
from genrestack_bundle.single_file import write_onnx
from genrestack_bundle.writer import write_bundle

__all__ = [
    "MAX_NEIGHBORS",
    "Answer",
    "Bundle",
    "BundleError",
    "Cancellation",
    "ComposedSession",
    "FoundNeighbors",
    "Golden",
    "LoadCancelledError",
    "NeighborSearch",
    "ParityError",
    "ProviderError",
    "RunLimit",
    "SearchingSession",
    "VerifiedSession",
    "WrongAnswerError",
    "base_output",
    "compose",
    "list_models",
    "list_repository",
    "list_versions",
    "open_bundle",
    "read_sums",
    "still_missing",
    "verified_search",
    "verified_session",
    "verify_answer",
    "verify_parity",
    "write_bundle",
    "write_onnx",
]
