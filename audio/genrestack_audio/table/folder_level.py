"""Whether a folder that was named holds the genre folders, or only the folder that holds them."""

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath

from genrestack_audio.errors import AudioError
from genrestack_common.text import listed, quoted

_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
"""What the sides of a split are called, which are not genres."""
_NAMED = 5


def check_level(root: Path, inside: Sequence[PurePath], *, one_label: bool) -> None:
    """Reject a folder whose first folders cannot be genres, because the genres' folders lie in them.

    Args:
        root: the folder that was named.
        inside: its recordings, relative to it; at least one.
        one_label: whether every recording of the table would be labelled the same.

    Raises:
        AudioError: the message has the line to give instead.

    """
    if _are_sides(inside):
        sides = [root / side for side in _folders(inside)]
        raise AudioError(
            f"{root}: its folders {listed(_folders(inside), _NAMED)} are sides of a split and not genres, whose "
            f"folders lie in them. Give one of them, or all: {_command(sides)}"
        )
    level, depth = inside, 0
    while one_label and _is_wrapped(level):
        level, depth = [path.relative_to(path.parts[0]) for path in level], depth + 1
    below = _folders(level)
    if depth and len(below) > 1:
        holder = root.joinpath(*inside[0].parts[:depth])
        raise AudioError(
            f"{root}: all its recordings lie in {holder}, so every row would be labelled "
            f"{quoted(inside[0].parts[0])}. If the folders in that ({listed(below, _NAMED)}) are the genres, give: "
            f"{_command([holder])}; else name a file with labels (--labels), or leave labels out (--no-labels)"
        )


def _is_wrapped(inside: Sequence[PurePath]) -> bool:
    """Return whether all recordings lie in the same folder, and none of them directly."""
    return len(_folders(inside)) == 1 and all(len(path.parts) > 2 for path in inside)


def _are_sides(inside: Sequence[PurePath]) -> bool:
    """Return whether the first folders are called like sides of a split and hold nothing but folders."""
    first = {folder.lower() for folder in _folders(inside)}
    return len(first) > 1 and first <= _PARTS and all(len(path.parts) > 2 for path in inside)


def _folders(inside: Sequence[PurePath]) -> list[str]:
    return sorted({path.parts[0] for path in inside if len(path.parts) > 1})


def _command(paths: Sequence[Path]) -> str:
    return f"genrestack features {' '.join(shlex.quote(str(path)) for path in paths)} -o TABLE"
