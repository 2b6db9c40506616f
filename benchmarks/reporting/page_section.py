"""Text that a program writes into a page of the documentation, between two marks."""

from pathlib import Path

from benchmarks.reporting.targets import with_targets


def write_between(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks in a Markdown file, and renew its table of targets where it has one.

    Raises:
        ValueError: the file lacks the marks.

    """
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} lacks the lines `{begin}` and `{end}`; put them where the table belongs")
    path.write_text(with_targets(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"), encoding="utf-8")
