"""Read a groups file: which artist, album or other source a recording comes from."""

import csv
import io
from pathlib import Path

from genrestack_training.errors import TableError
from genrestack_training.grouping import stem_of
from genrestack_training.wording import listed

_FILENAME = "filename"
_GROUP = ("group", "artist_group", "artist")


def read_groups(path: str | Path) -> dict[str, str]:
    """Read filename → group from a text file with a header, separated by commas or tabs.

    The filenames stand in the column `filename`, the groups in `group`, `artist_group` or `artist`, or in the only
    other column there is. Further columns are passed over.

    Raises:
        TableError: there is no such file or column, a line has no group, or a filename is given two groups.

    """
    path = Path(path)
    lines = _lines(path)
    name_at, group_at = _places(path, lines[0])
    groups: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        name, group = (line[at].strip() if at < len(line) else "" for at in (name_at, group_at))
        if not name or not group:
            raise TableError(f"{path}, line {number}: there is no {'group' if name else 'filename'}; fill it in")
        if groups.setdefault(name, group) != group:
            raise TableError(f"{path}, line {number}: {name!r} has another group further up; leave one line of them")
    _refuse_twins(path, groups)
    return groups


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise TableError(f"cannot read the groups file {path}: {exc.strerror}; check the path") from exc
    except UnicodeDecodeError as exc:
        raise TableError(f"{path} is not text in UTF-8 (byte {exc.start + 1}); save it as CSV in UTF-8") from exc
    separator = "\t" if "\t" in text.split("\n", 1)[0] else ","
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as exc:
        raise TableError(f"{path} is not a table: its quotes or line ends do not match; save it again as CSV") from exc
    if len(lines) < 2:
        raise TableError(f"{path} has no lines below a header; write filename,group and a line for each recording")
    return lines


def _places(path: Path, header: list[str]) -> tuple[int, int]:
    names = [name.strip() for name in header]
    if _FILENAME not in names:
        raise TableError(f"{path} has no column {_FILENAME!r}; its columns are {listed(names, 12)}")
    known = [name for name in _GROUP if name in names]
    others = known or [name for name in names if name != _FILENAME]
    if not known and len(others) != 1:
        raise TableError(f"{path} has no column 'group'; name one of its columns so: {listed(others, 12) or 'add one'}")
    return names.index(_FILENAME), names.index(others[0])


def _refuse_twins(path: Path, groups: dict[str, str]) -> None:
    """Refuse a.wav and a.mp3 of different groups: rows are looked up without their extension."""
    seen: dict[str, str] = {}
    for name, group in groups.items():
        if seen.setdefault(stem_of(name), group) != group:
            raise TableError(f"{path}: {stem_of(name)!r} stands with two extensions and two groups; rename one")
