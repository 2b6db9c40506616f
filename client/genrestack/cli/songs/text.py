"""What `genrestack predict` tells a person about songs: one in detail, or several in a line each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from rich.cells import cell_len

from genrestack.cli.neighbors import neighbor_text
from genrestack.cli.songs.layout import Layout
from genrestack.cli.songs.song_warnings import SongWarnings
from genrestack.cli.songs.timeline import Cell, bar, cells, cells_per_line, clock, letters, level, percent, shown_song
from genrestack.cli.terminal import folded, plain_console, show_lines
from genrestack.model_info import ModelInfo
from genrestack.songs.song_prediction import SongPrediction
from genrestack_common.text import printable

if TYPE_CHECKING:
    from rich.text import Text

_SHOWN_CLASSES: Final = 3
_BAR_WIDTH: Final = 30
_MARGIN: Final = "  "
_LINE_CELLS: Final = 60
_GAP_EVERY: Final = 10
_MOST_LINES: Final = 8
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
        from rich.text import Text

        song = shown_song(song)
        console = plain_console()
        console.print(Text(Path(song.path).name, "bold"))
        width = console.width - len(_MARGIN)
        for line in (*self._likeliest(song), Text(_how(song), "dim"), Text(), *self._timeline(song, width)):
            console.print(Text(_MARGIN).append_text(line))
        if song.base:
            console.print()
        width = max(map(len, song.base), default=0)
        for name, mean in song.base.items():
            likeliest = sorted(zip(-mean, song.classes, strict=True))[:_SHOWN_CLASSES]
            said = ", ".join(f"{label} {percent(-negative)}" for negative, label in likeliest if -negative > 0)
            show_lines(f"{_MARGIN}{name:{width}}  {said}", hanging=" " * (width + 4))
        if song.neighbors:
            console.print()
            near = ", ".join(map(neighbor_text, song.neighbors))
            show_lines(f"{_MARGIN}sounds like  {near}", hanging=" " * 6)
        for warning in song.warnings:
            show_lines(f"warning: {warning}", err=True)

    def fail(self, path: Path, message: str) -> None:
        """There is nothing else to print."""

    def close(self) -> None:
        """All has been said."""

    def _likeliest(self, song: SongPrediction) -> list["Text"]:
        from rich.text import Text

        top = song.top(_SHOWN_CLASSES)
        width = max(len(name) for name, _ in top)
        bars = max(min(_BAR_WIDTH, plain_console().width - width - len(_MARGIN) - 9), 0)
        return [
            Text.assemble(
                (f"{name:{width}}", "bold" if name == song.label else ""),
                f"  {percent(p):>5}  ",
                (bar(p, bars), self._palette.colour(name)),
            )
            for name, p in top
        ]

    def _timeline(self, song: SongPrediction, width: int) -> list["Text"]:
        from rich.text import Text

        margin = len(clock(song.duration))
        room = width - margin - 2
        most = max(min(_LINE_CELLS, room * _GAP_EVERY // (_GAP_EVERY + 1)), 1)
        size, found = cells(song, _MOST_LINES * most)
        count = cells_per_line(size * song.hop, most)
        lines = []
        for first in range(0, len(found), count):
            line = found[first : first + count]
            time = f"{clock(line[0].start):>{margin}}  "
            lines += [
                Text(time).append_text(self._palette.strip(line, gaps=True)),
                Text(" " * len(time)).append_text(self._palette.heights(line)),
            ]
        together = f", {size} windows taken together" if size > 1 else ""
        how = f"▁ to █: how likely that is, 0 to 100 %{together}"
        return [*lines, *self._palette.legend({cell.label for cell in found}, width, how)]


class RowWriter:
    """A line for each song, and a summary."""

    streams = True

    def __init__(self, info: ModelInfo, songs: Sequence[Path], *, base: bool) -> None:
        classes = [printable(name) for name in info.classes]
        self._palette = _Palette(classes)
        self._base = base
        self._names = _names(songs)
        self._layout = Layout.fitting(plain_console().width, list(self._names.values()), classes)
        self._labels: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._seconds = 0.0
        self._warnings = SongWarnings()
        self._failed = 0

    def write(self, song: SongPrediction) -> None:
        """Print its line."""
        from rich.text import Text

        song, layout = shown_song(song), self._layout
        line = Text(self._start(song.path, song.label, percent(float(song.probabilities.max())), clock(song.duration)))
        if layout.cells:
            _, found = cells(song, layout.cells)
            strip = self._palette.strip(found)
            strip.pad_right(layout.cells - len(found))
            line.append_text(strip).append("  ")
            self._seen |= {cell.label for cell in found}
        runners = [f"{name} {percent(p)}" for name, p in song.top(_SHOWN_CLASSES) if name != song.label]
        line.append(", ".join(runners[: layout.runners_up]))
        line.append(" !" if song.warnings else "", "bold red")
        console = plain_console()
        name = self._names.get(song.path, song.path)
        if not self._labels:
            timeline = f"{'timeline':{layout.cells}}  " if layout.cells else ""
            runners_up = "runners-up" if layout.runners_up else ""
            console.print(Text(f"{self._start('song', 'genre', 'p', 'length')}{timeline}{runners_up}".rstrip()))
        if cell_len(name) > layout.name:
            console.print(Text(name))
        line.rstrip()
        said = ", ".join(f"{part} {song.classes[int(mean.argmax())]}" for part, mean in song.base.items())
        beside = self._base and line.cell_len + 2 + cell_len(said) <= console.width
        console.print(line.append(f"; {said}" if beside else ""))
        if self._base and not beside:
            show_lines(f"    {said}", hanging="    ")
        if song.neighbors:
            show_lines(f"    sounds like {', '.join(map(neighbor_text, song.neighbors))}", hanging="      ")
        self._labels[song.label] += 1
        self._seconds += song.duration
        self._warnings.add(name, song)

    def fail(self, path: Path, message: str) -> None:  # noqa: ARG002 - what is wrong with it has been said
        """Count it."""
        self._failed += 1

    def close(self) -> None:
        """Print the legend, the summary, and what there is to know of single songs."""
        console = plain_console()
        if self._seen:
            console.print()
            for line in self._palette.legend(self._seen, console.width):
                console.print(line)
        for warning in self._warnings.lines():
            show_lines(f"! {warning}", err=True)
        count = self._labels.total()
        genres = ", ".join(f"{number} {name}" for name, number in self._labels.most_common())
        summary = f"{count:,} song{'' if count == 1 else 's'}, {clock(self._seconds)} in all"
        left_out = f"; {self._failed:,} left out, named above" if self._failed else ""
        show_lines(f"{summary}{': ' if genres else ''}{genres}{left_out}")

    def _start(self, path: str, label: str, probability: str, time: str) -> str:
        from rich.cells import set_cell_size

        layout = self._layout
        name = self._names.get(path, path)
        name = set_cell_size("" if cell_len(name) > layout.name else name, layout.name)
        genre = label + " " * (layout.label - cell_len(label))
        return f"{name}  {genre}  {probability:>5}  {time:>7}  "


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

    def legend(self, names: set[str], width: int, how: str = "") -> list["Text"]:
        """Return what the letters mean, and then `how`, wrapped to the width."""
        from rich.text import Text

        shown = [(letter, name) for name, letter in self._letters.items() if name in names]
        parts = [Text.assemble((letter, self._colours[name]), f" {name}") for letter, name in shown]
        lines = [parts[0]]
        for part in parts[1:]:
            if lines[-1].cell_len + 2 + part.cell_len <= width:
                lines[-1].append("  ").append_text(part)
            else:
                lines.append(part)
        if how and lines[-1].cell_len + 2 + cell_len(how) <= width:
            lines[-1].append(f"; {how}", "dim")
        elif how:
            lines += [Text(line, "dim") for line in folded(how, width)]
        return lines

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
    """Return names for songs: their file names, or their paths where two share one."""
    counts = Counter(song.name for song in songs)
    return {printable(str(song)): printable(song.name if counts[song.name] == 1 else str(song)) for song in songs}
