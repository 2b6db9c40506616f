"""Time and probabilities as text: what windows of a song say, in a few characters each."""

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack.songs.song_prediction import SongPrediction
from genrestack_common.text import printable

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_PARTS: Final = " ▏▎▍▌▋▊▉"
_NO_LETTER: Final = "·"
_ROUND_SECONDS: Final = (3600, 600, 300, 180, 120, 60, 30, 10)


@dataclass(frozen=True)
class Cell:
    """One window, or some neighbours taken together."""

    start: float
    """Seconds."""
    label: str
    """The likeliest class here."""
    probability: float
    """Of that class; the mean over the windows taken together."""


def grouped(song: SongPrediction, most: int) -> tuple[int, npt.NDArray[np.float64]]:
    """Average neighbouring windows, as few as leave at most `most` groups.

    Returns:
        How many windows there are in a group, and the groups' means, float64, shape (g, k); the last group may be
        smaller than the others.

    """
    size = math.ceil(len(song) / most)
    groups = [song.windows.probabilities[first : first + size] for first in range(0, len(song), size)]
    return size, np.array([group.mean(axis=0, dtype=np.float64) for group in groups])


def cells(song: SongPrediction, most: int) -> tuple[int, list[Cell]]:
    """Return what is likeliest when, in at most `most` cells; also how many windows there are in one."""
    size, means = grouped(song, most)
    found = [
        Cell(float(song.starts[number * size]), song.classes[int(row.argmax())], float(row.max()))
        for number, row in enumerate(means)
    ]
    return size, found


def cells_per_line(seconds: float, most: int) -> int:
    """Choose how many cells of so many seconds stand in a line, at most `most`: so that lines begin at round times."""
    for whole in _ROUND_SECONDS:
        count = whole / seconds
        if count <= most and math.isclose(count, round(count)):
            return round(count)
    return most


def letters(classes: Sequence[str]) -> dict[str, str]:
    """Assign each class a letter of its own: its first one, or the next in its name that is free, or any."""
    given: dict[str, str] = {}
    free = dict.fromkeys(_alphabet())
    for name in classes:
        letter = next((letter for letter in (*filter(str.isalpha, name.upper()), *free) if letter in free), _NO_LETTER)
        free.pop(letter, None)
        given[name] = letter
    return given


def level(probability: float) -> str:
    """Show a probability as the height of one character."""
    return _LEVELS[min(int(probability * len(_LEVELS)), len(_LEVELS) - 1)]


def bar(probability: float, width: int) -> str:
    """Show a probability as a bar of at most `width` characters."""
    eighths = round(probability * width * len(_PARTS))
    full, rest = divmod(eighths, len(_PARTS))
    return "█" * full + _PARTS[rest].strip()


def percent(probability: float) -> str:
    """Write a probability for a person; neither 0 % nor 100 % unless it is that."""
    if 0 < probability < 0.005:
        return "<1 %"
    if 0.995 <= probability < 0.9999:
        return ">99 %"
    return f"{100 * probability:.0f} %"


def clock(seconds: float) -> str:
    """Write a time as a player shows it: 0:07, 3:41, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def shown_song(song: SongPrediction) -> SongPrediction:
    """Return a song's answer with all text of it fit to be shown: its name, the model's, and those of classes."""
    windows = replace(
        song.windows,
        labels=[printable(label) for label in song.windows.labels],
        classes=tuple(map(printable, song.windows.classes)),
        base={printable(name): matrix for name, matrix in song.windows.base.items()},
    )
    return replace(
        song,
        path=printable(song.path),
        label=printable(song.label),
        classes=tuple(map(printable, song.classes)),
        model=printable(song.model),
        windows=windows,
        base={printable(name): mean for name, mean in song.base.items()},
        warnings=tuple(map(printable, song.warnings)),
    )


def _alphabet() -> str:
    return string.ascii_uppercase + string.ascii_lowercase + string.digits
