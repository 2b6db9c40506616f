"""Can a bundle be written there? Asked before minutes are spent on the stack that would go into it."""

import tempfile
from pathlib import Path

from genrestack_bundle.layout import check_case
from genrestack_export.errors import ExportError


def check_writable(models_dir: Path, name: str) -> None:
    """Find out whether `models_dir/name` can be written; nothing is made and nothing stays behind.

    Raises:
        ExportError: it cannot; the message names the folder that stands in the way.
        BundleError: there is a model from whose name this one differs by case alone.

    """
    check_case(models_dir, name)
    place = models_dir / name
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise ExportError(
            f"cannot write into {place}: {error.strerror}; choose another folder for the bundle with --models"
        ) from error
