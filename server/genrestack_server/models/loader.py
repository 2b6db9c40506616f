"""From a version's folder to a version that may be served: verified, composed, its golden rows checked, warm."""

import logging
import secrets
import time
from pathlib import Path
from typing import Final

import numpy as np

from genrestack_bundle import (
    Bundle,
    BundleError,
    Cancellation,
    ComposedSession,
    LoadCancelledError,
    RunLimit,
    VerifiedSession,
    WrongAnswerError,
    open_bundle,
    verified_search,
    verified_session,
    verify_answer,
)
from genrestack_bundle.native.library import missing
from genrestack_common.text import clipped, counted, printable
from genrestack_proto.matrix import FloatMatrix
from genrestack_proto.v1.model_pb2 import MODEL_STATE_READY, Model, Runtime
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.models.registry import ServedModel

_log = logging.getLogger(__name__)

# One row takes other code paths in onnxruntime than many, and the first of each allocates.
_WARM_UP_BATCH: Final = 64
# Golden rows, not made ones: rows far outside the trained range can take a model several times as long.
_WARM_UP_RUNS: Final = 5
# About what reading and writing one message takes the event loop anyway.
_QUICK_S: Final = 0.0005
# A reason goes into logs and into the repository's index; names in a bundle are whatever was written there.
_MAX_REASON_BYTES: Final = 1000


def load_version(
    name: str, version: int, config: ServerConfig, cancellation: Cancellation | None = None
) -> ServedModel:  # fmt: skip
    """Load one version: verify every hash, compose, run the golden rows under the provider that really runs, warm up.

    Raises:
        BundleError: the bundle is broken, or does not answer its golden rows.
        ProviderError: the execution provider asked for is missing or does not start.
        LoadCancelledError: it was cancelled.

    """
    began = time.monotonic()
    bundle = open_bundle(config.models_dir / name / str(version))
    verified = verified_session(
        bundle,
        provider=config.provider,
        device=config.device,
        threads=config.threads,
        native=config.native,
        cancellation=cancellation,
    )
    for reason in verified.passed_over:
        _log.warning("%s/%d: auto passes over %s", name, version, reason)
    if verified.native_passed_over:
        # Left out at installation is a choice; there, and wrong or refused, is not.
        level = logging.INFO if missing() else logging.WARNING
        _log.log(level, "%s/%d: no native operator for %s", name, version, verified.native_passed_over)
    session, parity = verified.session, verified.parity
    search = verified_search(bundle, threads=session.threads, cancellation=cancellation)
    inline_max_rows = _WarmUp(bundle, session, config.max_compute_seconds, cancellation).inline_max_rows()
    _log.info(
        "%s/%d is ready after %.1f s: %d golden rows agree, largest difference %.1e; %s",
        name, version, time.monotonic() - began, parity.rows, parity.max_abs_difference, _placed(verified),
    )  # fmt: skip
    return ServedModel(_described(bundle, verified), session, inline_max_rows, bundle.sums, search)


class _WarmUp:
    """Runs batches of the usual sizes, as requests do."""

    def __init__(
        self, bundle: Bundle, session: ComposedSession, within_s: float, cancellation: Cancellation | None
    ) -> None:
        self._golden = bundle.golden.rows
        self._classes = len(bundle.model.classes)
        self._session = session
        self._within_s = within_s
        self._cancellation = cancellation

    def inline_max_rows(self) -> int:
        """Return how many rows are a quick run, 0 if even one takes longer.

        Raises:
            BundleError: a run takes longer than it may, or gives a wrong answer.
            LoadCancelledError: it was cancelled.

        """
        self._seconds_for(np.resize(self._golden, (_WARM_UP_BATCH, self._golden.shape[1])))
        row = np.ascontiguousarray(self._golden[:1])
        return int(_QUICK_S / min(self._seconds_for(row) for _ in range(_WARM_UP_RUNS)))

    def _seconds_for(self, rows: FloatMatrix) -> float:
        limit = RunLimit(seconds=self._within_s, cancellation=self._cancellation)
        began = time.perf_counter()
        try:
            with limit:
                answer = self._session.run(rows, limit.options)
            seconds = time.perf_counter() - began
            verify_answer(answer, len(rows), self._classes)
        except WrongAnswerError as error:
            text = f"it gives a wrong answer to {counted(len(rows), 'golden row')}: {error}; export it again"
            raise BundleError(text) from error
        except Exception as error:
            if self._cancellation is not None and self._cancellation.cancelled:
                raise LoadCancelledError("the loading was cancelled") from error
            if limit.over:
                text = (
                    f"it needs more than {self._within_s:g} s for {counted(len(rows), 'row')} (--max-compute-seconds)"
                )
                raise BundleError(text) from error
            raise
        return seconds


def _placed(verified: VerifiedSession) -> str:
    """Describe how many of the graph's nodes each provider runs, and what native operators answer for."""
    nodes = [f"{provider}: {counted(nodes, 'node')}" for provider, nodes in verified.session.nodes.items()]
    return ", ".join([*nodes, *(f"{part} native ({instructions})" for part, instructions in verified.native.items())])


def _described(bundle: Bundle, verified: VerifiedSession) -> Model:
    session = verified.session
    model = Model()
    model.CopyFrom(bundle.model)
    runtime = Runtime(
        state=MODEL_STATE_READY,
        provider=session.provider,
        provider_options=session.provider_options,
        nodes_by_provider=session.nodes,
        intra_op_threads=session.threads,
        parity=verified.parity,
        native_parts=verified.native,
    )
    model.runtime.CopyFrom(runtime)
    return model


def why(error: Exception, models_dir: Path) -> str:
    """Return in one printable line why a version was rejected; it does not contain the repository's path."""
    if isinstance(error, OSError):
        text = f"{error.strerror or type(error).__name__}: {Path(error.filename or 'a file of the bundle').name}"
    elif isinstance(error, BundleError):
        text = str(error)
    else:
        number = secrets.token_hex(4)
        _log.error("internal error %s", number, exc_info=error)
        text = f"it cannot be loaded (internal error {number}; the server's log says more under this id)"
    for folder in {str(models_dir.absolute()), str(models_dir.resolve()), str(models_dir)}:
        text = text.replace(f"{folder}/", "")
    return printable(clipped(text, _MAX_REASON_BYTES))
