"""Recordings as rows of features: the one place where the client meets `genrestack_audio`, and only when called.

Both clients classify a recording the same way; only the waiting differs:

    info = client.model(model, version)
    with open_song(path, info, window=3.0, hop=None) as song:
        for prediction in client.predict_stream(song.batches(), model=info.name, version=info.version, novelty=True):
            song.add(prediction)
        return song.result()

`open_song` and every step of `song.batches()` read and compute, some hundredths of a second a window: an event loop
runs them in a thread (`contextlib.ExitStack` and `asyncio.to_thread(next, batches, None)`), any thread, one step at a
time. `add` and `result` cost nothing.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from genrestack._core.model_answers import check_described
from genrestack.errors import InvalidInput, Violation
from genrestack.model_info import ModelInfo
from genrestack.prediction import Prediction
from genrestack.songs.aggregate import Cut, RangeCheck, check_model, song_prediction
from genrestack.songs.song_prediction import SongPrediction

if TYPE_CHECKING:
    from genrestack_audio import Segment, Sound, Windows
    from genrestack_audio.extractors.window_features import WindowFeatures

__all__ = ["Song", "find_songs", "open_song"]

BATCH_WINDOWS: Final = 10
"""Windows in one message: half a minute of music at 3 s each."""
WINDOW: Final = 3.0
"""Seconds; how the published table of short windows was cut."""
_LIBRARIES: Final = ("librosa", "scipy", "soundfile", "soxr")


@dataclass
class Song:
    """An open recording on its way to an answer; made by `open_song`."""

    path: str
    seconds: float | None
    """Length as the file's header says; None if it does not."""
    _info: ModelInfo
    _sound: "Sound"
    _windows: "Windows"
    _segments: "Iterator[Segment]"
    _columns: npt.NDArray[np.intp]
    _ranges: RangeCheck
    _starts: list[float] = field(default_factory=list)
    _reach: float = 0.0
    _answers: list[Prediction] = field(default_factory=list)

    @property
    def starts(self) -> tuple[float, ...]:
        """Where the windows that have been read begin, s."""
        return tuple(self._starts)

    @property
    def outside(self) -> tuple[bool, ...]:
        """For each window that has been read, whether a feature lies outside the ranges the model was trained on."""
        return tuple(self._ranges.flags)

    @property
    def reached(self) -> float:
        """How far the windows that have been read reach, s."""
        return self._reach

    def batches(self) -> Generator[npt.NDArray[np.float64], None, None]:
        """Read on and yield the features of the next windows, once: float64, shape (≤ 10, f), in the model's order.

        Raises:
            AudioError: the recording is silent, too short, or no sound; `open_song` makes an InvalidInput of it.

        """
        from genrestack_audio import RATE

        rows: list[npt.NDArray[np.float64]] = []
        for segment in self._segments:
            rows.append(segment.features[self._columns])
            self._starts.append(segment.start)
            self._reach = segment.start + segment.length / RATE
            if len(rows) == BATCH_WINDOWS:
                yield self._watched(rows)
                rows = []
        if rows:
            yield self._watched(rows)

    def add(self, prediction: Prediction) -> None:
        """Add the answer to the next batch.

        Raises:
            ProtocolError: it has other classes than the model is described with.

        """
        check_described(self._info, prediction)
        self._answers.append(prediction)

    def result(self) -> SongPrediction:
        """Join the answers to all batches.

        Raises:
            ProtocolError: they do not fit together.

        """
        damaged = self._sound.damage is not None
        duration = self._reach if self.seconds is None or damaged else self.seconds
        hop = self._windows.seconds if self._windows.hop is None else self._windows.hop
        cut = Cut(self._starts, self._windows.seconds, hop, duration)
        return song_prediction(self.path, self._answers, cut, self._ranges, self._sound.notes, self._info.novelty)

    def _watched(self, rows: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        matrix = np.stack(rows)
        self._ranges.watch(matrix)
        return matrix


@contextmanager
def open_song(
    path: str | Path,
    info: ModelInfo,
    *,
    window: float = WINDOW,
    hop: float | None = None,
    on_samples: Callable[[npt.NDArray[np.float32]], None] | None = None,
) -> Iterator[Song]:
    """Open a recording to be answered by a model.

    Args:
        path: wav, flac, ogg, mp3, or whatever else ffmpeg reads where that is installed.
        info: the model, with its features.
        window: seconds in a window; those the model was trained on serve it best.
        hop: seconds from one window's beginning to the next one's; None: one after the other.
        on_samples: called with the samples as they are read, float32, shape (m,), mono at 22,050 Hz.

    Raises:
        InvalidInput: the model is not for songs, its tagger is not here, a setting cannot be used, or the file is not a
            recording, silent, or shorter than one window; also at a later step of `Song.batches`, as long as that is
            inside the block.
        ModuleNotFoundError: the libraries of the extra `audio` are not installed; the message says how to.

    """
    features = check_model_of_songs(info)
    windows = make_windows(window, hop, features)
    with _installed():
        from genrestack_audio import AudioError, open_sound, stream_segments
    place = {name: column for column, name in enumerate(features.names)}
    columns = np.array([place[name] for name in info.feature_names], dtype=np.intp)
    try:
        with open_sound(path) as sound:
            heard = sound if on_samples is None else _Heard(sound, on_samples)
            segments = stream_segments(heard, windows, features)
            yield Song(str(path), sound.seconds, info, sound, windows, segments, columns, RangeCheck(info))
    except AudioError as error:
        raise InvalidInput(str(error), [Violation("path", str(error))]) from error


def check_model_of_songs(info: ModelInfo) -> "WindowFeatures":
    """Return what computes the features that a model takes.

    Raises:
        InvalidInput: it takes others than those of recordings, or those of a tagger that is not here.

    """
    with _installed():
        from genrestack_audio import AudioError
        from genrestack_audio.extractors.window_features import COLUMNS, features_of_columns
        from genrestack_common.extractors import BOTH
    check_model(info, COLUMNS[BOTH])
    try:
        return features_of_columns(info.feature_names, "" if info.extractor is None else info.extractor.sha256)
    except AudioError as error:
        message = f"model {info.name}/{info.version} takes the tags of a tagger: {error}"
        raise InvalidInput(message, [Violation("model", message)]) from error


def make_windows(window: float, hop: float | None, features: "WindowFeatures | None" = None) -> "Windows":
    """Check how recordings are to be cut.

    Raises:
        InvalidInput: a length or a distance that no window has, or in which a tagger hears nothing.

    """
    with _installed():
        from genrestack_audio import AudioError, Windows
    try:
        windows = Windows(window, hop)
        if features is not None:
            features.check(windows)
        return windows
    except AudioError as error:
        raise InvalidInput(str(error), [Violation("window" if hop is None else "hop", str(error))]) from error


def check_installed() -> None:
    """Find out whether the libraries of the extra `audio` are there, without the seconds that importing them takes.

    Raises:
        ModuleNotFoundError: one is not; the message says how to get it.

    """
    with _installed():
        for library in _LIBRARIES:
            if find_spec(library) is None:
                raise ModuleNotFoundError(f"No module named {library!r}", name=library)


def first_time() -> str | None:
    """Return what takes long the first time that a machine is asked about songs; None where it was done before."""
    from genrestack_audio.features.compiled import FIRST_TIME, pending

    return FIRST_TIME if pending() else None


def find_songs(path: Path) -> list[Path]:
    """List the recordings in a folder and the folders in it, by name and without hidden ones; a file is itself."""
    if not path.is_dir():
        return [path]
    return sorted(found for found in path.rglob("*") if is_recording(found.relative_to(path)) and found.is_file())


def is_recording(path: Path) -> bool:
    """Return, by its name, whether a file is one that is taken for a recording without being named."""
    from genrestack_audio.table.clips import EXTENSIONS

    return path.suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in path.parts)


class _Heard:
    """A sound whose samples are passed to an observer as they are read."""

    def __init__(self, sound: "Sound", on_samples: Callable[[npt.NDArray[np.float32]], None]) -> None:
        self._sound = sound
        self._on_samples = on_samples

    @property
    def damage(self) -> str | None:
        return self._sound.damage

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        for block in self._sound.blocks():
            self._on_samples(block)
            yield block


@contextmanager
def _installed() -> Iterator[None]:
    """Return how to install a library that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("genrestack"):
            raise
        raise ModuleNotFoundError('songs need: pip install "genrestack[audio]"', name=error.name) from error
