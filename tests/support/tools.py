"""What a test needs and may not find."""

import os

import pytest

STRICT = os.environ.get("REQUIRE_TOOLS") == "1"


def need(found: object, what: str, *, required: bool = STRICT) -> None:
    """Skip, saying what is needed; fail instead where REQUIRE_TOOLS=1 promises that it is there."""
    if found:
        return
    if required:
        pytest.fail(f"REQUIRE_TOOLS=1, but this test needs {what}")
    pytest.skip(f"needs {what}")
