"""`genrestack demo`: the whole way on a small table, by running the other subcommands as a person would."""

import importlib.util
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

import click

_LIBRARIES: Final = ("sklearn", "tensorflow", "scikeras", "skl2onnx", "onnxruntime", "grpc_reflection")
_TERMINATED: Final = 143


@click.command(short_help="Go the whole way on a small table, in one go.", epilog="Example: genrestack demo --dir demo")
@click.option(
    "--dir", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"),
    show_default=True, help="Where the table, the run and the model go; they stay there to be looked at.",
)  # fmt: skip
def demo(folder: Path) -> None:
    """Train, export, prove, serve and ask a stack on scikit-learn's digits; about two minutes, no download.

    Every command that runs is shown with a $ before it.
    """
    from genrestack._demo import run_demo

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
