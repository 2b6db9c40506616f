"""What a stack said about a whole recording."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from genrestack.display.notebook import html_table
from genrestack.prediction import Neighbor, Prediction
from genrestack_common.text import counted, printable

__all__ = ["OutsideRange", "SongPrediction"]


@dataclass(frozen=True)
class OutsideRange:
    """A feature of a recording that lay outside the range the model was trained on.

    Value and range are those with the gain divided out, of a feature that follows it and a model that does so.
    """

    name: str
    share: float
    """Share of the recording's windows in which it did, above 0, at most 1."""
    value: float
    """The value farthest outside."""
    seen_min: float
    """Smallest value among the training rows."""
    seen_max: float
    """Largest value, likewise."""


@dataclass(frozen=True, eq=False, repr=False)
class SongPrediction:
    """Label and probabilities of a recording of n windows, and those of each window."""

    path: str
    """The recording, as it was named."""
    label: str
    """The likeliest class of the recording: the largest of `probabilities`, the first of equals."""
    probabilities: npt.NDArray[np.float32]
    """Float32, shape (k,): the mean over all windows, each counting the same; sums to 1."""
    classes: tuple[str, ...]
    """Names of the k classes."""
    model: str
    """The model that answered."""
    version: int
    """Its version, the same for all windows."""
    windows: Prediction
    """What the model said about each of the n windows, in their order in time."""
    starts: npt.NDArray[np.float64]
    """Where each window begins, s from the beginning; float64, shape (n,), ascending."""
    window: float
    """Length of a window, s."""
    hop: float
    """From one window's beginning to the next one's, s."""
    duration: float
    """Length of the recording, s; where its file does not say it truly, as far as the windows reach."""
    base: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Each base estimator's own mean over all windows, float32, shape (k,), by its name; empty unless asked for."""
    neighbors: tuple[Neighbor, ...] = ()
    """Training rows that it sounds like: those near to most of its windows first, each with its smallest distance to
    one, and rows of one name (windows of a recording) together; empty unless asked for."""
    novelty: float | None = None
    """How far it is from the training rows, the mean over its windows, in units of what is usual between those;
    None where the model does not know. Above `ModelInfo.novelty.threshold` it is warned about."""
    outside: tuple[OutsideRange, ...] = ()
    """Features outside the ranges the model was trained on, those of most windows first; empty where the model does
    not know its ranges."""
    warnings: tuple[str, ...] = ()
    """What a person should know before trusting this answer, one line each."""

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """Return the `count` likeliest classes with their probabilities, likeliest first.

        Classes that are equally likely keep the order of `classes`.
        """
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[column], float(self.probabilities[column])) for column in order]

    def __len__(self) -> int:
        return len(self.windows)

    def __repr__(self) -> str:
        count = f"{len(self)} window{'' if len(self) == 1 else 's'} of {self.window:g} s"
        return (
            f"<SongPrediction of {printable(self.model)}/{self.version} for {printable(self.path)}: "
            f"{printable(self.label)} {self.probabilities.max():.3f}, {count}>"
        )

    def _repr_html_(self) -> str:
        rows = [(name, f"{value:.3f}") for name, value in self.top()]
        window = f"{counted(len(self), 'window')} of {self.window:g} s"
        title = f"{self.path}: {self.label} ({self.model}/{self.version}, mean over {window})"
        return html_table(title, ("genre", "probability"), rows, self.warnings)
