"""Whether a training divides recordings' gain out, and what does it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from genrestack_common.text import quoted_list
from genrestack_export.gain import GAIN_COLUMNS, GainNormalizer, gain_step, missing_columns
from genrestack_training.config.settings import Settings
from genrestack_training.errors import SettingsError


def resolve_gain(settings: Settings, feature_names: Sequence[str]) -> tuple[Settings, tuple[str, ...]]:
    """Return settings that say "on" or "off" for a table, and what a person should know of that, a line each.

    Args:
        settings: of which `normalize_gain` under [scaler] counts.
        feature_names: the table's.

    Raises:
        SettingsError: it is "on", and the table lacks a column that follows the gain.

    """
    asked, missing = settings.scaler.normalize_gain, missing_columns(feature_names)
    if asked == "off" or (asked == "on" and not missing):
        return settings, ()
    lacking = f"the table has no column {quoted_list(missing)}"
    if asked == "on":
        raise SettingsError(
            f"[scaler] normalize_gain is on, and {lacking}; make the table with genrestack features, or set "
            'normalize_gain = "off"'
        )
    resolved = replace(settings, scaler=replace(settings.scaler, normalize_gain="off" if missing else "on"))
    if not missing:
        return resolved, ()
    # A table of anything but recordings has none of them, and no gain either.
    of_songs = len(missing) < len(GAIN_COLUMNS)
    caveat = "; a song turned up or down may get another answer" if of_songs else ""
    return resolved, (f"The gain of recordings is not divided out: {lacking}{caveat}.",)


def build_gain_step(settings: Settings, feature_names: Sequence[str]) -> GainNormalizer | None:
    """Return the step that divides the gain out, fitted, as it learns nothing of rows; None where there is none."""
    missing = missing_columns(feature_names)
    if settings.scaler.normalize_gain == "off" or (missing and settings.scaler.normalize_gain == "auto"):
        return None
    if missing:
        raise SettingsError(f"[scaler] normalize_gain is on, and the table has no column {quoted_list(missing)}")
    names = tuple(feature_names)
    return GainNormalizer(names).fit(np.zeros((1, len(names))))


def behind_gain(scaler: Any, rows: np.ndarray) -> np.ndarray:
    """Return raw rows, float64 (n, f), with the gain divided out where the scaler begins with that."""
    step = gain_step(scaler)
    return rows if step is None else np.asarray(step.transform(rows))
