"""What features cost: one spectrogram and quick medians against plain librosa calls, on one core.

`python -m benchmarks.audio` times both, in turns, on a clip of synthesised music; `python -m benchmarks.audio
FOLDER TABLE` instead compares the recordings of a folder with a published table, column by column.
"""

import csv
import gzip
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import click
import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.reporting.figure import Baseline, Figure, quicker
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between
from benchmarks.reporting.quiet import MEDIAN_RUN, combined, runs_option, until_quiet
from benchmarks.reporting.report import figure_table, markdown_table
from genrestack_audio import FEATURE_NAMES, RATE, extract, open_sound, read_segments
from genrestack_audio.features.columns import HOP, N_FFT
from genrestack_audio.features.reference import extract_with_librosa
from genrestack_audio.table.allocator import keep_freed_memory

BEGIN: Final = "<!-- features: begin; written by `python -m benchmarks.audio --write` -->"
END: Final = "<!-- features: end -->"
_WINDOWS, _STEP = 10, 66_150
# A window is one sample shorter than three seconds.
_LENGTH: Final = _STEP - 1
_ROUNDS: Final = 5
_LEAST_RATIO: Final = 12.0
_OURS, _PLAIN, _SCIPY = "here", "plain librosa calls", "scipy.ndimage.median_filter"

Timed = Callable[[], float]
"""Does something once and returns the ms it took."""


@click.command()
@click.argument("recordings", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--rounds", type=click.IntRange(min=1), default=_ROUNDS, show_default=True, help="Turns of each.")
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Replace the table between the marks in this Markdown file.")  # fmt: skip
@runs_option
def main(recordings: Path | None, table: Path | None, rounds: int, document: Path | None, runs: int | None) -> None:
    """Time a clip's features against plain librosa calls, on one core; or compare RECORDINGS with a published TABLE."""
    if (recordings is None) != (table is None):
        raise click.UsageError("RECORDINGS are compared with a TABLE: name both")
    if recordings is not None and table is not None:
        agreement(recordings, table)
        return
    machine, figures = combined(until_quiet(lambda: timings(rounds), runs, document))
    Console(width=None if sys.stdout.isatty() else 200).print(figure_table(figures))
    if document is not None:
        write_between(document, BEGIN, END, _section(figures, machine, rounds))


def timings(rounds: int) -> list[Figure]:
    """Time a clip from file to features, its ten windows alone, and a window's two median filters."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder, _process(_OURS) as here, _process(_PLAIN) as plain:
        file = Path(folder) / "clip.wav"
        soundfile.write(file, made_clip(), RATE, subtype="PCM_16")
        clip, windows, filters = (
            in_turns(works, rounds)
            for works in (
                {_OURS: lambda: here(clip_here, file), _PLAIN: lambda: plain(clip_plainly, file)},
                {_OURS: lambda: here(windows_here), _PLAIN: lambda: plain(windows_plainly)},
                {_OURS: lambda: here(median_here), _SCIPY: lambda: plain(median_by_scipy)},
            )
        )
    return [
        quicker("a clip of 30 s, from its file to its features", clip[_OURS], Baseline(_PLAIN, clip[_PLAIN]),
                least=_LEAST_RATIO),
        quicker("its ten windows alone", windows[_OURS], Baseline(_PLAIN, windows[_PLAIN])),
        quicker("both median filters of a window", filters[_OURS], Baseline(_SCIPY, filters[_SCIPY])),
    ]  # fmt: skip


@contextmanager
def _process(who: str) -> Iterator[Callable[..., float]]:
    """Give a function that runs another in one process of its own, on one thread."""
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare, (who,)) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def _prepare(who: str) -> None:
    threadpool_limits(1)
    if who == _OURS:
        # As the processes of `genrestack features` do.
        keep_freed_memory()


def in_turns(works: Mapping[str, Timed], rounds: int) -> dict[str, float]:
    """Return the median of each in ms; the first turn is not counted, in which things are loaded and compiled."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            milliseconds = work()
            taken[name] += [milliseconds] if turn else []
    return {name: float(np.median(times)) for name, times in taken.items()}


def clip_here(file: Path) -> float:
    """Read a clip and compute its features window by window."""
    return timed(lambda: list(read_segments(file)))


def clip_plainly(file: Path) -> float:
    """Do the same as scripts do: librosa loads the file, and each feature of a window is a call."""
    return timed(lambda: plain_features(file))


def plain_features(file: Path) -> list[np.ndarray]:
    """Compute the features of a file's whole windows by plain librosa calls, each float64, shape (57,)."""
    import librosa

    samples, _ = librosa.load(file, sr=RATE)
    return [extract_with_librosa(window) for window in windows_of(samples)]


def windows_of(samples: np.ndarray) -> np.ndarray:
    """Cut a recording into windows as `read_segments` does: shape (n, 66149)."""
    return samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)[:, :_LENGTH]


