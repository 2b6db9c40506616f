"""What a server has said of its models, kept by the client that asked."""

from typing import Final

from genrestack._core.inputs.missing import refused_gaps
from genrestack._core.inputs.rows import Rows
from genrestack._core.request import ModelSpec
from genrestack.model_info import ModelInfo

_MOST_KNOWN: Final = 64


class KnownModels:
    """What a server last said of models: which columns they take, and in which of them missing values.

    There may be newer versions since: a model whose columns are refused is forgotten, and before a gap is refused, the
    server is asked again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], ModelInfo] = {}
        self._forgotten: set[tuple[str, int]] = set()
        """Models whose columns are to be asked for again; what is taken without asking is still sent."""

    def note(self, spec: ModelSpec, info: ModelInfo) -> None:
        """Remember what a server said when it was asked for `spec`."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._forgotten.clear()
        for key in ((spec.model, spec.version), (info.name, info.version)):
            self._known[key] = info
            self._forgotten.discard(key)

    def find(self, spec: ModelSpec) -> ModelInfo | None:
        """Return the description of a model whose columns need not be asked for."""
        key = (spec.model, spec.version)
        return None if key in self._forgotten else self._known.get(key)

    def forget(self, spec: ModelSpec) -> bool:
        """Forget a model's columns, so that they are asked for again; return whether they were known."""
        known = self.find(spec) is not None
        if known:
            self._forgotten.add((spec.model, spec.version))
        return known

    def take(self, rows: Rows, spec: ModelSpec) -> bool:
        """Return whether rows may be sent: they have no gap, or the model is known to take each of them."""
        if rows.gaps is None:
            return True
        info = self._known.get((spec.model, spec.version))
        return info is not None and not refused_gaps(rows, info).any()
