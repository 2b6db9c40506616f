"""A model's accuracy in a few words: the figure to go by first, which is that of the coarsest split."""

from collections.abc import Mapping
from typing import Final

_SPLITS: Final = {"collection": "by collection", "artist": "by artist", "track": "by recording", "random": "at random"}
"""Coarsest first: what recognises artists or recordings does not shine by it."""


def accuracies(metrics: Mapping[str, float], split: str) -> list[tuple[float, str]]:
    """Return each accuracy that is known with how its rows were held out; the one to go by comes first.

    Args:
        metrics: of the training run.
        split: how the rows were held out that `accuracy` was measured on.

    """
    found: list[tuple[float, str]] = []
    for unit, phrase in _SPLITS.items():
        names = [f"accuracy.{unit}_folds", f"accuracy.{unit}_split", *(["accuracy"] if unit == split else [])]
        if (name := next((name for name in names if name in metrics), None)) is not None:
            found.append((metrics[name], phrase))
    if "accuracy" in metrics and split not in _SPLITS:
        found.append((metrics["accuracy"], ""))
    return found


def accuracy_text(metrics: Mapping[str, float], split: str) -> str:
    """Return all of them in a line; empty where none is known."""
    found = accuracies(metrics, split)
    held_out = " held out" if found and found[0][1] else ""
    texts = [f"{value:.3f}{'' if number else held_out} {how}".strip() for number, (value, how) in enumerate(found)]
    return ", ".join(texts)
