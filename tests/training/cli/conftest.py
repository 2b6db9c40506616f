"""Rows that were held out, in a folder that exports are run in."""

from pathlib import Path

import pandas as pd
import pytest
from export.conftest import NAMES
from training.cli.export_calls import ROW_LABELS, ROWS


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a table of rows that were held out."""
    pd.DataFrame(ROWS, columns=list(NAMES)).assign(label=ROW_LABELS).to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path
