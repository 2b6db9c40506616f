"""A served model that is asked about a table: the one place where training meets the client.

NumPy is imported when something is asked: the command's options come from here, and `genrestack --help` is to be quick.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genrestack.cli.connection import Connection, client_or_loaded, connection_options, models_option
from genrestack.display.accuracy import accuracy_text
from genrestack.errors import GenreStackError
from genrestack_common.extractors import Extractor
from genrestack_common.text import printable
from genrestack_training.errors import ServedError

if TYPE_CHECKING:
    import numpy as np

    from genrestack import Client  # noqa: TC004 - for those who name its type

__all__ = [
    "Answers",
    "Client",
    "Connection",
    "ServedModel",
    "ask",
    "client_or_loaded",
    "connection_options",
    "describe",
    "models_option",
    "served_errors",
]

_BATCH_ROWS = 256


@dataclass(frozen=True, eq=False)
class ServedModel:
    """What a model says of itself."""

    name: str
    version: int
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    accepts_missing: "np.ndarray"
    """bool, shape (f,): features that a row may lack."""
    seen_min: "np.ndarray"
    """float64, shape (f,), as the three below: of the training rows; NaN where it is not known."""
    seen_max: "np.ndarray"
    mean: "np.ndarray"
    deviation: "np.ndarray"
    accuracy: str
    """What training measured, in words; empty if it measured nothing."""
    created: str
    data_sha256: str
    """Of the table it was trained on; empty if that is not known."""
    extractor: Extractor | None = None
    """What computed that table's features from recordings, where a tagger took part."""

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answered for n rows."""

    labels: list[str]
    probabilities: "np.ndarray"
    """float64, shape (n, k)."""
    base: Mapping[str, "np.ndarray"]
    """Base model → float64, shape (n, k)."""
    seconds: float
    """From the first row sent to the last answer."""


@contextmanager
def served_errors() -> Iterator[None]:
    """Raise what the client raises as an error of this package.

    Raises:
        ServedError: the model cannot be asked, or does not take the rows.

    """
    try:
        yield
    except GenreStackError as error:
        raise ServedError(printable(str(error))) from error


def describe(client: "Client", model: str | None, version: int | None) -> ServedModel:
    """Ask for a model's description; without a name, for that of the default model."""
    with served_errors():
        info = client.model(model, version)

    import numpy as np

    def numbers(name: str) -> "np.ndarray":
        return np.array([np.nan if (v := getattr(f, name)) is None else v for f in info.features], dtype=np.float64)

    return ServedModel(
        name=info.name,
        version=info.version,
        feature_names=info.feature_names,
        classes=info.classes,
        accepts_missing=np.array([f.accepts_missing for f in info.features], dtype=np.bool_),
        seen_min=numbers("seen_min"),
        seen_max=numbers("seen_max"),
        mean=numbers("mean"),
        deviation=numbers("standard_deviation"),
        accuracy=accuracy_text(info.metrics, info.provenance.split),
        created=info.provenance.created,
        data_sha256=info.provenance.data_sha256,
        extractor=None if info.extractor is None else Extractor(info.extractor.kind, info.extractor.sha256),
    )


def ask(client: "Client", model: ServedModel, rows: "np.ndarray", timeout: float) -> Answers:
    """Have rows answered by the stack and each base model, a batch at a time.

    Args:
        client: connected to the model's server, or with the model loaded.
        model: as `describe` gave it.
        rows: float64, shape (n, f), n ≥ 1, in the model's order; NaN where it accepts that.
        timeout: seconds to wait for one batch.

    Raises:
        ServedError: it cannot be asked, or does not take the rows.

    """
    with served_errors():
        # The first answer of a model that was just loaded takes longer.
        client.predict(rows[:1], model=model.name, version=model.version, base=True, timeout=timeout)
        begun = time.monotonic()
        parts = list(
            client.predict_stream(_batches(rows), model=model.name, version=model.version, base=True, timeout=timeout)
        )
        seconds = time.monotonic() - begun

    import numpy as np

    def joined(values: Sequence["np.ndarray"]) -> "np.ndarray":
        return np.concatenate(values).astype(np.float64)

    return Answers(
        labels=[label for part in parts for label in part.labels],
        probabilities=joined([part.probabilities for part in parts]),
        base={name: joined([part.base[name] for part in parts]) for name in parts[0].base},
        seconds=seconds,
    )


def _batches(rows: "np.ndarray") -> Iterator["np.ndarray"]:
    for start in range(0, len(rows), _BATCH_ROWS):
        yield rows[start : start + _BATCH_ROWS]
