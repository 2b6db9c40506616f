"""A composed graph in onnxruntime."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.compose import CLASS_INDEX, FEATURES, PROBABILITIES, base_output
from genrestack_bundle.cpus import usable_cpus
from genrestack_bundle.errors import BundleError, ProviderError
from genrestack_bundle.providers import PROVIDERS, Provider, candidates, import_onnxruntime, ort_errors, start
from genrestack_bundle.widening import widened

if TYPE_CHECKING:
    import onnxruntime

# Up to so many rows, waking further threads costs more than they save: a session of one thread answers.
NARROW_ROWS = 16


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
        self,
        graph: bytes,
        *,
        part_names: Sequence[str],
        provider: str = "auto",
        threads: int | None = None,
        device: int = 0,
        bound: bool | None = None,
    ) -> None:
        """Load a composed graph.

        Args:
            graph: what `compose` made.
            part_names: the base estimators' names, in the order of the stack.
            provider: `cpu`, `cuda`, `tensorrt`, or `auto`, the best of them that starts here; which of those answers
                rightly is for `proven_session` to say.
            threads: intra-op threads; None: as many as this process may use.
            device: number of the GPU, where the provider runs on one.
            bound: whether rows are handed over where the graph runs, so that they cross once; None: on a GPU.

        Raises:
            ProviderError: the provider is not there, does not start, or takes nothing of the graph.
            BundleError: onnxruntime refuses the graph.

        """
        ort = import_onnxruntime()
        self.threads = threads or usable_cpus()
        self.part_names = tuple(part_names)
        wanted = _chosen(provider, device)
        self._wide = _load(ort, graph, wanted, device, self.threads)
        self._narrow = self._wide if self.threads == 1 or wanted.gpu else _load(ort, graph, wanted, device, 1)
        self.gpu = wanted.gpu
        self.provider = wanted.name
        """onnxruntime's name of the provider that runs what it can of the graph."""
        self.nodes: Mapping[str, int] = _nodes(self._wide)
        """How many of the graph's nodes each provider runs, by onnxruntime's name; most first."""
        if wanted.name not in self.nodes:
            raise ProviderError(f"{wanted.name} runs none of the graph's operators; choose --provider cpu")
        self.provider_options: dict[str, str] = dict(self._wide.get_provider_options()[self.provider])
        self._outputs = [CLASS_INDEX, PROBABILITIES, *map(base_output, self.part_names)]
        self._bound = wanted.gpu if bound is None else bound
        self._place = wanted.place, device if wanted.place != "cpu" else 0

    def run(self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None" = None) -> Answer:
        """Answer n rows of unscaled features, float32 of shape (n, f); `options` are onnxruntime's for one run."""
        session = self._narrow if len(rows) <= NARROW_ROWS else self._wide
        if self._bound and len(rows):
            index, probabilities, *base = self._run_bound(session, rows, options)
        else:
            index, probabilities, *base = session.run(self._outputs, {FEATURES: rows}, options)
        return Answer(index, probabilities, dict(zip(self.part_names, base, strict=True)))

    def _run_bound(
        self, session: "onnxruntime.InferenceSession", rows: npt.NDArray[np.float32], options: Any
    ) -> list[npt.NDArray[Any]]:
        """Copy the rows to where the graph begins, once, and each answer back, once."""
        binding = session.io_binding()
        rows = np.ascontiguousarray(rows)
        value = import_onnxruntime().OrtValue.ortvalue_from_numpy(rows, *self._place)
        binding.bind_ortvalue_input(FEATURES, value)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding, options)
        answers: list[npt.NDArray[Any]] = binding.copy_outputs_to_cpu()
        return answers


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


def _chosen(word: str, device: int) -> Provider:
    """Give the first provider of those that may be meant which starts here; the last one's reason if none does."""
    *others, last = (PROVIDERS[each] for each in candidates(word))
    for provider in others:
        try:
            start(provider, device)
        except ProviderError:
            continue
        return provider
    start(last, device)
    return last


def _load(ort: Any, graph: bytes, provider: Provider, device: int, threads: int) -> "onnxruntime.InferenceSession":
    settings = provider.settings(device)
    graph = widened(graph) if provider.gpu else graph
    try:
        session = ort.InferenceSession(graph, _options(ort, threads), providers=settings, enable_fallback=False)
    except ort_errors() as error:
        raise BundleError("onnxruntime refuses the composed graph; export the model again") from error
    if provider.name not in session.get_providers():
        raise ProviderError(f"{provider.name} did not start, and onnxruntime fell back; choose --provider cpu")
    return session


def _options(ort: Any, threads: int) -> "onnxruntime.SessionOptions":
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread burns the CPU quota of a container and starves its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Remembers which provider took which node, for people to see.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.log_severity_level = 3
    return options


def _nodes(session: "onnxruntime.InferenceSession") -> dict[str, int]:
    """Count the nodes that each provider was given, as onnxruntime divided the graph."""
    counted: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counted[part.ep_name] += len(part.get_nodes())
    return dict(counted.most_common())
