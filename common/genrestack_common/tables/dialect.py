"""How a table of text is written: encoding, lines before the header, separator, decimal mark, and its header."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import BinaryIO, Final

from genrestack_common.tables.errors import TableFileError
from genrestack_common.tables.numbers import decimal_mark, is_fraction, is_number
from genrestack_common.text import quoted

SAMPLE: Final = 2**24
"""Bytes that are looked at: no header is longer."""
ROWS: Final = 200
"""Rows below the header that are looked at."""
_LINES: Final = 50 * ROWS
"""Lines that are looked at, most of which may be blank."""
_CELLS: Final = 1000
"""Cells of a row that are looked at to find the separator."""
_SEPARATORS: Final = (",", ";", "\t", "|")
_NAMES: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_COMMENTS: Final = ("#", "%")
_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_LATIN: Final = 0.7
"""Share of a text's characters whose higher byte is zero in UTF-16."""
_RISING: Final = 5
"""Numbers that are in order by chance hardly ever."""
_HEADERS: Final = 6
"""Lines that may be a header of several."""
# The longer first: UTF-32 begins as UTF-16 does.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """How one table is written."""

    encoding: str
    mark: int
    """Bytes of the byte order mark."""
    skipped: str
    """What stands before the header: blank lines, comments, `sep=;`. Of a header in a comment, its mark as well."""
    separator: str
    decimal: str
    header: tuple[str, ...]
    """Names without the blanks around them; empty of an empty table."""


def sniff(stream: BinaryIO, numeric: Callable[[tuple[str, ...]], Collection[str]] | None = None) -> Dialect:
    """Find out how a table is written from its first rows.

    Args:
        stream: its bytes, unpacked, from the beginning.
        numeric: names, of those of the header, the columns whose numbers are read: their decimal mark is sought.

    Raises:
        TableFileError: it has no header of one line.

    """
    start = stream.read(SAMPLE)
    encoding, mark = find_encoding(start)
    # What is not text is found when all of it is read.
    text = start[mark:].decode(encoding, errors="replace")
    skipped, told = _before_header(text)
    text = text[len(skipped) :]
    if text and len(start) == SAMPLE and "\n" not in text and "\r" not in text:
        size = SAMPLE // 2**20
        raise TableFileError(f"has a first line of more than {size} MiB; a line holds one row: check its line ends")
    separator = told or _separator(text)
    records = _records(text, separator, whole=len(start) < SAMPLE)
    if not records:
        return Dialect(encoding, mark, skipped, separator, ".", ())
    header = tuple(name.strip() for name in records[0])
    _check_header(header, records)
    _check_blanks(records)
    wanted = set(header if numeric is None else numeric(header))
    decimal = decimal_mark(
        [row[at] for row in records[1:] if at < len(row)] for at, name in enumerate(header) if name in wanted
    )
    return Dialect(encoding, mark, skipped, separator, decimal, header)


