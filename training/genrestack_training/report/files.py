"""Reports as files."""

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
    return _written(Path(output) if output is not None else folder / "report.html", page)


def write_comparison(comparison: Comparison, output: str | Path) -> Path:
    """Write two runs side by side.

    Raises:
        RunError: the file cannot be written.

    """
    return _written(Path(output), comparison_html(comparison))


def _written(file: Path, page: str) -> Path:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise RunError(f"cannot write {file}: {exc.strerror}; choose another file with --output") from exc
    return file
