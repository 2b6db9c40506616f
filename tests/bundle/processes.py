"""Scripts in processes of their own."""

import functools
import os
import subprocess
import sys

import pytest

_WITHOUT_ROOTS_POWERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def run_script(script: str, *arguments: object, permissions: bool = False) -> str:
    """Run Python code; returns what it printed, and fails the test if it failed or complained.

    With `permissions`, file permissions hold it back even if root runs the tests.
    """
    prefix = _held_back() if permissions else []
    command = [*prefix, sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


@functools.cache
def _held_back() -> list[str]:
    if os.geteuid() != 0:
        return []
    try:
        subprocess.run([*_WITHOUT_ROOTS_POWERS, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a user whom file permissions hold back, or setpriv")
    return _WITHOUT_ROOTS_POWERS