def find_encoding(start: bytes) -> tuple[str, int]:
    """Return the encoding that the first bytes of a text show, and the length of their byte order mark."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding, len(mark)
    pairs = start[:512]
    for encoding, high, low in (("utf-16-le", pairs[1::2], pairs[::2]), ("utf-16-be", pairs[::2], pairs[1::2])):
        if high and high.count(0) > _LATIN * len(high) and all(low[: len(high)]):
            return encoding, 0
    return "utf-8", 0


def find_separator(line: str) -> str:
    """Return the separator of which a header has most."""
    return max(_SEPARATORS, key=line.count)


def separators_name(separator: str) -> str:
    """Return what several of a separator are called."""
    return _NAMES.get(separator, repr(separator))


def _lines(text: str) -> Iterator[str]:
    """Yield lines with their ends, whichever they are."""
    return (found[0] for found in _LINE.finditer(text))


def _before_header(text: str) -> tuple[str, str]:
    """Return the lines before the header, and the separator that one of them names."""
    length, separator, comment = len(text) - len(text.lstrip("\r\n")), "", ""
    for line in _lines(text[length:]):
        bare = line.strip().strip('"')
        if bare[:4].lower() == "sep=" and len(bare) <= 5 and not length:
            separator = bare[4:] or "\t"
        elif not bare.startswith(_COMMENTS) and line.strip():
            return _with_commented_header(text[:length], comment, line, separator), separator
        elif bare:
            comment = line
        length += len(line)
    return _with_commented_header(text[:length], comment, "", separator), separator


def _with_commented_header(skipped: str, comment: str, line: str, told: str) -> str:
    """Leave the last comment to the header if it names the columns of the line below it, as NumPy writes it."""
    if not comment or not skipped.endswith(comment):
        return skipped
    separator = told or find_separator(line or comment)
    width = comment.count(separator)
    if not width or (line and width != line.count(separator)):
        return skipped
    below = [cell.strip().strip('"') for cell in line.split(separator)]
    above = [cell.strip().strip('"') for cell in comment.strip().lstrip("#%").split(separator)]
    if line and not any(map(is_number, below)):
        return skipped
    if sum(map(is_number, above)) > len(above) / 2:
        return skipped  # a row that was commented out
    # A column may be called `#`, or begin with it.
    rest = comment.lstrip("#%")
    rest = rest.lstrip(" ") if rest.startswith(" ") else comment
    return skipped[: len(skipped) - len(rest)]


def _separator(text: str) -> str:
    """Return the separator by which most rows are as wide as the header, and of such the one with most columns.

    Where two are equal in that, it is the one that leaves more numbers.
    """
    best, found = (0.0, 0, 0), ","
    for separator in _SEPARATORS:
        try:
            rows = list(islice(_rows(text, separator), ROWS // 4))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        if width > 1:
            as_wide = sum(len(row) == width for row in rows) / len(rows)
            score = (round(as_wide, 1), width, _numbers(rows))
            if score > best:
                best, found = score, separator
    return found


def _numbers(rows: list[list[str]]) -> int:
    return sum(is_number(cell.strip()) for row in rows for cell in row[:_CELLS])


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    lines = csv.reader(islice(_lines(text), _LINES), delimiter=separator, skipinitialspace=True)
    return (row for row in lines if row)


def _records(text: str, separator: str, *, whole: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in islice(_rows(text, separator), ROWS + 2):
            rows.append(row)  # noqa: PERF402 - those before an error count
    except csv.Error as exc:
        if not rows:
            raise TableFileError("is not a table: its first line holds no column names; save it again") from exc
    return rows[: ROWS + 1] if whole or len(rows) < 2 or len(rows) > ROWS + 1 else rows[:-1]


def _check_header(header: tuple[str, ...], records: list[list[str]]) -> None:
    """Refuse a table without a header, and one with several lines of it."""
    names = [name for name in header if is_number(name)]
    if are_values(header) and (_recurs(header, records) or not _are_places(names, len(header))):
        raise TableFileError(
            f"has no header: its first line holds values ({quoted(names[0])}); write the names of the columns above it"
        )
    doubled = len(set(filter(None, header))) < sum(map(bool, header))
    for place, row in enumerate(records[1:_HEADERS], start=1):
        if len(row) == len(header) > 2 and row[0].strip() and not any(cell.strip() for cell in row[1:]):
            if doubled or place > 1:
                raise _several(place + 1)
            return
        if any(is_fraction(cell.strip()) for cell in row):
            break
    if doubled and len(records) > 2 and not any(map(is_number, records[1])) and any(map(is_number, records[2])):
        raise _several(2)


def are_values(names: Collection[str]) -> bool:
    """Return whether half of the names, or more, are numbers: the table may have no header."""
    return sum(map(is_number, names)) >= max(1, len(names) / 2)


def _recurs(header: tuple[str, ...], records: list[list[str]]) -> bool:
    """Return whether a text of the first line stands in a row below it too, in the same column."""
    texts = [(at, name) for at, name in enumerate(header) if name and not is_number(name)]
    return any(at < len(row) and row[at].strip() == name for at, name in texts for row in records[1:])


def _are_places(names: list[str], columns: int) -> bool:
    """Return whether names that are numbers count columns, or are frequencies or the like in their order."""
    if all(name.isdecimal() and int(name) < 2 * columns for name in names):
        return len(set(names)) == len(names)
    if len(names) < (_RISING if len(names) == columns else 2) or any("," in name for name in names):
        return False
    return all(a < b for a, b in pairwise(map(float, names)))


def _several(lines: int) -> TableFileError:
    return TableFileError(
        f"has a header of {lines} lines; a table has one: join the names of each column, as "
        '`frame.columns = ["_".join(map(str, name)) for name in frame.columns]` does in pandas, and save it again'
    )


def _check_blanks(records: list[list[str]]) -> None:
    """Refuse columns that are separated by blanks, which names and labels may hold too."""
    words = [row[0].split() for row in records[:2] if len(row) == 1]
    if len(words) == 2 and len(words[0]) == len(words[1]) > 1 and any(map(is_number, words[1])):
        raise TableFileError("separates its columns with blanks; save it with commas, semicolons or tabs")


def text_stream(stream: BinaryIO, dialect: Dialect) -> io.TextIOWrapper:
    """Return the table's text from its header on, with line ends as they are; `stream` is at its beginning."""
    stream.read(dialect.mark)
    text = io.TextIOWrapper(stream, encoding=dialect.encoding, newline="")
    text.read(len(dialect.skipped))
    return text
