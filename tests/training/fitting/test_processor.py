"""A processor without AVX is told of before TensorFlow ends the process without a word."""

import subprocess
import sys
from pathlib import Path

import pytest

from genrestack_training.doctor import findings
from genrestack_training.models import tensorflow_import
from genrestack_training.models.tensorflow_import import lacks_avx

NEHALEM = "processor\t: 0\nflags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt\nbogomips\t: 1\n"
SANDY_BRIDGE = NEHALEM.replace("popcnt", "popcnt avx")
CORTEX = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("text", "lacking"),
    [(NEHALEM, True), (SANDY_BRIDGE, False), (NEHALEM.replace("popcnt", "avx2"), True), (CORTEX, False), ("", False)],
    ids=["no AVX", "AVX", "not AVX2 alone", "aarch64", "nothing"],
)
def test_flags(tmp_path: Path, text: str, lacking: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert lacks_avx(tmp_path / "cpuinfo") is lacking


def test_where_nothing_is_told(tmp_path: Path) -> None:
    assert not lacks_avx(tmp_path / "gone")


def test_the_doctor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genrestack_training.doctor.lacks_avx", lambda: True)
    row = ("processor", "problem", tensorflow_import.LACKS_AVX, tensorflow_import.ADVICE)
    assert row in list(findings(None))


def test_a_stack_with_a_network_is_one_clear_error() -> None:
    program = """
from genrestack_training.models import tensorflow_import
tensorflow_import.lacks_avx = lambda: True
from genrestack_training import TrainingError, build_stack
try:
    build_stack()
except TrainingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.stdout == f"{tensorflow_import.LACKS_AVX}; {tensorflow_import.ADVICE}\n", done.stderr
