"""What an export is told, beside the model and the rows that belong to it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from genrestack_bundle.layout import check_model_name
from genrestack_export.converters.nearest.novelty import NoveltyScale
from genrestack_export.converters.parts import Precision
from genrestack_export.errors import ExportError
from genrestack_proto.v1.model_pb2 import Extractor, Parity, Provenance

Files = Mapping[str, bytes]
"""By file name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Arguments of `export_stack`, which says what each means.

    Raises:
        ExportError: one is not what it has to be, or stands without another that it needs.
        BundleError: there may be no model of this name.

    """

    models_dir: str | Path
    name: str
    classes: Any = None
    precision: Precision = "single"
    accepts_missing: Collection[str] | None = None
    neighbors: bool = False
    row_names: Sequence[str] | None = None
    novelty: NoveltyScale | None = None
    metrics: Mapping[str, float] | None = None
    provenance: Provenance | None = None
    extractor: Extractor | None = None
    report: Files | Callable[[Parity], Files] | None = None

    def __post_init__(self) -> None:
        """Check them."""
        check_model_name(self.name)
        if self.precision not in get_args(Precision):
            raise ExportError(f"precision is {self.precision!r}; choose single or double")
        if (self.row_names is not None or self.novelty is not None) and not self.neighbors:
            raise ExportError("row_names and novelty are of nearest training rows; pass neighbors=True as well")
