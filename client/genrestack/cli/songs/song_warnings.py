"""What there is to know of many songs: each thing once, with the songs that it is true of."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from genrestack.songs.aggregate import NOVEL, OUTSIDE
from genrestack.songs.song_prediction import SongPrediction
from genrestack_common.text import counted, listed

_NAMED: Final = 3


class SongWarnings:
    """Collects the warnings of songs."""

    def __init__(self) -> None:
        self._songs = 0
        self._outside: list[str] = []
        self._features: Counter[str] = Counter()
        self._novel: list[str] = []
        self._others: dict[str, list[str]] = {}

    def add(self, name: str, song: SongPrediction) -> None:
        """Add those of a song, whose text is fit to be shown."""
        self._songs += 1
        for warning in song.warnings:
            if OUTSIDE in warning:
                # What is outside, and how far, is another thing in each song.
                self._outside.append(name)
                self._features.update(feature.name for feature in song.outside)
            elif warning.startswith(NOVEL):
                self._novel.append(name)
            else:
                self._others.setdefault(warning, []).append(name)

    def lines(self) -> Iterator[str]:
        """Yield a line for each thing."""
        for warning, names in self._others.items():
            yield f"{listed(names, _NAMED)}: {warning}"
        if self._novel:
            yield (
                f"{len(self._novel):,} of {counted(self._songs, 'song')} ({listed(self._novel, _NAMED)}) are unlike "
                "anything the model was trained on; their answers are guesses, however sure they look"
            )
        if self._outside:
            features = listed((name for name, _ in self._features.most_common()), _NAMED)
            yield (
                f"{len(self._outside):,} of {counted(self._songs, 'song')} ({listed(self._outside, _NAMED)}) have "
                f"features outside the ranges the model was trained on, most often {features}; their answers are "
                "guesses. The usual cause is a wrong sample rate or another kind of audio: compare with a recording of "
                "the kind it was trained on, or ask about one song alone for more"
            )
