"""Keeping freed memory changes how long features take, and none of them."""

import json
import os
import subprocess
import sys

import pytest

FEATURES = """
import json, resource, sys
from threadpoolctl import threadpool_limits
from genrestack_audio.features.compiled import prepare
from genrestack_audio.table.allocator import keep_freed_memory
prepare()
kept = sys.argv[1] == "keep" and keep_freed_memory()
import numpy as np
from support.samples.audio_signals import SIGNALS
from genrestack_audio import RATE, extract, extract_windows
from genrestack_audio.windows.windows import Windows
with threadpool_limits(1):
    extract(SIGNALS["music"], RATE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    rows = [extract(SIGNALS[name], RATE).tobytes().hex() for name in SIGNALS] * 2
    rows += [row.tobytes().hex() for row in extract_windows(np.tile(SIGNALS["longer"], 4), RATE, Windows(5.0))]
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps([kept, faults, rows]))
"""


def run(script: str, *arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_features_are_the_same_to_the_last_byte() -> None:
    kept, faults, rows = json.loads(run(FEATURES, "keep"))
    without, more, expected = json.loads(run(FEATURES, "leave"))
    assert rows == expected
    assert not without
    if not kept:
        pytest.skip("the allocator is not glibc's")
    assert faults < more


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_what_the_environment_says_stays(name: str) -> None:
    script = "from genrestack_audio.table.allocator import keep_freed_memory; print(keep_freed_memory())"
    assert run(script, **{name: "131072"}) == "False\n"
