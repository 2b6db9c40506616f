"""Convert the tagger: `python -m genrestack_audio.tagger`."""

import hashlib
from pathlib import Path

import click

from genrestack_audio.errors import AudioError
from genrestack_audio.tagger.convert import convert
from genrestack_audio.tagger.tagger import default_path


@click.command(epilog="Example: python -m genrestack_audio.tagger")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the converted tagger goes.  [default: GENRESTACK_TAGGER, or ~/.cache/genrestack/tagger/musicnn.onnx]",
)
def main(output: Path | None) -> None:
    """Convert the music tagger of the installed package musicnn to ONNX, for genrestack features --kind tags.

    The package is installed by hand, without what it asks for, which cannot be had today; its code is not run:
    pip install --no-deps musicnn==0.1.0. The conversion needs the extra train, and what it wrote the extra tags alone.
    """
    output = output or default_path()
    try:
        difference = convert(output)
    except AudioError as error:
        raise click.ClickException(str(error)) from error
    sha256 = hashlib.sha256(output.read_bytes()).hexdigest()
    click.echo(f"{output}: within {difference:.1e} of the original's answers; sha256 {sha256}")
    click.echo("next: genrestack features PATH… --kind tags -o TABLE")


if __name__ == "__main__":
    main(prog_name="python -m genrestack_audio.tagger")
