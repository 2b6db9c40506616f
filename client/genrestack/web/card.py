"""The model as the page shows it."""

from typing import TYPE_CHECKING, Any

from genrestack.display.accuracy import accuracies

if TYPE_CHECKING:
    from genrestack import ModelInfo


def model_card(info: "ModelInfo") -> dict[str, Any]:
    """Return what a person wants to know of a model, ready for JSON; its figures the honest one first."""
    return {
        "name": info.name,
        "version": info.version,
        "classes": list(info.classes),
        "features": len(info.features),
        "parts": [
            {"name": part.name, "kind": part.kind, "estimator": part.estimator.rpartition(".")[2]}
            for part in info.parts
        ],
        "precision": info.precision,
        "provider": info.provider,
        "figures": [
            (f"Accuracy {phrase}".strip(), f"{value:.3f}")
            for value, phrase in accuracies(info.metrics, info.provenance.split)
        ],
        "parity": {
            "rows": info.served_parity.rows,
            "labels_agreed": info.served_parity.labels_agreed,
            "max_abs_difference": info.served_parity.max_abs_difference,
        },
        "provenance": {
            "created": info.provenance.created,
            "preset": info.provenance.preset,
            "split": info.provenance.split,
            "rows": info.provenance.row_count,
            "data_sha256": info.provenance.data_sha256,
        },
    }
