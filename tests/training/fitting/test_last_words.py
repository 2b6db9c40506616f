"""What is written when a process ends inside the block, and that nothing is when it leaves it."""

import signal
import subprocess
import sys

import pytest

ENDING = """
import os, signal, sys
from genrestack_training.fitting.last_words import last_words
with last_words("the words"):
    print("inside", flush=True)
    {end}
print("after")
"""


def ended(end: str) -> tuple[int, str, str]:
    # The child may outlive its parent; its end of stderr is what is waited for here.
    done = subprocess.run([sys.executable, "-c", ENDING.format(end=end)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("end", "status"),
    [("os._exit(1)", 1), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL), ("os.abort()", -6)],
)
def test_a_process_that_ends_inside_is_spoken_for(end: str, status: int) -> None:
    assert ended(end) == (status, "inside\n", "the words\n")


def test_a_block_that_is_left_is_not() -> None:
    assert ended("pass") == (0, "inside\nafter\n", "")
    status, told, said = ended("raise SystemExit(3)")
    assert (status, told, said) == (3, "inside\n", "")
    status, told, said = ended("os.kill(os.getpid(), signal.SIGINT)")
    assert status == -signal.SIGINT
    assert "KeyboardInterrupt" in said
    assert "the words" not in said
