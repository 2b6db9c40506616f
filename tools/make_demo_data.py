"""Make the table and the song that `genrestack demo` ships: `python tools/make_demo_data.py [FOLDER]`.

Renders the songs of `tools.synth`, computes their features with the audio package's own extractor and writes
`songs.csv.gz` and `song.flac` into `client/genrestack/cli/demo/data`, or FOLDER. All of it is synthetic. The same
machine writes the same table each time; another one may differ in the last digits.
"""

import csv
import gzip
import io
import os
import sys
from collections.abc import Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from genrestack_audio import FEATURE_NAMES, RATE, Windows, extract_windows
from tools.synth import DEMO_SONG, STYLES, render
from tools.synth.demo import TABLE_SECONDS, TABLE_SEEDS

DATA = Path(__file__).resolve().parent.parent / "client" / "genrestack" / "cli" / "demo" / "data"
HEADER = ("filename", "length", *FEATURE_NAMES, "label")
_PROCESSES = 2

Song = tuple[str, int]
"""Style and seed."""
Row = tuple[str, ...]


def songs() -> list[Song]:
    """Name every song of the table, in the table's order."""
    return [(style, seed) for style in STYLES for seed in TABLE_SEEDS]


def rows_of(song: Song) -> list[Row]:
    """Render one song and compute its rows; features are rounded to single precision, to keep the file small."""
    style, seed = song
    windows = Windows()
    features = extract_windows(render(style, TABLE_SECONDS, RATE, seed), RATE, windows).astype(np.float32)
    return [
        (f"{style}.{seed:03d}.{index}.wav", str(windows.length), *(str(value) for value in row), style)
        for index, row in enumerate(features)
    ]


def write_table(output: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write gzipped CSV without a date in it, so that the same rows are the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    output.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))


def write_song(output: Path) -> None:
    """Write the demo's song, losslessly, in 16 bits."""
    samples = render(DEMO_SONG.style, DEMO_SONG.seconds, RATE, DEMO_SONG.seed)
    soundfile.write(output, samples, RATE, subtype="PCM_16")


def main(folder: Path) -> None:
    """Make the song, and in two processes the table."""
    # One thread each: the work is too small to be split up further. The processes read it when they start.
    os.environ["OMP_NUM_THREADS"] = "1"
    write_song(folder / "song.flac")
    every, output = songs(), folder / "songs.csv.gz"
    with get_context("spawn").Pool(_PROCESSES) as pool:
        made = track(pool.imap(rows_of, every), description="synthesised songs", total=len(every))
        rows = [row for song in made for row in song]
    write_table(output, rows)
    print(f"{output}: {len(rows)} rows of {len(every)} synthesised songs, {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
