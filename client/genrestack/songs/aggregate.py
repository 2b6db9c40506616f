"""From windows of a recording and a model's answers to them to one answer: no input, no output, no waiting.

For both clients, by way of `genrestack.songs.recording.open_song`:

- `check_model(info, known)` refuses a model that asks for features no recording has.
- `RangeCheck(info)` watches rows go by: `.watch(rows)`, then `.outside()` and `.warnings()`.
- `joined(predictions)` and `song_prediction(...)` make the song's answer of the windows' answers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack._core.neighbors import joined_novelty
from genrestack.errors import InvalidInput, ProtocolError, Violation
from genrestack.model_info import ModelInfo, NoveltyInfo
from genrestack.prediction import Neighbor, Prediction
from genrestack.songs.gain import GainStep
from genrestack.songs.song_prediction import OutsideRange, SongPrediction
from genrestack_common.text import listed, quoted_list

SLACK: Final = 0.01
"""How far outside, in widths of the range, still counts as inside: recordings that training has not seen differ."""
WORTH_A_WARNING: Final = 0.1
"""Share of windows outside from which on it is said: about one in twenty songs of artists new to a GTZAN model."""
_NAMED_FEATURES: Final = 3
OUTSIDE: Final = "windows have features outside the ranges the model was trained on"
"""Words of the warning about them."""
NOVEL: Final = "this song is unlike anything the model was trained on"
"""Words of the warning about a song that is far from all training rows."""


@dataclass(frozen=True)
class Cut:
    """Where the windows of a recording lie."""

    starts: Sequence[float]
    """Seconds from the beginning, one for each window."""
    window: float
    """Seconds."""
    hop: float
    """Seconds."""
    duration: float
    """Of the whole recording, s."""


def check_model(info: ModelInfo, known: Sequence[str]) -> None:
    """Refuse a model that takes features which are not computed from recordings.

    Args:
        info: the model, with its features.
        known: names of the features that are.

    Raises:
        InvalidInput: the message names some of them.

    """
    of_songs = set(known)
    strange = [name for name in info.feature_names if name not in of_songs]
    if not strange:
        return
    count = f"{len(strange)} of its {len(info.features)} features are unknown"
    complaint = f"model {info.name}/{info.version} does not take audio features ({count}): "
    advice = "; name another with --model or model=, or train one on a table that genrestack features made"
    message = complaint + quoted_list(strange) + advice
    raise InvalidInput(message, [Violation("model", message)])


class RangeCheck:
    """Counts how many windows have features outside the ranges a model was trained on.

    Where the model divides a recording's gain out, so does this: being turned down is nothing to warn of.
    """

    def __init__(self, info: ModelInfo) -> None:
        self._names = info.feature_names
        self._step = GainStep(info) if info.gain_feature in info.feature_names else None
        self._follow = {feature.name for feature in info.features if feature.gain is not None}
        ranges = [feature.gain or feature for feature in info.features]
        low = [-np.inf if seen.seen_min is None else seen.seen_min for seen in ranges]
        high = [np.inf if seen.seen_max is None else seen.seen_max for seen in ranges]
        self._low, self._high = np.array(low), np.array(high)
        self._width = _widths(self._low, self._high)
        self.flags: list[bool] = []
        """For each window, whether a feature was outside."""
        self._counts = np.zeros(len(low), dtype=np.int64)
        self._excess = np.zeros(len(low))
        self._worst = np.full(len(low), np.nan)

    def watch(self, rows: npt.NDArray[np.float64]) -> None:
        """Count some windows: float64, shape (n, f), columns in the model's order."""
        rows = rows if self._step is None else self._step(rows)
        excess = np.maximum(self._low - rows, rows - self._high) / self._width
        outside = excess > SLACK
        self.flags.extend(outside.any(axis=1).tolist())
        self._counts += outside.sum(axis=0)
        for column in np.flatnonzero(outside.any(axis=0)):
            row = int(excess[:, column].argmax())
            if excess[row, column] > self._excess[column]:
                self._excess[column] = excess[row, column]
                self._worst[column] = rows[row, column]

    def outside(self) -> tuple[OutsideRange, ...]:
        """Features that were outside: those of most windows first, of equals the farthest first."""
        order = np.lexsort((-self._excess, -self._counts))
        return tuple(
            OutsideRange(
                name=self._names[column],
                share=float(self._counts[column] / len(self.flags)),
                value=float(self._worst[column]),
                seen_min=float(self._low[column]),
                seen_max=float(self._high[column]),
            )
            for column in order
            if self._counts[column]
        )

    def warnings(self) -> tuple[str, ...]:
        """Return a line for a person, if it concerns more than a few windows."""
        outside = sum(self.flags)
        if not outside or outside < WORTH_A_WARNING * len(self.flags):
            return ()
        worst = listed((_told(f, divided=f.name in self._follow) for f in self.outside()), _NAMED_FEATURES)
        warning = (
            f"{outside} of {len(self.flags)} {OUTSIDE}: "
            f"{worst}; the answer is a guess there. The usual cause is a wrong sample rate or another kind of "
            "audio: compare with a recording of the kind it was trained on"
        )
        return (warning,)


