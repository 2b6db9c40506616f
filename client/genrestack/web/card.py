"""The model as the page shows it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from genrestack import ModelInfo

_UNITS: Final = (("artist", "artists"), ("track", "recordings"))


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
        "figures": list(_figures(info.metrics, info.provenance.split)),
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


def _figures(metrics: Mapping[str, float], split: str) -> Iterator[tuple[str, str]]:
    """Yield what accuracy to expect, with artists or recordings held out whole before rows, each with its interval."""
    for unit, noun in _UNITS:
        for kind in ("folds", "split"):
            if (key := f"accuracy.{unit}_{kind}") in metrics:
                yield from _accuracy(metrics, key, f"{noun} held out")
                break
    named = dict(_UNITS)
    yield from _accuracy(metrics, "accuracy", f"{named.get(split, 'random rows')} held out")


def _accuracy(metrics: Mapping[str, float], key: str, held_out: str) -> Iterator[tuple[str, str]]:
    if key not in metrics:
        return
    interval = ""
    if f"{key}.lower" in metrics and f"{key}.upper" in metrics:
        interval = f" [{metrics[f'{key}.lower']:.3f}, {metrics[f'{key}.upper']:.3f}]"
    yield f"Accuracy, {held_out}", f"{metrics[key]:.3f}{interval}"
    if f"{key}.song" in metrics:
        yield f"Accuracy by song, {held_out}", f"{metrics[f'{key}.song']:.3f}"
