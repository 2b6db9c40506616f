"""`genrestack demo`: all steps on synthesised music, by running the other subcommands as a person would."""

import importlib.util
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

import click

_LIBRARIES: Final = (
    "sklearn", "tensorflow", "scikeras", "skl2onnx", "onnxruntime", "grpc_reflection",
    "librosa", "soundfile", "soxr", "matplotlib",
)  # fmt: skip
_TERMINATED: Final = 143


@click.command(short_help="Run all steps on synthesised music.", epilog="Example: genrestack demo --dir demo")
@click.option(
    "--dir", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"),
    show_default=True, help="Where the tables, the song, the run and the model go; they stay there to be looked at.",
)  # fmt: skip
def demo(folder: Path) -> None:
    """Train, export, verify and serve a stack, and have it classify a song; about a minute, no download.

    The music is ten synthesised styles, made by a program; it is not real music, and the figures say nothing of how
    well real genres are told apart. Every command that runs is shown with a $ before it.
    """
    from genrestack.cli.demo.demo import run_demo

    for library in _LIBRARIES:
        if importlib.util.find_spec(library) is None:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
    # So that the server goes down with the demo however the demo ends.
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        run_demo(folder)
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    sys.exit(_TERMINATED)
