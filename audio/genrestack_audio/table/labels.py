"""Labels from a file: the genre of each recording of a flat list."""

import csv
from pathlib import Path, PurePosixPath

from genrestack_audio.errors import AudioError

_NAME, _LABEL = "filename", "label"


def read_labels(path: Path) -> dict[str, str]:
    """Read a .csv with the columns `filename` and `label`; a published 30-second table is such a file.

    Returns:
        File name, as written and without its extension → label.

    Raises:
        AudioError: the file is not of that kind, or gives a recording two labels.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _labels(csv.DictReader(file), path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"{path}: is not UTF-8 text of comma-separated values; save it as CSV (UTF-8)") from error


def _labels(rows: "csv.DictReader[str]", path: Path) -> dict[str, str]:
    if not {_NAME, _LABEL} <= set(rows.fieldnames or ()):
        raise AudioError(f"{path}: needs a header with the columns {_NAME} and {_LABEL}")
    labels: dict[str, str] = {}
    doubtful: set[str] = set()
    for row in rows:
        name, label = (row[_NAME] or "").strip(), (row[_LABEL] or "").strip()
        if not name or not label:
            raise AudioError(f"{path}: line {rows.line_num} has no {_LABEL if name else _NAME}; fill it in")
        if labels.get(name, label) != label:
            raise AudioError(f"{path}: line {rows.line_num} labels {name} {label}, but it was {labels[name]}; keep one")
        labels[name] = label
        stem = PurePosixPath(name).stem
        # A stem stands for its file whatever the container, as long as only one label goes with it.
        if stem != name and labels.setdefault(stem, label) != label:
            doubtful.add(stem)
    return {name: label for name, label in labels.items() if name not in doubtful}
