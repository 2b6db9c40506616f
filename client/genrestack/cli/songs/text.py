"""What `genrestack predict` tells a person about songs: one in detail, or several in a line each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import click

from genrestack.cli.songs.timeline import Cell, bar, cells, cells_per_line, clock, letters, level, percent, shown_song
from genrestack.model_info import ModelInfo
from genrestack.songs.song_prediction import SongPrediction
from genrestack_common.text import printable

if TYPE_CHECKING:
    from rich.text import Text

_SHOWN_CLASSES: Final = 3
_BAR_WIDTH: Final = 30
_LINE_CELLS: Final = 60
_GAP_EVERY: Final = 10
_MOST_LINES: Final = 8
_ROW_CELLS: Final = 20
_NAME_WIDTHS: Final = (4, 36)
_COLOURS: Final = (
    "cyan", "yellow", "magenta", "green", "bright_blue", "bright_red", "bright_cyan", "bright_yellow",
    "bright_magenta", "bright_green",
)  # fmt: skip


class SongWriter(Protocol):
    """Prints songs as they come."""

    streams: bool
    """Whether every song is printed at once."""

    def write(self, song: SongPrediction) -> None:
        """Add one answer."""

    def fail(self, path: Path, message: str) -> None:
        """Add a file that could not be answered."""

    def close(self) -> None:
        """Finish."""


class DetailWriter:
    """One song, with its timeline and what each base estimator said."""

    streams = False

    def __init__(self, info: ModelInfo) -> None:
        self._palette = _Palette([printable(name) for name in info.classes])

    def write(self, song: SongPrediction) -> None:
        """Print it."""
        from rich.console import Console
        from rich.text import Text

        song = shown_song(song)
        console = Console(highlight=False, soft_wrap=True)
        console.print(Text(Path(song.path).name, "bold"))
        for line in (*self._likeliest(song), Text(_how(song), "dim"), Text(), *self._timeline(song)):
            console.print(Text("  ").append_text(line))
        if song.base:
            console.print()
        width = max(map(len, song.base), default=0)
        for name, mean in song.base.items():
            likeliest = sorted(zip(-mean, song.classes, strict=True))[:_SHOWN_CLASSES]
            said = ", ".join(f"{label} {percent(-negative)}" for negative, label in likeliest if -negative > 0)
            console.print(Text(f"  {name:{width}}  {said}"))
        for warning in song.warnings:
            click.echo(f"warning: {warning}", err=True)

    def fail(self, path: Path, message: str) -> None:
        """There is nothing else to print."""

    def close(self) -> None:
        """All has been said."""

    def _likeliest(self, song: SongPrediction) -> list["Text"]:
        from rich.text import Text

        top = song.top(_SHOWN_CLASSES)
        width = max(len(name) for name, _ in top)
        return [
            Text.assemble(
                (f"{name:{width}}", "bold" if name == song.label else ""),
                f"  {percent(p):>5}  ",
                (bar(p, _BAR_WIDTH), self._palette.colour(name)),
            )
            for name, p in top
        ]

    def _timeline(self, song: SongPrediction) -> list["Text"]:
        from rich.text import Text

        size, found = cells(song, _MOST_LINES * _LINE_CELLS)
        count = cells_per_line(size * song.hop, _LINE_CELLS)
        margin = len(clock(found[-1].start))
        lines = []
        for first in range(0, len(found), count):
            line = found[first : first + count]
            time = f"{clock(line[0].start):>{margin}}  "
            lines += [
                Text(time).append_text(self._palette.strip(line, gaps=True)),
                Text(" " * len(time)).append_text(self._palette.heights(line)),
            ]
        together = f", {size} windows taken together" if size > 1 else ""
        legend = self._palette.legend({cell.label for cell in found})
        return [*lines, legend.append(f"; ▁ to █: how likely that is, 0 to 100 %{together}", "dim")]


class RowWriter:
    """A line for each song, and a summary."""

    streams = True

    def __init__(self, info: ModelInfo, songs: Sequence[Path], *, base: bool) -> None:
        from rich.cells import cell_len

        self._palette = _Palette([printable(name) for name in info.classes])
        self._base = base
        self._names = _names(songs)
        least, most = _NAME_WIDTHS
        self._name_width = min(max([least, *(cell_len(name) for name in self._names.values())]), most)
        self._label_width = max([len("genre"), *(len(printable(name)) for name in info.classes)])
        self._labels: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._seconds = 0.0
        self._warnings: list[str] = []
        self._failed = 0

    def write(self, song: SongPrediction) -> None:
        """Print its line."""
        from rich.console import Console
        from rich.text import Text

        song = shown_song(song)
        _, found = cells(song, _ROW_CELLS)
        strip = self._palette.strip(found)
        strip.pad_right(_ROW_CELLS - len(found))
        runners = ", ".join(f"{name} {percent(p)}" for name, p in song.top(_SHOWN_CLASSES) if name != song.label)
        said = "".join(f"; {name} {song.classes[int(mean.argmax())]}" for name, mean in song.base.items())
        line = Text.assemble(
            self._start(song.path, song.label, percent(float(song.probabilities.max())), clock(song.duration)),
            strip, "  ", runners, said if self._base else "", (" !" if song.warnings else "", "bold red"),
        )  # fmt: skip
        console = Console(highlight=False, soft_wrap=True)
        if not self._labels:
            console.print(Text(f"{self._start('song', 'genre', 'p', 'length')}{'timeline':{_ROW_CELLS}}  runners-up"))
        console.print(line)
        self._labels[song.label] += 1
        self._seen |= {cell.label for cell in found}
        self._seconds += song.duration
        name = self._names.get(song.path, song.path)
        self._warnings += [f"! {name}: {warning}" for warning in song.warnings]

    def fail(self, path: Path, message: str) -> None:  # noqa: ARG002 - what is wrong with it has been said
        """Count it."""
        self._failed += 1

    def close(self) -> None:
        """Print the legend, the summary, and what there is to know of single songs."""
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True)
        if self._labels:
            console.print()
            console.print(self._palette.legend(self._seen))
        for warning in self._warnings:
            click.echo(warning, err=True)
        count = self._labels.total()
        genres = ", ".join(f"{number} {name}" for name, number in self._labels.most_common())
        summary = f"{count:,} song{'' if count == 1 else 's'}, {clock(self._seconds)} in all"
        left_out = f"; {self._failed:,} left out, named above" if self._failed else ""
        click.echo(f"{summary}{': ' if genres else ''}{genres}{left_out}")

    def _start(self, path: str, label: str, probability: str, time: str) -> str:
        from rich.cells import set_cell_size

        name = set_cell_size(_shortened(self._names.get(path, path), self._name_width), self._name_width)
        return f"{name}  {label:{self._label_width}}  {probability:>5}  {time:>7}  "


class _Palette:
    """A letter and a colour for each class."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._letters = letters(classes)
        self._colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(classes)}

    def colour(self, name: str) -> str:
        return self._colours[name]

    def strip(self, line: Sequence[Cell], *, gaps: bool = False) -> "Text":
        return self._drawn(line, [self._letters[cell.label] for cell in line], gaps=gaps)

    def heights(self, line: Sequence[Cell]) -> "Text":
        return self._drawn(line, [level(cell.probability) for cell in line], gaps=True)

    def legend(self, names: set[str]) -> "Text":
        from rich.text import Text

        shown = [(letter, name) for name, letter in self._letters.items() if name in names]
        return Text("  ").join([Text.assemble((letter, self._colours[name]), f" {name}") for letter, name in shown])

    def _drawn(self, line: Sequence[Cell], signs: Sequence[str], *, gaps: bool) -> "Text":
        from rich.text import Text

        text = Text()
        for number, (cell, sign) in enumerate(zip(line, signs, strict=True)):
            if gaps and number and number % _GAP_EVERY == 0:
                text.append(" ")
            text.append(sign, self._colours[cell.label])
        return text


def _how(song: SongPrediction) -> str:
    count = f"{len(song)} window{'' if len(song) == 1 else 's'} of {song.window:g} s"
    every = "" if song.hop == song.window else f" every {song.hop:g} s"
    return f"mean over {count}{every}, {clock(song.duration)}; {song.model}/{song.version}"


def _names(songs: Sequence[Path]) -> dict[str, str]:
    """Return names for songs:  their file names, or by their paths where two share one."""
    counts = Counter(song.name for song in songs)
    return {printable(str(song)): printable(song.name if counts[song.name] == 1 else str(song)) for song in songs}


def _shortened(name: str, width: int) -> str:
    """Cut a name in its middle: its end tells recordings of one folder apart."""
    if len(name) <= width:
        return name
    return f"{name[: width // 2 - 1]}…{name[-(width - width // 2) :]}"
