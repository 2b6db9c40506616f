"""Python, this distribution, what it needs, and its extras."""

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from genrestack.cli.doctor.finding import Finding, note, ok, problem
from genrestack.cli.doctor.requirements import DISTRIBUTION, Requirement, read_requirements
from genrestack.cli.pythons import without_tensorflow

_GIVES: Final = {
    "server": "genrestack serve",
    "server-gpu": "genrestack serve on a GPU, in an environment of its own",
    "train": "genrestack train, export, report",
    "audio": "genrestack features, and songs for genrestack predict",
    "tags": "genrestack features --kind tags",
    "otel": "traces of the server",
    "plot": "the picture of genrestack bench",
    "ray": "training on several machines",
}
"""What an extra is for; those that are not named here are for people who work on the project."""
_EITHER: Final = ("server", "server-gpu")
_GPU_WHEEL: Final = "onnxruntime-gpu"
_GENERATED: Final = re.compile(r"Protobuf Python Version: ([0-9.]+)")


def look_at_packages(requirements: Sequence[Requirement] | None = None) -> Iterator[Finding]:
    """Check versions and extras; `requirements` are this distribution's own by default."""
    needed = read_requirements() if requirements is None else requirements
    yield ok("python", f"{platform.python_version()} on {platform.platform(terse=True)}, {sys.executable}")
    yield ok(DISTRIBUTION, f"{version(DISTRIBUTION)}, {Path(__file__).parents[2]}")
    yield _base([each for each in needed if not each.extra])
    yield _generated()
    yield from _extras(needed)


def _base(needed: Sequence[Requirement]) -> Finding:
    wrong = [each for each in needed if not each.fits]
    if not wrong:
        return ok("libraries", ", ".join(f"{each.name} {each.installed}" for each in needed))
    return problem("libraries", _misfits(wrong), f"pip install --upgrade {DISTRIBUTION}")


def _misfits(wrong: Sequence[Requirement]) -> str:
    return ", ".join(
        f"{each.name} {'is not installed' if each.installed is None else f'is {each.installed}'}"
        f"{f' (needed: {each.bounds})' if each.bounds else ''}"
        for each in wrong
    )


def _generated() -> Finding:
    """Compare the protobuf that wrote our code with the one that runs it."""
    from google.protobuf import __version__ as running

    text = (files("genrestack_proto.v1") / "model_pb2.py").read_text(encoding="utf-8")
    match = _GENERATED.search(text)
    written = match[1] if match else "?"
    subject, found = "protobuf", f"{running} runs code generated for {written}"
    try:
        from genrestack_proto.v1 import model_pb2

        model_pb2.Model()
    except (ImportError, TypeError) as error:
        return problem(subject, f"{found}: {_one_line(error)}", 'pip install "protobuf>=6.31,<8"')
    return ok(subject, found)


def _extras(needed: Sequence[Requirement]) -> Iterator[Finding]:
    complete = {extra for extra in _GIVES if _of(extra, needed) and all(each.fits for each in _of(extra, needed))}
    for extra, gives in _GIVES.items():
        own = _of(extra, needed)
        if extra in complete:
            yield ok(f"extra {extra}", f"installed: {gives}")
        elif own and not (extra in _EITHER and complete.intersection(_EITHER)):
            yield _lacking(extra, gives, [each for each in own if not each.fits])


def _lacking(extra: str, gives: str, wrong: Sequence[Requirement]) -> Finding:
    install = f'pip install "{DISTRIBUTION}[{extra}]"'
    if any(each.name == "onnxruntime" for each in wrong) and Requirement(_GPU_WHEEL, "").fits:
        # The two wheels overwrite each other's files.
        return note(f"extra {extra}", f"not beside {_GPU_WHEEL}: {gives}", f"in another environment: {install}")
    missing = [each.name for each in wrong if each.installed is None]
    if missing == ["tensorflow"] and (lacking := without_tensorflow()):
        given = "genrestack train and export for stacks without a network, report"
        return note(f"extra {extra}", f"installed but for TensorFlow: {given}", f"networks need {lacking}")
    if missing:
        return note(f"extra {extra}", f"not installed: {gives} (missing: {', '.join(missing)})", install)
    return problem(f"extra {extra}", _misfits(wrong), f"pip install --upgrade {install.removeprefix('pip install ')}")


def _of(extra: str, needed: Sequence[Requirement]) -> list[Requirement]:
    return [each for each in needed if each.extra == extra]


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
