"""What a benchmark does to windows of a table is what turning the recording does to them; and the tables it prints."""

import numpy as np
from support.samples.songs import recording

from benchmarks.loudness import DECIBELS, turn, volume_table
from genrestack_audio import FEATURE_NAMES, RATE, extract_windows


def test_windows_are_turned_as_recordings_are() -> None:
    sound = recording("band", 3)
    turned = extract_windows(sound * np.float32(10 ** (-6 / 20)), RATE)
    np.testing.assert_allclose(turn(extract_windows(sound, RATE), FEATURE_NAMES, -6), turned, rtol=1e-3, atol=1e-4)


def test_the_table_counts_answers_that_changed() -> None:
    still = np.eye(4)
    moved = still[[1, 1, 2, 3]]
    told = {
        name: {
            "answers": {decibels: still if decibels == 0 else of for decibels in DECIBELS},
            "outside": dict.fromkeys(DECIBELS, 0.25),
            "truth": np.arange(4),
        }
        for name, of in (("before", moved), ("after", still))
    }
    lines = volume_table(told).splitlines()
    assert lines[0] == "4 held-out windows, before → after"
    assert "| +6 | 0.750 → 1.000 | 25.0% → 0.0% | 1.00 → 1.00 | 25.0% → 25.0% |" in lines
