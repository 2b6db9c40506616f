r"""Text of others on its way out: names, labels, file names and messages may hold anything.

- `shown(text)`: for a terminal, a picture or a log line. What would steer a terminal, begin a new line or turn the
  direction of reading is written as its escape: `\x1b`, `\n`, `\u202e`.
- `cell(text)`: for CSV. The same, and nothing that a spreadsheet would take for a formula.
- `json_text(value)`: JSON in plain ASCII.
"""

import json
import re
from typing import Any, Final

# C0, DEL and C1; marks, embeddings and isolates of bidirectional text; separators of lines and paragraphs; tags, which
# are invisible; and surrogates, which stand for the bytes of a file name that are not UTF-8.
_STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
# Also after a semicolon: where the comma is the decimal mark, spreadsheets separate cells by it.
_FORMULA: Final = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shown(text: str) -> str:
    """Return the text with everything that is no visible character written as its escape."""
    return _STEERING.sub(_escaped, text)


def cell(text: str | None) -> str:
    """Return a text as a cell of CSV: as `shown`, and what begins as a formula has an apostrophe before it.

    So does OWASP advise against CSV injection. Numbers stay what they are: a label of -1 is no formula.
    """
    safe = shown(text or "")
    return safe if _NUMBER.fullmatch(safe) else _FORMULA.sub(r"\1'", safe)


# JSON holds what it is given.
def json_text(value: Any, indent: int | None = None) -> str:
    """Write JSON in plain ASCII, DEL escaped too.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.

    """
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