def windows_here() -> float:
    """Compute the features of windows that are in memory."""
    windows = windows_of(made_clip())
    return timed(lambda: [extract(window, RATE) for window in windows])


def windows_plainly() -> float:
    """Compute the same by plain librosa calls."""
    windows = windows_of(made_clip())
    return timed(lambda: [extract_with_librosa(window) for window in windows])


def median_here() -> float:
    """Filter one window both ways."""
    from genrestack_audio.features.median import running_median

    values, turned = _magnitudes()
    return timed(lambda: (running_median(values, 31), running_median(turned, 31)))


def median_by_scipy() -> float:
    """Filter the same by scipy."""
    from scipy.ndimage import median_filter

    _, turned = _magnitudes()
    return timed(lambda: (median_filter(turned, size=(1, 31)), median_filter(turned, size=(31, 1))))


def _magnitudes() -> tuple[np.ndarray, np.ndarray]:
    frames = 1 + _LENGTH // HOP
    values = np.random.default_rng(0).exponential(size=(frames, N_FFT // 2 + 1)).astype(np.float32)
    return values, np.ascontiguousarray(values.T)


def _section(figures: list[Figure], machine: Machine, rounds: int) -> str:
    remarks = "".join(f"- **{line}**\n" for line in machine.remarks(MEDIAN_RUN))
    return (
        f"{markdown_table(figures)}\n{remarks}"
        f"- Synthesised music, a WAV of 16 bits at 22,050 Hz, ten windows; one thread; medians of {rounds} rounds, in "
        "turns; here freed memory is kept, as `genrestack features` does.\n"
        f"- Machine: {machine.cpu}; load {machine.load:.2f} at the start. Python {machine.python}, "
        f"numpy {machine.versions['numpy']}.\n- Date: {machine.date}."
    )


def agreement(folder: Path, table: Path) -> None:
    """Print the largest errors of each column against a published table, of 3-second or whole rows."""
    published = read_published(table)
    found, expected = [], []
    for path in sorted(folder.iterdir()):
        for name, row in rows_of(path, whole=f"{path.stem}.wav" in published):
            if name in published:
                found.append(row)
                expected.append(published[name])
    error = np.abs(np.array(found) - np.array(expected))
    relative = (error / np.abs(expected)).max(axis=0)
    of_range = (error / np.ptp(list(published.values()), axis=0)).max(axis=0)
    print(
        f"{len(found)} rows\n\n| column | largest relative error | largest error, share of the range |\n|---|---|---|"
    )
    for name, first, second in zip(FEATURE_NAMES, relative, of_range, strict=True):
        print(f"| `{name}` | {first:.1e} | {second:.1e} |")


def rows_of(path: Path, *, whole: bool) -> list[tuple[str, np.ndarray]]:
    """Compute the rows of a recording under their published names."""
    if not whole:
        return [(f"{path.stem}.{segment.index}.wav", segment.features) for segment in read_segments(path)]
    with open_sound(path) as sound:
        return [(f"{path.stem}.wav", extract(np.concatenate(list(sound.blocks())), RATE))]


def read_published(path: Path) -> dict[str, np.ndarray]:
    """Read a table: file name → float64, shape (57,)."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = csv.DictReader(io.StringIO(content.decode()))
    return {row["filename"]: np.array([float(row[name]) for name in FEATURE_NAMES]) for row in rows}


def made_clip() -> np.ndarray:
    """Make 30 seconds of chords with a beat: float32, shape (661500,)."""
    rng = np.random.default_rng(0)
    seconds = np.arange(_WINDOWS * _STEP) / RATE
    chords = 110 * 2 ** (rng.integers(0, 24, size=(60, 3)) / 12)
    tone = np.sin(2 * np.pi * chords[(seconds * 2).astype(int)] * seconds[:, None]).mean(axis=1)
    beat = np.exp(-((seconds * 2.1) % 1) * 30) * rng.normal(size=seconds.size)
    return np.asarray(0.4 * tone + 0.3 * beat, dtype=np.float32)


def timed(work: Callable[[], object]) -> float:
    """Measure a call in milliseconds."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.audio")