def joined(predictions: Sequence[Prediction]) -> Prediction:
    """Join the answers to consecutive windows into one.

    Raises:
        ProtocolError: they come from different models.

    """
    first = predictions[0]
    for other in predictions[1:]:
        if (other.model, other.version, other.classes) != (first.model, first.version, first.classes):
            raise ProtocolError("one song was answered by two models; ask for one version")
        if list(other.base) != list(first.base):
            raise ProtocolError("one song was answered with different base estimators")
    return Prediction(
        labels=[label for prediction in predictions for label in prediction.labels],
        probabilities=np.concatenate([prediction.probabilities for prediction in predictions]),
        classes=first.classes,
        model=first.model,
        version=first.version,
        base={name: np.concatenate([p.base[name] for p in predictions]) for name in first.base},
        neighbors=tuple(near for prediction in predictions for near in prediction.neighbors),
        novelty=joined_novelty(predictions),
    )


def song_neighbors(windows: Prediction) -> tuple[Neighbor, ...]:
    """Return what a song sounds like: training rows that are near to most of its windows first, of equals the nearest.

    Rows of one name are one: windows of a recording. Each has its smallest distance to any window.
    """
    counts: Counter[str | int] = Counter()
    nearest: dict[str | int, Neighbor] = {}
    for near in windows.neighbors:
        counts.update({neighbor.name or neighbor.row for neighbor in near})
        for neighbor in near:
            key = neighbor.name or neighbor.row
            if key not in nearest or neighbor.distance < nearest[key].distance:
                nearest[key] = neighbor
    order = sorted(nearest, key=lambda key: (-counts[key], nearest[key].distance, nearest[key].row))
    most = max(map(len, windows.neighbors), default=0)
    return tuple(nearest[key] for key in order[:most])


def song_prediction(
    path: str,
    predictions: Sequence[Prediction],
    cut: Cut,
    ranges: RangeCheck,
    notes: Sequence[str] = (),
    scale: NoveltyInfo | None = None,
) -> SongPrediction:
    """Make a song's answer: probabilities are the mean over its windows, the label is the likeliest by that.

    Args:
        path: as the caller named it.
        predictions: the answers to all windows, in order; at least one.
        cut: where the windows lie.
        ranges: which has watched the same windows.
        notes: what is known of the recording itself; they become warnings.
        scale: from where on the model calls a song novel; None: it does not know.

    Raises:
        ProtocolError: the answers come from different models, or their number is not that of the windows.

    """
    windows = joined(predictions)
    if len(windows) != len(cut.starts):
        raise ProtocolError(f"{len(cut.starts)} windows were sent, but {len(windows)} answers came back")
    probabilities = mean(windows.probabilities)
    novelty = None if windows.novelty is None else float(windows.novelty.mean())
    return SongPrediction(
        path=path,
        label=windows.classes[int(probabilities.argmax())],
        probabilities=probabilities,
        classes=windows.classes,
        model=windows.model,
        version=windows.version,
        windows=windows,
        starts=np.array(cut.starts, dtype=np.float64),
        window=cut.window,
        hop=cut.hop,
        duration=cut.duration,
        base={name: mean(matrix) for name, matrix in windows.base.items()},
        neighbors=song_neighbors(windows),
        novelty=novelty,
        outside=ranges.outside(),
        warnings=(*notes, *_novelty_warnings(novelty, scale), *ranges.warnings()),
    )


def _novelty_warnings(novelty: float | None, scale: NoveltyInfo | None) -> tuple[str, ...]:
    """Return a line for a person, if the song is farther from the training than its songs are from each other."""
    if novelty is None or scale is None or not novelty > scale.threshold:
        return ()
    warning = (
        f"{NOVEL}: {novelty:.1f} times as far from the nearest training songs as these are from each other (from "
        f"{scale.threshold:.1f} on that is unusual); the answer is a guess, however sure it looks"
    )
    return (warning,)


def mean(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Average over the windows, summed up in double precision: float32, shape (n, k) → (k,)."""
    return np.asarray(matrix.mean(axis=0, dtype=np.float64), dtype=np.float32)


def _widths(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Width of each range; of a feature that never changed, its size; 1 where there is neither."""
    width, size = high - low, np.maximum(np.abs(low), np.abs(high))
    chosen = np.where(width > 0, width, size)
    return np.where(np.isfinite(chosen) & (chosen > 0), chosen, 1.0)


def _told(feature: OutsideRange, *, divided: bool) -> str:
    how = ", the gain divided out" if divided else ""
    return f"{feature.name} {feature.value:.4g} (seen {feature.seen_min:.4g} to {feature.seen_max:.4g}{how})"
