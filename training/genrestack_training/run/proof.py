"""What an export found when it compared its graphs with the stack they were made from: kept beside the run."""

import json
from dataclasses import dataclass
from pathlib import Path

from genrestack_training.errors import RunError
from genrestack_training.run.json_codec import from_plain, to_plain

EXPORT = "export.json"


@dataclass(frozen=True)
class PartProof:
    """One part of the stack."""

    name: str
    max_abs_difference: float
    """Of a probability."""
    tolerance: float


@dataclass(frozen=True)
class ExportProof:
    """The latest export of a run."""

    model: str
    precision: str
    """"single" or "double"."""
    rows: int
    """Rows that both were asked about."""
    labels_agreed: int
    ties: int
    """Rows left out because their nearest neighbours tie."""
    max_abs_difference: float
    """Of a probability of the whole stack."""
    tolerance: float
    parts: tuple[PartProof, ...]


def write_proof(folder: Path, proof: ExportProof) -> None:
    """Keep the proof in a run's folder.

    Raises:
        OSError: the folder cannot be written.

    """
    text = json.dumps(to_plain(proof), indent=1, ensure_ascii=False)
    (folder / EXPORT).write_text(text + "\n", encoding="utf-8")


def read_proof(folder: Path) -> ExportProof | None:
    """Read the proof of a run's latest export; None if it was not exported.

    Raises:
        RunError: the file holds something else.

    """
    file = folder / EXPORT
    if not file.is_file():
        return None
    try:
        proof: ExportProof = from_plain(ExportProof, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as exc:
        raise RunError(f"{file} is broken; export the run again: genrestack export {folder}") from exc
    return proof
