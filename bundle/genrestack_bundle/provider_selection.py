"""Selection of the execution provider a bundle is served with: one under which it answers its golden rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from genrestack_bundle.errors import BundleError
from genrestack_bundle.native.library import LIBRARY, chosen_instructions, missing
from genrestack_bundle.native.substitution import DOMAIN, VERSION, native_parts
from genrestack_bundle.parity import verify_parity
from genrestack_bundle.reader import Bundle
from genrestack_bundle.runtime.compose import compose
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
    passed_over: tuple[str, ...] = ()
    """Why each better provider was not taken: its word, and the reason."""
    native: Mapping[str, str] = field(default_factory=dict)
    """Parts that a native operator answers for in place of their graphs, with the instruction set it uses."""
    native_passed_over: str = ""
    """Why the native operators that this bundle has a use for were not taken; "" if they were."""


def verified_session(
    bundle: Bundle,
    *,
    provider: str = "auto",
    device: int = 0,
    threads: int | None = None,
    native: bool = True,
    cancellation: Cancellation | None = None,
) -> VerifiedSession:
    """Compose a bundle and verify it under the provider asked for; `auto`: under the best that starts and agrees.

    Args:
        bundle: what is served.
        provider: `auto`, `cpu`, `cuda` or `tensorrt`.
        device: number of the GPU, where the provider runs on one.
        threads: intra-op threads; None: as many as this process may use.
        native: take native operators on the CPU where they are there and answer the golden rows.
        cancellation: what may end it before it is through.

    Raises:
        ProviderError: the provider asked for is not there, or does not start.
        ParityError: the bundle does not answer its golden rows under it.
        BundleError: the bundle does not run at all.
        LoadCancelledError: it was cancelled.

    """
    words, passed_over = candidates(provider), list[str]()
    attempt = _Attempt(bundle, device, threads, cancellation)
    for word in words[:-1]:
        try:
            verified = attempt.best(word, native=native)
        except BundleError as error:
            passed_over.append(f"{word}: {error}")
        else:
            return replace(verified, passed_over=tuple(passed_over))
    return replace(attempt.best(words[-1], native=native), passed_over=tuple(passed_over))


@dataclass(frozen=True)
class _Attempt:
    """Sessions of one bundle, verified."""

    bundle: Bundle
    device: int
    threads: int | None
    cancellation: Cancellation | None

    def best(self, word: str, *, native: bool) -> VerifiedSession:
        """Verify the bundle under a provider: with native operators if it can be, else by its graphs alone."""
        parts = native_parts(self.bundle.model, self.bundle.graphs) if native and word == "cpu" else {}
        if not parts:
            return self._by_graphs(word)
        names = [part.name for part in self.bundle.model.parts if part.file in parts]
        reason = missing()
        if not reason:
            try:
                return self._by_operators(word, parts, names)
            except BundleError as error:
                # Its advice is for a bundle at fault.
                reason = str(error).partition("; ")[0]
        return replace(self._by_graphs(word), native_passed_over=f"{', '.join(names)}: {reason}")

    def _by_graphs(self, word: str) -> VerifiedSession:
        return self._verified(word, self.bundle.compose())

    def _by_operators(self, word: str, parts: Mapping[str, bytes], names: Sequence[str]) -> VerifiedSession:
        graph = compose(self.bundle.model, {**self.bundle.graphs, **parts}, {DOMAIN: VERSION})
        verified = self._verified(word, graph, LIBRARY)
        return replace(verified, native=dict.fromkeys(names, chosen_instructions()))

    def _verified(self, word: str, graph: bytes, operators: Path | None = None) -> VerifiedSession:
        session = ComposedSession(
            graph,
            part_names=self.bundle.part_names,
            provider=word,
            threads=self.threads,
            device=self.device,
            operators=operators,
            # TensorRT builds its engines there, too.
            within_s=max(LOAD_S, PROVIDERS[word].verify_s),
            cancellation=self.cancellation,
        )
        within_s = PROVIDERS[word].verify_s
        return VerifiedSession(
            session, verify_parity(session, self.bundle, within_s=within_s, cancellation=self.cancellation)
        )
