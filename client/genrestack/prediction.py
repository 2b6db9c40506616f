"""What a stack said about some rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack.display.notebook import html_table
from genrestack_common.text import counted, printable

__all__ = ["Neighbor", "Prediction"]

_SHOWN = 4
_TABLE_ROWS = 10
_RUNNERS_UP = 2


@dataclass(frozen=True)
class Neighbor:
    """A training row that is among the nearest to a row that was asked about."""

    row: int
    """Its number among the training rows, from 0, in the order of the fit."""
    label: str
    """Its own label."""
    distance: float
    """By the metric of the model's KNN, over scaled features."""
    name: str = ""
    """Its name; "" where the model keeps none."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Labels and probabilities for n rows, in the order in which the rows were given."""

    labels: list[str]
    """The label of each row; n of them."""
    probabilities: npt.NDArray[np.float32]
    """Whole stack, float32, shape (n, k), each row summing to 1."""
    classes: tuple[str, ...]
    """Names of the k probability columns."""
    model: str
    """The model that answered."""
    version: int
    """Its version."""
    base: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Each base estimator's own probabilities, float32, shape (n, k), by its name; empty unless asked for."""
    neighbors: tuple[tuple[Neighbor, ...], ...] = ()
    """For each row, the nearest training rows, nearest first; empty unless asked for."""
    novelty: npt.NDArray[np.float64] | None = None
    """How far each row is from the training rows, float64, shape (n,), in units of what is usual between those; None
    where nobody asked, or the model does not know. `ModelInfo.novelty` has the threshold."""

    def __len__(self) -> int:
        return len(self.labels)

    def top(self, count: int = 3) -> list[list[tuple[str, float]]]:
        """For each row, the `count` likeliest classes with their probabilities, likeliest first.

        Classes that are equally likely keep the order of `classes`.
        """
        return _likeliest(self.probabilities, self.classes, count)

    # pandas is not a dependency of the client, so its types cannot be named here.
    def to_frame(self) -> Any:
        """Make a pandas DataFrame: column `label`, then one probability column for each class.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        """
        import pandas as pd

        frame = pd.DataFrame(self.probabilities, columns=list(self.classes))
        frame.insert(0, "label", self.labels, allow_duplicates=True)
        return frame

    def __repr__(self) -> str:
        named = f"{printable(self.model)}/{self.version}"
        if len(self) <= _SHOWN:
            answers = ", ".join(
                f"{printable(label)} {row.max():.3f}"
                for label, row in zip(self.labels, self.probabilities, strict=True)
            )
        else:
            most = Counter(self.labels).most_common(_SHOWN)
            answers = ", ".join(f"{printable(label)}: {count}" for label, count in most)
            answers += ", …" if len(set(self.labels)) > _SHOWN else ""
        return f"<Prediction of {named} for {len(self)} row{'' if len(self) == 1 else 's'}: {answers}>"

    def _repr_html_(self) -> str:
        rows = []
        for number, best in enumerate(_likeliest(self.probabilities[:_TABLE_ROWS], self.classes, _RUNNERS_UP + 1)):
            label = self.labels[number]
            own = float(self.probabilities[number, self.classes.index(label)])
            others = ", ".join(f"{name} {value:.3f}" for name, value in best if name != label)
            rows.append((str(number), label, f"{own:.3f}", others))
        more = len(self) - len(rows)
        notes = [f"… and {counted(more, 'more row')}; to_frame() has all"] if more else []
        title = f"{self.model}/{self.version}, {counted(len(self), 'row')}"
        return html_table(title, ("row", "label", "probability", "runners-up"), rows, notes)


def _likeliest(
    probabilities: npt.NDArray[np.float32], classes: tuple[str, ...], count: int
) -> list[list[tuple[str, float]]]:
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    picked = np.take_along_axis(probabilities, order, axis=1)
    return [
        [(classes[column], float(value)) for column, value in zip(columns, values, strict=True)]
        for columns, values in zip(order, picked, strict=True)
    ]
