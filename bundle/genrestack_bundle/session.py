"""A composed graph in onnxruntime."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.compose import CLASS_INDEX, FEATURES, PROBABILITIES, base_output
from genrestack_bundle.cpus import usable_cpus
from genrestack_bundle.errors import BundleError, ProviderError

if TYPE_CHECKING:
    import onnxruntime

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
# Up to so many rows, waking further threads costs more than they save: a session of one thread answers.
NARROW_ROWS = 16
# TF32 keeps ten bits of a product's mantissa, and parity fails.
_OPTIONS: dict[str, dict[str, str]] = {_CPU: {}, _CUDA: {"use_tf32": "0"}}


@dataclass(frozen=True)
class Answer:
    """What the stack says of n rows."""

    class_index: npt.NDArray[np.int64]
    """Column of the predicted class, shape (n,)."""
    probabilities: npt.NDArray[np.float32]
    """Shape (n, k)."""
    base: dict[str, npt.NDArray[np.float32]]
    """Each base estimator's probabilities, shape (n, k), by its name in the stack."""


class ComposedSession:
    """A composed graph in onnxruntime; `run` may be called from several threads at once."""

    def __init__(
        self, graph: bytes, *, part_names: Sequence[str], provider: str = "auto", threads: int | None = None
    ) -> None:
        """Load a composed graph.

        Args:
            graph: what `compose` made.
            part_names: the base estimators' names, in the order of the stack.
            provider: `auto` (CUDA where it is there, else CPU), `cpu` or `cuda`.
            threads: intra-op threads; None: as many as this process may use.

        Raises:
            ProviderError: the provider is not there, or did not take the graph.
            BundleError: onnxruntime refuses the graph.

        """
        ort = import_onnxruntime()
        self.threads = threads or usable_cpus()
        self.part_names = tuple(part_names)
        wanted = _choose(provider, ort.get_available_providers())
        self._wide = _load(ort, graph, wanted, self.threads)
        self._narrow = self._wide if self.threads == 1 or wanted != _CPU else _load(ort, graph, wanted, 1)
        self.provider: str = self._wide.get_providers()[0]
        if self.provider != wanted:
            raise ProviderError(f"{wanted} did not start, onnxruntime fell back to {self.provider}; see its log")
        self.provider_options: dict[str, str] = dict(self._wide.get_provider_options()[self.provider])
        self._outputs = [CLASS_INDEX, PROBABILITIES, *map(base_output, self.part_names)]

    def run(self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None" = None) -> Answer:
        """Answer n rows of unscaled features, float32 of shape (n, f); `options` are onnxruntime's for one run."""
        session = self._narrow if len(rows) <= NARROW_ROWS else self._wide
        index, probabilities, *base = session.run(self._outputs, {FEATURES: rows}, options)
        return Answer(index, probabilities, dict(zip(self.part_names, base, strict=True)))


@contextmanager
def ended_after(seconds: float) -> "Iterator[onnxruntime.RunOptions]":
    """Make options whose runs end with an error once so many seconds have passed, whatever the graph computes."""
    options = import_onnxruntime().RunOptions()
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()


def _load(ort: Any, graph: bytes, provider: str, threads: int) -> "onnxruntime.InferenceSession":
    try:
        return ort.InferenceSession(
            graph, sess_options=_options(ort, threads), providers=[(provider, _OPTIONS[provider])]
        )
    except ort_errors() as error:
        raise BundleError("onnxruntime refuses the composed graph; export the model again") from error


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off: the variable counts only before the first import."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def _options(ort: Any, threads: int) -> "onnxruntime.SessionOptions":
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread burns the CPU quota of a container and starves its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _choose(provider: str, available: Sequence[str]) -> str:
    if provider == "auto":
        return _CUDA if _CUDA in available else _CPU
    names = {"cpu": _CPU, "cuda": _CUDA}
    if provider not in names:
        raise ProviderError(f"unknown provider {provider!r}; choose auto, cpu or cuda")
    if names[provider] not in available:
        raise ProviderError(
            f"{names[provider]} is not in this onnxruntime, which has {', '.join(available)}; "
            'choose --provider cpu, or install "genrestack[server-gpu]" in an environment without onnxruntime'
        )
    return names[provider]


def ort_errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises: its own classes have no base in common."""
    state = import_onnxruntime().capi.onnxruntime_pybind11_state
    own = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, RuntimeError, ValueError)
