"""What a manifest says of a gain that is divided out: how to do it, and the ranges that were seen behind that step."""

from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_export.gain import REFERENCE, SILENCE, gain_step
from genrestack_export.parity.rows import seen_range
from genrestack_proto.v1.model_pb2 import Gain, Model


def describe_gain(model: Model, scaler: Any, seen: npt.NDArray[np.float64] | None) -> None:
    """Describe the step that the scaler begins with in a manifest; nothing where there is none.

    Args:
        model: the manifest, with its features.
        scaler: what stands in front of the stack, fitted.
        seen: raw training rows, shape (m, f); None: they are not known.

    """
    step = gain_step(scaler)
    if step is None:
        return
    model.gain_feature, model.gain_silence = REFERENCE, SILENCE
    for feature, power, shift in zip(model.features, step.powers_, step.shifts_, strict=True):
        if power or shift:
            feature.gain.CopyFrom(Gain(power=int(power), shift=float(shift)))
    if seen is None:
        return
    for feature, low, high in zip(model.features, *seen_range(step.transform(seen)), strict=True):
        if feature.HasField("gain") and np.isfinite(low):
            feature.gain.seen_min, feature.gain.seen_max = float(low), float(high)
