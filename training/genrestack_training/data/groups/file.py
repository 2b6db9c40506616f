"""Read a groups file: which artist, album or other source a recording comes from."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from genrestack_common.files import UnreadableFileError, read_bytes
from genrestack_common.tables.dialect import sniff, text_stream
from genrestack_common.tables.errors import TableFileError
from genrestack_common.text import listed, quoted
from genrestack_training.data.groups.grouping import stem_of
from genrestack_training.errors import TableError

_LARGEST: Final = 64 * 2**20
_NO_LINES: Final = "has no lines below a header; write filename,group and a line for each recording"
_FILENAME = "filename"
_GROUP = ("group", "artist_group", "artist")


def read_groups(path: str | Path) -> dict[str, str]:
    """Read filename → group from a text file with a header, written in one of the ways that tables are.

    The filenames stand in the column `filename`, the groups in `group`, `artist_group` or `artist`, or in the only
    other column there is. Further columns are passed over.

    Raises:
        TableError: there is no such file or column, a line has no group, or a filename is given two groups.

    """
    path = Path(path)
    lines = _lines(path)
    header = next(lines, None)
    if header is None:
        raise TableError(f"{path} {_NO_LINES}")
    name_at, group_at = _places(path, header)
    groups: dict[str, str] = {}
    number = 1
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        name, group = (line[at].strip() if at < len(line) else "" for at in (name_at, group_at))
        if not name or not group:
            raise TableError(f"{path}, line {number}: there is no {'group' if name else 'filename'}; fill it in")
        if groups.setdefault(name, group) != group:
            raise TableError(
                f"{path}, line {number}: {quoted(name)} has another group further up; leave one line of them"
            )
    if number == 1:
        raise TableError(f"{path} {_NO_LINES}")
    _check_ambiguous_stems(path, groups)
    return groups


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        content = io.BytesIO(read_bytes(path, _LARGEST))
        dialect = sniff(content)
        content.seek(0)
        text = text_stream(content, dialect)
        yield from csv.reader(text, delimiter=dialect.separator, skipinitialspace=True)
    except UnreadableFileError as exc:
        raise TableError(f"cannot read the groups file: {exc}") from exc
    except TableFileError as exc:
        raise TableError(exc.of(path)) from exc
    except UnicodeError as exc:
        raise TableError(f"{path} is not text in UTF-8 or UTF-16; save it as CSV in UTF-8") from exc
    except csv.Error as exc:
        raise TableError(f"{path} is not a table: its quotes or line ends do not match; save it again as CSV") from exc


def _places(path: Path, header: list[str]) -> tuple[int, int]:
    names = [name.strip() for name in header]
    if _FILENAME not in names:
        raise TableError(f"{path} has no column {_FILENAME!r}; its columns are {listed(map(quoted, names))}")
    known = [name for name in _GROUP if name in names]
    others = known or [name for name in names if name != _FILENAME]
    if not known and len(others) != 1:
        found = listed(map(quoted, others)) or "add one"
        raise TableError(f"{path} has no column 'group'; name one of its columns so: {found}")
    return names.index(_FILENAME), names.index(others[0])


def _check_ambiguous_stems(path: Path, groups: dict[str, str]) -> None:
    """Reject a.wav and a.mp3 of different groups: rows are looked up without their extension."""
    seen: dict[str, str] = {}
    for name, group in groups.items():
        if seen.setdefault(stem_of(name), group) != group:
            raise TableError(f"{path}: {quoted(stem_of(name))} stands with two extensions and two groups; rename one")
