"""`genrestack predict` for songs: which they are, one after the other, and what became of them."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from genrestack_common.text import printable

if TYPE_CHECKING:
    from genrestack import Client, ModelInfo, SongPrediction
    from genrestack.cli.songs.text import SongWriter

_PICTURES: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class SongOptions:
    """How songs are asked about and told."""

    window: float
    """Seconds in a window."""
    hop: float | None
    """Seconds from one window to the next; None: one after the other."""
    base: bool
    """Also tell what each base estimator says, where that is not told anyway."""
    form: str | None
    """`json`, `csv`, or None for people."""
    plot: Path | None
    """Where a picture of the one song goes."""
    neighbors: int = 0
    """Training rows named that a song sounds like."""


def predict_songs(
    client: "Client", model: str | None, version: int | None, paths: Sequence[Path], options: SongOptions
) -> None:
    """Ask about every song; leaves with exit status 1, at the end, if one had to be left out."""
    from genrestack.songs.recording import check_installed, check_model_of_songs, first_time, make_windows

    check_installed()
    songs = _all_songs(paths)
    _check_plot(options.plot, songs)
    make_windows(options.window, options.hop)
    info = client.model(model, version)
    make_windows(options.window, options.hop, check_model_of_songs(info))
    if note := first_time():
        click.echo(note, err=True)
    writer = _writer(info, songs, options)
    failed = 0
    for number, path in enumerate(songs):
        with _counted_on_failure(number - failed):
            failed += not _predicted(client, info, path, writer, options, alone=len(songs) == 1)
    writer.close()
    if failed:
        raise click.exceptions.Exit(1)


def _predicted(
    client: "Client", info: "ModelInfo", path: Path, writer: "SongWriter", options: SongOptions, *, alone: bool
) -> bool:
    from genrestack import InvalidInput
    from genrestack.cli.songs.plot import draw

    try:
        song = _ask(client, info, path, options, quiet=writer.streams)
    except InvalidInput as error:
        message = printable(str(error))
        click.echo(f"Error: {message}" if alone else f"left out {message}", err=True)
        writer.fail(path, str(error))
        return False
    writer.write(song)
    if options.plot is not None:
        draw(song, options.plot)
        click.echo(f"drawn: {printable(str(options.plot))}", err=options.form is not None)
    return True


def _ask(client: "Client", info: "ModelInfo", path: Path, options: SongOptions, *, quiet: bool) -> "SongPrediction":
    from genrestack.cli.progress import listening
    from genrestack.songs.recording import open_song

    with open_song(path, info, window=options.window, hop=options.hop) as song:
        # The version is named, so that a newer one cannot take over in the middle of a song.
        answers = client.predict_stream(
            song.batches(),
            model=info.name,
            version=info.version,
            base=True,
            neighbors=options.neighbors,
            novelty=True,
        )
        with closing(answers), listening(path.name, song.seconds, quiet=quiet) as advance:
            for prediction in answers:
                song.add(prediction)
                advance(song.reached)
        return song.result()


def _all_songs(paths: Sequence[Path]) -> list[Path]:
    from genrestack.songs.recording import find_songs

    found: dict[Path, None] = {}
    for path in paths:
        songs = find_songs(path)
        if not songs:
            raise click.ClickException(
                f"{path} holds no recordings; name a folder of them, or the file itself "
                "(a table's name ends in .csv, .tsv, .txt or .parquet, or is packed)"
            )
        found.update(dict.fromkeys(songs))
    return list(found)


def _check_plot(plot: Path | None, songs: Sequence[Path]) -> None:
    if plot is None:
        return
    if find_spec("matplotlib") is None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
    if len(songs) > 1:
        raise click.UsageError(f"--plot draws one song, and these are {len(songs)}; name one of them")
    if plot.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--plot {plot}: its name has to end in {', '.join(_PICTURES)}")
    if not plot.absolute().parent.is_dir():
        raise click.UsageError(f"--plot {plot}: there is no folder {plot.parent}; make it first")


def _writer(info: "ModelInfo", songs: Sequence[Path], options: SongOptions) -> "SongWriter":
    from genrestack.cli.songs import forms, text

    if options.form == "json":
        return forms.SongJsonWriter(info, base=options.base)
    if options.form == "csv":
        parts = [part.name for part in info.parts if part.kind == "base"] if options.base else []
        return forms.SongCsvWriter(info, parts, options.neighbors)
    if len(songs) == 1:
        return text.DetailWriter(info)
    return text.RowWriter(info, songs, base=options.base)


@contextmanager
def _counted_on_failure(done: int) -> Iterator[None]:
    """Report, of answers that are cut off, how many there were."""
    from genrestack import DeadlineExceeded, Unavailable

    try:
        yield
    except (DeadlineExceeded, Unavailable) as error:
        if not done:
            raise
        raise click.ClickException(f"{error} (after the answers to {done:,} songs)") from error
