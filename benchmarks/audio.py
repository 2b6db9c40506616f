"""What features cost: one spectrogram and quick medians against plain librosa calls, on one core.

`python -m benchmarks.audio` times both, in turns, on ten windows of synthesised music; `python -m benchmarks.audio
FOLDER TABLE` instead compares the recordings of a folder with a published table, column by column.
"""

import csv
import gzip
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.reporting.figure import Baseline, bounded, quicker
from genrestack_audio import FEATURE_NAMES, RATE, extract, open_sound, read_segments
from genrestack_audio.features.columns import HOP, N_FFT
from genrestack_audio.features.reference import extract_with_librosa
from genrestack_audio.table.allocator import keep_freed_memory

_WINDOWS, _LENGTH = 10, 66_149
_ROUNDS = 5
_MOST_MS = 500.0
_LEAST_RATIO = 3.0


def main() -> None:
    """Time, or compare, as the command line says."""
    if len(sys.argv) == 3:
        agreement(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with threadpool_limits(1):
            timings()


def timings() -> None:
    """Print the time that 30 seconds of music take, both ways, and where it goes."""
    clip = made_clip()
    # Whatever is compiled or made at a first call is not a cost of the second clip.
    extract(clip[0], RATE)
    extract_with_librosa(clip[0])
    ours, plain = [], []
    for _ in range(_ROUNDS):
        ours.append(timed(lambda: [extract(window, RATE) for window in clip]))
        plain.append(timed(lambda: [extract_with_librosa(window) for window in clip]))
    figure = quicker(
        "ten windows", float(np.median(ours)), Baseline("plain librosa", float(np.median(plain))), least=_LEAST_RATIO
    )
    limit = bounded("ten windows", figure.value, "ms", most=_MOST_MS)
    print(f"ours {np.median(ours):.0f} ms, plain librosa {np.median(plain):.0f} ms (medians of {_ROUNDS}, in turns)")
    print(f"{figure.ratio:.1f}× quicker (target {figure.target}: {'met' if figure.met else 'MISSED'})")
    print(f"{figure.value:.0f} ms (target {limit.target}: {'met' if limit.met else 'MISSED'})")
    medians()
    # Last: it holds for the rest of the process.
    if keep_freed_memory():
        kept = [timed(lambda: [extract(window, RATE) for window in clip]) for _ in range(_ROUNDS)]
        print(f"with freed memory kept, as genrestack features does: {np.median(kept):.0f} ms")


def medians() -> None:
    """Print the time of one window's two median filters, both ways."""
    from scipy.ndimage import median_filter

    from genrestack_audio.features.median import running_median

    frames = 1 + _LENGTH // HOP
    values = np.random.default_rng(0).exponential(size=(frames, N_FFT // 2 + 1)).astype(np.float32)
    turned = np.ascontiguousarray(values.T)
    ours = [timed(lambda: (running_median(values, 31), running_median(turned, 31))) for _ in range(_ROUNDS)]
    theirs = [
        timed(lambda: (median_filter(turned, size=(1, 31)), median_filter(turned, size=(31, 1))))
        for _ in range(_ROUNDS)
    ]
    print(f"both median filters of a window: ours {np.median(ours):.1f} ms, scipy {np.median(theirs):.1f} ms")


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
    """Make ten windows of chords with a beat: float32, shape (10, 66149)."""
    rng = np.random.default_rng(0)
    seconds = np.arange(_WINDOWS * _LENGTH) / RATE
    chords = 110 * 2 ** (rng.integers(0, 24, size=(60, 3)) / 12)
    tone = np.sin(2 * np.pi * chords[(seconds * 2).astype(int)] * seconds[:, None]).mean(axis=1)
    beat = np.exp(-((seconds * 2.1) % 1) * 30) * rng.normal(size=seconds.size)
    return np.asarray(0.4 * tone + 0.3 * beat, dtype=np.float32).reshape(_WINDOWS, _LENGTH)


def timed(work: Callable[[], object]) -> float:
    """Measure a call in milliseconds."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    main()
