"""Folders of recordings → a table in the published layout."""

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from genrestack_audio.errors import AudioError
from genrestack_audio.extractors.window_features import SPECTRAL_FEATURES, WindowFeatures
from genrestack_audio.features.columns import RATE
from genrestack_audio.table.clips import Clip
from genrestack_audio.table.journal import Journal, RecordingFeatures
from genrestack_audio.table.work import Work, compute, compute_all
from genrestack_audio.windows.windows import Windows
from genrestack_common.extractors import COLUMN

Row = tuple[str | int | float, ...]
_LIKE_A_WINDOW = re.compile(r".+\.(?:0|[1-9][0-9]*)", re.DOTALL)
"""Training takes `Sonata Op.2.wav` for the second window of `Sonata Op`."""


@dataclass(frozen=True)
class BuiltTable:
    """What became of a table."""

    rows: int
    recordings: int
    """Those that the rows are of."""
    bad: tuple[str, ...]
    """One line for each recording that was left out."""


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is."""

    done: int
    of: int
    resumed: int
    """How many of `done` an earlier, interrupted build had computed."""
    messages: tuple[str, ...]
    """What a person should know of the recording that was done last, one line each."""


def build_table(
    clips: Sequence[Clip],
    output: Path,
    windows: Windows | None,
    *,
    features: WindowFeatures = SPECTRAL_FEATURES,
    jobs: int = 1,
    progress: Callable[[BuildProgress], None] = lambda _: None,
) -> BuiltTable:
    """Compute the features of recordings and write them to `output`, all of it or nothing.

    What is computed is kept in a file beside the table, `<output>.part`, until the table is whole; a build that is
    started again resumes from there.

    Args:
        clips: the recordings; their order is the table's.
        output: ends in .csv or .parquet; replaced if it exists.
        windows: how recordings are cut; None: one row of each recording as a whole.
        features: what is computed of each window.
        jobs: recordings computed at once, each in its own process.
        progress: called after each recording.

    Raises:
        AudioError: the table cannot be written, or not one recording could be read.

    """
    check_output(output)
    journal = Journal(output.with_name(f"{output.name}.part"), _settings(windows, features))
    bad = _compute(clips, journal, windows, partial(compute, features=features), jobs, progress)
    rows: list[Row] = []
    for clip in clips:
        result = journal.get(clip.path)
        if result is not None:
            rows.extend(_rows(clip, result, _made_by(features), whole=windows is None))
        else:
            bad.setdefault(str(clip.path), f"{clip.path}: changed while the table was being built; build it again")
    if not rows:
        raise AudioError(f"no recording could be used, so there is no table; the first: {next(iter(bad.values()))}")
    _write(output, _header(clips, features), rows)
    journal.remove()
    return BuiltTable(len(rows), len(clips) - len(bad), tuple(bad.values()))


def check_output(output: Path) -> None:
    """Reject a table that could not be written in the end.

    Raises:
        AudioError: wrong extension, no such folder, or a library is missing.

    """
    if output.suffix.lower() not in {".csv", ".parquet"}:
        raise AudioError(f"{output}: a table's name ends in .csv or .parquet; rename it")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise AudioError(f"{output}: there is no folder for it, or it is one itself; name a file in a folder there is")
    if output.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise AudioError(f"{output}: writing .parquet needs pyarrow: pip install pyarrow, or name a .csv")


def _settings(windows: Windows | None, features: WindowFeatures) -> dict[str, int | str]:
    made_by = {} if features.tagger is None else {COLUMN: str(features.extractor)}
    if windows is None:
        return {"columns": len(features.names), **made_by, "whole": 1}
    return {"columns": len(features.names), **made_by, "window": windows.length, "hop": windows.step, "rate": RATE}


def _made_by(features: WindowFeatures) -> tuple[str, ...]:
    """Return what a row says of what computed it: nothing in the published layout."""
    return () if features.tagger is None else (str(features.extractor),)


def _compute(
    clips: Sequence[Clip],
    journal: Journal,
    windows: Windows | None,
    work: Work,
    jobs: int,
    progress: Callable[[BuildProgress], None],
) -> dict[str, str]:
    """Fill the journal with what it lacks; return path → what is wrong with it."""
    bad: dict[str, str] = {}
    missing = [clip.path for clip in clips if journal.get(clip.path) is None]
    done = resumed = len(clips) - len(missing)
    progress(BuildProgress(done, len(clips), resumed, ()))
    for path, outcome in compute_all(missing, windows, jobs=min(jobs, max(1, len(missing))), work=work):
        done += 1
        if isinstance(outcome, AudioError):
            bad[str(path)] = str(outcome)
            messages: tuple[str, ...] = (f"left out: {outcome}",)
        else:
            journal.add(path, outcome)
            messages = tuple(f"{path}: {note}" for note in outcome.notes)
        progress(BuildProgress(done, len(clips), resumed, messages))
    return bad


def _header(clips: Sequence[Clip], features: WindowFeatures) -> tuple[str, ...]:
    made_by = (COLUMN,) if _made_by(features) else ()
    return ("filename", "length", *made_by, *features.names, *(["label"] if clips[0].label is not None else []))


def _rows(clip: Clip, result: RecordingFeatures, made_by: tuple[str, ...], *, whole: bool) -> Iterator[Row]:
    label = () if clip.label is None else (_utf8(clip.label),)
    for index, (length, features) in enumerate(zip(result.lengths, result.rows, strict=True)):
        name = _whole_name(clip.stem) if whole else f"{clip.stem}.{index}.wav"
        yield (_utf8(name), length, *made_by, *features, *label)


def _whole_name(stem: str) -> str:
    """Return the name of a whole recording's row: a last number that reads as a window's gets a window's behind it."""
    return f"{stem}.0.wav" if _LIKE_A_WINDOW.fullmatch(stem) else f"{stem}.wav"


def _utf8(text: str) -> str:
    """Write the bytes of a file name that are not UTF-8 as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _write(output: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    aside = output.with_name(f".{output.name}.writing")
    try:
        (_write_parquet if output.suffix.lower() == ".parquet" else _write_csv)(aside, header, rows)
        aside.replace(output)
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise AudioError(f"{output}: cannot be written: {reason}; make room for it and start again") from error
    finally:
        aside.unlink(missing_ok=True)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_parquet(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
    parquet.write_table(pa.table(columns), path)
