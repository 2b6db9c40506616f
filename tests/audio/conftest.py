"""Files of made signals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.samples.audio_signals import music

from genrestack_audio import RATE

WriteSound = Callable[..., Path]


@pytest.fixture
def write_sound(tmp_path: Path) -> WriteSound:
    """Write samples, or `music`, to a file in the test's folder."""

    def write(name: str, samples: np.ndarray | None = None, rate: int = RATE, **kind: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, music(3.1, rate=rate) if samples is None else samples, rate, **kind)
        return path

    return write
