"""What the benchmark of features compares."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.audio import in_turns, made_clip, main, plain_features
from genrestack_audio import RATE, read_segments


# librosa loads audioread, which needs modules that later Pythons lack.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_compute_the_same_of_a_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.wav", made_clip()[: 7 * RATE], RATE)
    ours = [segment.features for segment in read_segments(tmp_path / "clip.wav")]
    assert len(ours) == 2
    np.testing.assert_allclose(ours, plain_features(tmp_path / "clip.wav"), rtol=1e-3, atol=1e-6)


def test_the_first_turn_is_not_counted() -> None:
    times = iter([100.0, 1.0, 3.0, 2.0])
    assert in_turns({"one": lambda: next(times)}, 3) == {"one": 2.0}


def test_recordings_without_a_table(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(tmp_path)])
    assert done.exit_code == 2
    assert "name both" in done.output
