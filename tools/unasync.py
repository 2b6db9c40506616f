"""Generate the synchronous client from the asynchronous one: `python tools/unasync.py [--check]`.

`client.py`, `model_calls.py` and `stream.py` of `genrestack/_sync` are made from those of `genrestack/_async`, token by
token: `async` and `await` go, `AsyncX` becomes `X`, and the tables below say what else differs. `calls.py` and
`stream_transport.py` are written by hand on both sides: one is on asyncio, the other on threads and queues. `--check`
writes nothing, and fails with a diff where a file is stale.
"""

import difflib
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path
from tokenize import TokenInfo
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = Path("client/genrestack")
FILES: Final = ("client.py", "model_calls.py", "stream.py")

# Code, by whole tokens, and what takes its place.
PHRASES: Final = {
    "async": "",
    "await": "",
    "asyncio": "time",
    "_async": "_sync",
    "aclosing": "closing",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "| AsyncIterable[Any]": "",
    # What blocks may do so here.
    "from genrestack._async.tasks import each_in_thread, entered_in_thread": "",
    "each_in_thread": "",
    "entered_in_thread": "",
}
# Parts of docstrings and comments, and what takes their place.
TEXTS: Final = {
    "The asynchronous client.": "The synchronous client.",
    " from asyncio; safe to share among the tasks of one event loop.": "; safe to share among threads.",
    "in a task of its own, at most": "in the caller's own thread, at most",
    "may be endless, and asynchronous.": "may be endless.",
}
# Lines of docstrings and comments that go.
LINES: Final = (
    "Cancelling the task that awaits a call cancels the call.",
    "A loop that may be left early belongs into `async with",
    "It is read, and its features are computed, in threads.",
    "# From here on nothing is awaited:",
)
HEADER: Final = "# Generated from {source} by `python tools/unasync.py`; do not edit.\n"

_ASYNC_NAME: Final = re.compile(r"\bAsync(?=[A-Z])")
_ASYNC_NOQA: Final = re.compile(r"# (ruff: )?noqa: ASYNC")
_NOT_CODE: Final = {
    tokenize.NL,
    tokenize.COMMENT,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.NEWLINE,
    tokenize.ENDMARKER,
}
_GONE: Final = "\0"
"""Where something was taken out."""

Edit = tuple[int, int, str]
"""From, to (characters of the source), and what takes the place."""


def to_sync(source: str, used: set[str] | None = None) -> str:
    """Return the synchronous form of asynchronous code, not formatted; what was used of the tables goes into `used`."""
    used = set() if used is None else used
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(row_column: tuple[int, int]) -> int:
        return starts[row_column[0] - 1] + row_column[1]

    tokens = _tokens(source)
    edits = [(place(t.start), place(t.end), text) for t in tokens if (text := _text(t, used)) != t.string]
    code = [t for t in tokens if t.type not in _NOT_CODE]
    names = [t.string for t in code]
    number = 0
    while number < len(code):
        phrase = _phrase_at(names, number)
        length = len(_words(phrase)) if phrase else 1
        first, last = code[number], code[number + length - 1]
        if phrase:
            used.add(phrase)
            edits.append((place(first.start), _end(source, place(last.end), PHRASES[phrase]), PHRASES[phrase] or _GONE))
        elif first.type == tokenize.NAME and (name := _ASYNC_NAME.sub("", first.string)) != first.string:
            edits.append((place(first.start), place(first.end), name))
            if name == "Generator" and names[number + 1] == "[":
                # It also says what it returns.
                edits.append((closing := place(code[_closing(names, number + 1)].start), closing, ", None"))
        number += length
    return _without_emptied_lines(_edited(source, edits))


def generate(name: str, used: set[str] | None = None) -> str:
    """Return the content of a file of `_sync`."""
    source = PACKAGE / "_async" / name
    text = HEADER.format(source=source.relative_to(PACKAGE.parent)) + to_sync(
        (ROOT / source).read_text(encoding="utf-8"), used
    )
    target = str(PACKAGE / "_sync" / name)
    # Imports that nothing needs any more, and their order.
    text = _ruff("check", "--fix", "--quiet", "--select", "I,F401", text=text, target=target)
    return _ruff("format", "--quiet", text=text, target=target)


def generate_all() -> dict[Path, str]:
    """Return every generated file's content by its path; stop where a table has an entry that nothing matches."""
    used: set[str] = set()
    made = {ROOT / PACKAGE / "_sync" / name: generate(name, used) for name in FILES}
    if idle := [entry for entry in (*PHRASES, *TEXTS, *LINES) if entry not in used]:
        sys.exit(f"tools/unasync.py replaces what is not there any more: {idle[0]!r}; correct its tables")
    return made


def main(arguments: list[str]) -> int:
    """Write the files, or show how they differ from what is there."""
    stale = False
    for path, text in generate_all().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif text != old:
            stale = True
            name = str(path.relative_to(ROOT))
            lines = difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, f"{name} (generated)")
            sys.stdout.writelines(lines)
    if stale:
        print("The synchronous client is stale; run: python tools/unasync.py", file=sys.stderr)
    return int(stale)


def _tokens(source: str) -> list[TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def _words(phrase: str) -> list[str]:
    return [token.string for token in _tokens(phrase) if token.type not in _NOT_CODE]


_BY_LENGTH: Final = sorted(((phrase, _words(phrase)) for phrase in PHRASES), key=lambda entry: -len(entry[1]))


def _phrase_at(names: list[str], number: int) -> str | None:
    return next((phrase for phrase, words in _BY_LENGTH if names[number : number + len(words)] == words), None)


def _text(token: TokenInfo, used: set[str]) -> str:
    """Return a docstring or comment in the words of the other side; any other token as it is."""
    text = token.string
    if token.type == tokenize.COMMENT and _ASYNC_NOQA.match(text):
        return _GONE
    if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and text.startswith('"""')):
        return text
    for old, new in TEXTS.items():
        if old in text:
            used.add(old)
            text = text.replace(old, new)
    for line in LINES:
        if line in text:
            used.add(line)
            text = re.sub(rf"{re.escape(line)}.*", _GONE, text)
    return _ASYNC_NAME.sub("", text)


def _end(source: str, end: int, replacement: str) -> int:
    """Return where a token ends, with the spaces behind it where nothing takes its place."""
    while not replacement and source[end] == " ":
        end += 1
    return end


def _closing(names: list[str], opening: int) -> int:
    """Return the number of the bracket that closes the one at `opening`."""
    depth = 0
    for number in range(opening, len(names)):
        depth += {"[": 1, "]": -1}.get(names[number], 0)
        if depth == 0:
            return number
    raise ValueError("a bracket is not closed")


def _edited(source: str, edits: list[Edit]) -> str:
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    return source


def _without_emptied_lines(text: str) -> str:
    lines = [line for line in text.splitlines(keepends=True) if _GONE not in line or line.replace(_GONE, "").strip()]
    return "".join(lines).replace(_GONE, "")


def _ruff(*arguments: str, text: str, target: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", target, "-"]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
