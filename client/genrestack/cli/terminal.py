"""Text of others on its way out: names, labels, file names and messages may hold anything.

- `cell(text)`: for CSV. Printable, and nothing that a spreadsheet would take for a formula.
- `json_text(value)`: JSON in plain ASCII.
"""

import json
import re
from typing import Any, Final

from genrestack_common.text import printable

# Also after a semicolon: where the comma is the decimal mark, spreadsheets separate cells by it.
_FORMULA: Final = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cell(text: str | None) -> str:
    """Return a text as a cell of CSV: printable, and what begins as a formula has an apostrophe before it.

    So does OWASP advise against CSV injection. Numbers stay what they are: a label of -1 is no formula.
    """
    safe = printable(text or "")
    return safe if _NUMBER.fullmatch(safe) else _FORMULA.sub(r"\1'", safe)


# JSON holds what it is given.
def json_text(value: Any, indent: int | None = None) -> str:
    """Write JSON in plain ASCII, DEL escaped too.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.

    """
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")
