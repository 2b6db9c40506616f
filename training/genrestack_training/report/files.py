"""Reports as files."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genrestack_training.comparison import Comparison
from genrestack_training.errors import RunError
from genrestack_training.folder import find_run, read_record
from genrestack_training.proof import read_proof
from genrestack_training.report.comparison_page import comparison_html
from genrestack_training.report.run_page import report_html


def write_report(run: str | Path, output: str | Path | None = None) -> Path:
    """Write the report of a run anew.

    Args:
        run: the run's folder, or one with several runs in it, of which the latest is taken.
        output: where to; default: `report.html` in the run's folder.

    Returns:
        The file.

    Raises:
        RunError: the folder is not a whole run, or the file cannot be written.

    """
    folder = find_run(run)
    page = report_html(read_record(folder), read_proof(folder))
    if output is not None:
        return _written(Path(output), page)
    # Written beside and renamed: a link that somebody has laid there is replaced, and not what it leads to.
    beside = folder / f".report-{secrets.token_hex(8)}"
    with _writing(folder / "report.html") as file:
        try:
            with beside.open("x", encoding="utf-8") as new:
                new.write(page)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    return file


def write_comparison(comparison: Comparison, output: str | Path) -> Path:
    """Write two runs side by side.

    Raises:
        RunError: the file cannot be written.

    """
    return _written(Path(output), comparison_html(comparison))


def _written(file: Path, page: str) -> Path:
    with _writing(file):
        file.write_text(page, encoding="utf-8")
    return file


@contextmanager
def _writing(file: Path) -> Iterator[Path]:
    try:
        yield file
    except OSError as exc:
        raise RunError(f"cannot write {file}: {exc.strerror}; choose another file with --output") from exc
