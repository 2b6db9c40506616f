"""A progress bar on standard error, for people only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from genrestack.cli.tables.table import InputTable
from genrestack_common.text import printable


@contextmanager
def reading(table: InputTable, *, quiet: bool) -> Iterator[Callable[[int, int], object]]:
    """Show how far a table has been read; yields a function of (position, rows done).

    Nothing is shown unless stderr is a terminal, nor (`quiet`) where answers scroll by on the same screen.
    """
    if not sys.stderr.isatty() or (quiet and sys.stdout.isatty()):
        yield lambda _position, _rows: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(printable(table.path.name)), total=max(1, table.size), rows=0)
        yield lambda position, rows: progress.update(task, completed=position, rows=rows)


@contextmanager
def listening(name: str, seconds: float | None, *, quiet: bool) -> Iterator[Callable[[float], object]]:
    """Show how far a song has been heard; yields a function of seconds. `quiet` as in `reading`."""
    if not sys.stderr.isatty() or (quiet and sys.stdout.isatty()):
        yield lambda _seconds: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(escape(printable(name)), total=seconds)
        yield lambda reached: progress.update(task, completed=reached)
