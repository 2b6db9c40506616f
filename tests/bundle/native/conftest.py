"""The native operators, which are there where the project was installed with a C compiler."""

import pytest
from support.tools import need

from genrestack_bundle.native.library import missing


@pytest.fixture(autouse=True)
def _compiled() -> None:
    need(not missing(), "the native operators (make setup with gcc)")
