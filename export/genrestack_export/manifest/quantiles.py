"""What a manifest says of the spread of the training rows: a server compares the rows it answers with it."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_export.gain import gain_step
from genrestack_proto.v1.model_pb2 import Model

DECILES: Final = np.arange(1, 10) / 10
# A share this far from its tenth moves no figure that anybody acts on.
_NEAR: Final = 0.005


def describe_quantiles(model: Model, scaler: Any, seen: npt.NDArray[np.float64] | None) -> None:
    """Describe in a manifest how the training rows are spread: each feature's deciles, and the shares below them.

    Args:
        model: the manifest, with its features and their gain.
        scaler: what stands in front of the stack, fitted.
        seen: raw training rows, shape (m, f); None: they are not known.

    """
    if seen is None:
        return
    step = gain_step(scaler)
    for feature, column in zip(model.features, (seen if step is None else step.transform(seen)).T, strict=True):
        values = column[~np.isnan(column)]
        if not len(values):
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            deciles = np.quantile(values, DECILES)
        if not np.isfinite(deciles).all():
            continue
        feature.quantiles.extend(deciles.tolist())
        shares = np.searchsorted(np.sort(values), deciles, side="right") / len(values)
        if np.abs(shares - DECILES).max() > _NEAR:
            model.quantile_shares[feature.name].values.extend(shares.tolist())
