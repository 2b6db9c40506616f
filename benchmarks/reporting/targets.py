"""The figures of a page that have a target, gathered in one table with the command that measures each."""

import re
from typing import Final

BEGIN: Final = "<!-- targets: begin; written with each of the tables below -->"
END: Final = "<!-- targets: end -->"
_SECTION: Final = re.compile(
    r"<!-- (?P<key>[\w-]+): begin; written by `(?P<command>.+?)(?: --write)?` -->"
    r"(?P<text>.*?)<!-- (?P=key): end -->",
    re.DOTALL,
)
_COLUMNS: Final = ("What", "Measured", "Baseline", "Ratio", "Target", "Met")
_DATE: Final = re.compile(r"Date: (\d{4}-\d{2}-\d{2})")
_CELL: Final = re.compile(r"(?<!\\)\|")


def with_targets(page: str) -> str:
    """Renew the table of targets of a page, from its other tables; a page without the marks is left as it is."""
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        return page
    head = (*_COLUMNS, "Command, date")
    rows = [head, ("---",) * len(head), *(row for section in _SECTION.finditer(page) for row in _rows(section))]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _rows(section: "re.Match[str]") -> list[tuple[str, ...]]:
    """Return the rows of a section that have a target."""
    date = _DATE.search(section["text"])
    said = ", ".join([f"`{section['command']}`", *(date.groups() if date else ())])
    head: list[str] = []
    found = []
    for line in section["text"].splitlines():
        cells = [cell.strip() for cell in _CELL.split(line.strip())[1:-1]]
        if "Target" in cells:
            head = cells
        elif cells and len(cells) == len(head):
            row = dict(zip(head, cells, strict=True))
            if row["Target"] and row["Target"] != "---":
                found.append((*(row[name] for name in _COLUMNS), said))
        else:
            head = []
    return found
