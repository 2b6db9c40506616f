"""Where an SVC's probabilities come from, on this scikit-learn."""

from dataclasses import replace
from inspect import signature
from typing import Any, Final

from sklearn.svm import SVC

from genrestack_training.config.settings import Settings
from genrestack_training.errors import SettingsError

INSTEAD: Final = "temperature"
"""What "auto" takes where libsvm's own calibration is gone."""


def resolve_calibration(settings: Settings, svc: Any = SVC) -> tuple[Settings, tuple[str, ...]]:
    """Return settings without "auto", and what a person should know of that, a line each.

    Args:
        settings: of which `calibration` under [svc] counts.
        svc: the class of SVC that there is.

    Raises:
        SettingsError: it is "libsvm", and this scikit-learn has no `SVC(probability=True)`.

    """
    asked, there = settings.svc.calibration, "probability" in signature(svc).parameters
    if "svc" not in settings.stack.estimators or asked not in {"auto", "libsvm"}:
        return settings, ()
    if there:
        return replace(settings, svc=replace(settings.svc, calibration="libsvm")), ()
    if asked == "libsvm":
        raise SettingsError(
            '[svc] calibration is "libsvm", and this scikit-learn has no SVC(probability=True); set it to '
            f'"{INSTEAD}" or "auto", or install scikit-learn before 1.11'
        )
    note = (
        f"This scikit-learn has no SVC(probability=True): the SVC is calibrated by {INSTEAD} instead, so its "
        "probabilities, and with them the stack's, are not quite the notebook's."
    )
    return replace(settings, svc=replace(settings.svc, calibration=INSTEAD)), (note,)
