"""What a notebook shows of an answer or a model: a small table of HTML, everything in it escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from genrestack_common.text import printable


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """Return a titled table, with notes below it; without headings where there are none."""
    head = f"<thead><tr>{_cells('th', headings)}</tr></thead>" if headings else ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    below = "".join(f"<div>{_text(note)}</div>" for note in notes)
    return f"<div><div><b>{_text(title)}</b></div><table>{head}<tbody>{body}</tbody></table>{below}</div>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)


def _text(text: str) -> str:
    return escape(printable(text))
