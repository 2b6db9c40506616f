"""A song's way through the model, one event at a time, as the page draws it."""

from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from genrestack.web.peaks import PER_SECOND, Peaks

if TYPE_CHECKING:
    from genrestack import Client, ModelInfo, Prediction, SongPrediction

Event = dict[str, Any]
_TOP: Final = 3
_LIKE: Final = 3
"""Recordings of the training that a song sounds like, of models that know them."""


def song_events(client: "Client", info: "ModelInfo", path: Path) -> Generator[Event, None, None]:
    """Yield what is known of a song while it is being read: `song`, `windows` again and again, and `answer` last.

    Raises:
        InvalidInput: the file is not a recording, silent, or shorter than one window.
        GenreStackError: the server does not answer.

    """
    from genrestack.songs.recording import open_song

    peaks = Peaks()
    like = _LIKE if any(part.kind == "neighbors" for part in info.parts) else 0
    usual = None if info.novelty is None else info.novelty.threshold
    with open_song(path, info, on_samples=peaks.add) as song:
        yield {"event": "song", "seconds": song.seconds, "peaks_per_second": PER_SECOND}
        answers = client.predict_stream(
            song.batches(), model=info.name, version=info.version, base=True, novelty=True, neighbors=like
        )
        done = 0
        with closing(answers):
            for prediction in answers:
                song.add(prediction)
                last = done + len(prediction)
                starts, outside = song.starts[done:last], song.outside[done:last]
                yield {
                    "event": "windows",
                    "peaks": peaks.take(),
                    "windows": [
                        _window(prediction, row, start, outside=flag, usual=usual)
                        for row, (start, flag) in enumerate(zip(starts, outside, strict=True))
                    ],
                }
                done = last
        yield _answer(song.result(), peaks.take())


def _window(prediction: "Prediction", row: int, start: float, *, outside: bool, usual: float | None) -> Event:
    return {
        "start": round(start, 3),
        "label": prediction.labels[row],
        "top": _top(prediction.classes, prediction.probabilities[row]),
        "base": {name: _top(prediction.classes, table[row])[0] for name, table in prediction.base.items()},
        "outside": outside,
        "novel": usual is not None and prediction.novelty is not None and float(prediction.novelty[row]) > usual,
    }


def _answer(song: "SongPrediction", peaks: list[int]) -> Event:
    return {
        "event": "answer",
        "peaks": peaks,
        "label": song.label,
        "top": _top(song.classes, song.probabilities),
        "probabilities": _named(song.classes, song.probabilities),
        "base": {name: _top(song.classes, row)[0] for name, row in song.base.items()},
        "duration": song.duration,
        "window": song.window,
        "hop": song.hop,
        "model": f"{song.model}/{song.version}",
        "warnings": list(song.warnings),
        "novelty": song.novelty,
        "like": [
            {"name": near.name or f"training row {near.row}", "label": near.label, "distance": round(near.distance, 4)}
            for near in song.neighbors
        ],
    }


def _named(classes: tuple[str, ...], probabilities: Any) -> Mapping[str, float]:
    return {name: round(float(p), 4) for name, p in zip(classes, probabilities, strict=True)}


def _top(classes: tuple[str, ...], probabilities: Any) -> list[tuple[str, float]]:
    ranked = sorted(_named(classes, probabilities).items(), key=lambda each: -each[1])
    return ranked[:_TOP]
