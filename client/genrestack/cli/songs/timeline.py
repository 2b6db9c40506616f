"""Time and probabilities as text: what windows of a song say, in a few characters each."""

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

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
    """Choose how many cells of `seconds` stand in a line, at most `most`: so that lines begin at round times."""
    for whole in _ROUND_SECONDS:
        count = whole / seconds
        if count <= most and math.isclose(count, round(count)):
            return round(count)
    return most


def letters(classes: Sequence[str]) -> dict[str, str]:
    """Assign each class a letter of its own: the one its name begins with, as a capital or a small letter.

    What all names begin with (`synth-breaks`, `synth-swing`) tells none apart, and does not count. A third class of the
    same beginning gets the next letter in its name that is free, or any.
    """
    given: dict[str, str] = {}
    shared = _shared_beginning(classes)
    names = {name: name[shared:] for name in classes}
    for name, own in names.items():
        if (letter := next((each for each in _beginnings(own) if each not in given.values()), None)) is not None:
            given[name] = letter
    free = [letter for letter in _alphabet() if letter not in given.values()]
    for name, own in names.items():
        if name not in given:
            inside = (letter for letter in (*own.upper(), *own.lower()) if letter in free)
            given[name] = next(inside, free[0] if free else _NO_LETTER)
            if given[name] in free:
                free.remove(given[name])
    return {name: given[name] for name in classes}


def _shared_beginning(names: Sequence[str]) -> int:
    """Return how many characters all names share that end where a word does."""
    pairs = zip(min(names), max(names), strict=False) if len(names) > 1 else ()
    shared = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    ends = [place + 1 for place, letter in enumerate(shared) if not letter.isalnum()]
    return max((end for end in ends if all(len(name) > end for name in names)), default=0)


def _beginnings(name: str) -> list[str]:
    first = name[:1]
    return [letter for letter in (first.upper(), first.lower()) if letter.isalnum() and cell_len(letter) == 1]


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
        neighbors=tuple(
            replace(near, name=printable(near.name), label=printable(near.label)) for near in song.neighbors
        ),
        warnings=tuple(map(printable, song.warnings)),
    )


def _alphabet() -> str:
    return string.ascii_uppercase + string.ascii_lowercase + string.digits
