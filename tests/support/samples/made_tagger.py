"""A tagger of the real one's shape whose weights are drawn: it answers something, and nobody has to install it."""

from pathlib import Path

import numpy as np

from genrestack_audio.tagger.network import build

_KERNELS = ((7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51))
_MIDDLE = ((7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64))
_DENSE = ((1506, 200), (200, 50))
_NORMALIZED = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)


def variables(seed: int = 0) -> dict[str, np.ndarray]:
    """Return what a checkpoint holds: name → float32."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for layer, shapes in (("conv2d", (*_KERNELS, *_MIDDLE)), ("dense", _DENSE)):
        for place, shape in enumerate(shapes):
            name = f"{layer}_{place}" if place else layer
            made[f"{name}/kernel"] = rng.normal(scale=np.prod(shape[:-1]) ** -0.5, size=shape)
            made[f"{name}/bias"] = rng.normal(scale=0.1, size=shape[-1])
    for place, size in enumerate(_NORMALIZED):
        name = f"batch_normalization_{place}" if place else "batch_normalization"
        # Negative factors turn a maximum into a minimum if it is taken too early.
        made[f"{name}/gamma"] = rng.normal(size=size)
        made[f"{name}/beta"] = rng.normal(scale=0.1, size=size)
        made[f"{name}/moving_mean"] = rng.normal(scale=0.1, size=size)
        made[f"{name}/moving_variance"] = rng.uniform(0.5, 2, size=size)
    return {name: np.asarray(value, dtype=np.float32) for name, value in made.items()}


def write_tagger(path: Path, seed: int = 0) -> Path:
    """Write a tagger's file."""
    path.write_bytes(build(variables(seed).__getitem__).SerializeToString(deterministic=True))
    return path
