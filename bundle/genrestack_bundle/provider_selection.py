"""Selection of the execution provider a bundle is served with: one under which it answers its golden rows."""

from dataclasses import dataclass

from genrestack_bundle.errors import BundleError
from genrestack_bundle.parity import verify_parity
from genrestack_bundle.reader import Bundle
from genrestack_bundle.runtime.providers import PROVIDERS, candidates
from genrestack_bundle.runtime.session import LOAD_S, ComposedSession
from genrestack_bundle.runtime.watchdog import Cancellation
from genrestack_proto.v1.model_pb2 import Parity


@dataclass(frozen=True)
class VerifiedSession:
    """A session that answers its bundle's golden rows."""

    session: ComposedSession
    parity: Parity
    """What the golden rows showed under the session's provider."""
    passed_over: tuple[str, ...]
    """Why each better provider was not taken: its word, and the reason."""


def verified_session(
    bundle: Bundle,
    *,
    provider: str = "auto",
    device: int = 0,
    threads: int | None = None,
    cancellation: Cancellation | None = None,
) -> VerifiedSession:
    """Compose a bundle and verify it under the provider asked for; `auto`: under the best that starts and agrees.

    Args:
        bundle: what is served.
        provider: `auto`, `cpu`, `cuda` or `tensorrt`.
        device: number of the GPU, where the provider runs on one.
        threads: intra-op threads; None: as many as this process may use.
        cancellation: what may end it before it is through.

    Raises:
        ProviderError: the provider asked for is not there, or does not start.
        ParityError: the bundle does not answer its golden rows under it.
        BundleError: the bundle does not run at all.
        LoadCancelledError: it was cancelled.

    """
    words, passed_over = candidates(provider), list[str]()

    def verify(word: str) -> tuple[ComposedSession, Parity]:
        session = ComposedSession(
            graph,
            part_names=bundle.part_names,
            provider=word,
            threads=threads,
            device=device,
            # TensorRT builds its engines there, too.
            within_s=max(LOAD_S, PROVIDERS[word].verify_s),
            cancellation=cancellation,
        )
        return session, verify_parity(session, bundle, within_s=PROVIDERS[word].verify_s, cancellation=cancellation)

    graph = bundle.compose()
    for word in words[:-1]:
        try:
            session, parity = verify(word)
        except BundleError as error:
            passed_over.append(f"{word}: {error}")
        else:
            return VerifiedSession(session, parity, tuple(passed_over))
    session, parity = verify(words[-1])
    return VerifiedSession(session, parity, tuple(passed_over))
