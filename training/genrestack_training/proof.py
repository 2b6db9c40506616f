"""What an export found when it compared its graphs with the stack they were made from: kept beside the run."""

from dataclasses import dataclass


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
