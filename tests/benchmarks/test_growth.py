"""Tables grow as described, and what is measured of them is written down and kept."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.growth import fits as growth
from benchmarks.growth.__main__ import main
from benchmarks.growth.fits import BEGIN, END, duration, exponent, render
from benchmarks.growth.measurement import SPREAD, grow
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between

MACHINE = Machine(
    "a CPU", 2, 0.0, "3.11", "Linux", dict.fromkeys(("keras", "numpy", "scikit-learn", "tensorflow"), "1"), "2025-01-01"
)


def test_copies_lie_within_bounds_of_their_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)) * np.array([1.0, 100.0, 1e-3])
    labels = np.arange(50).astype(str)
    grown, of = grow(rows, labels, 3)
    assert grown.shape == (150, 3)
    np.testing.assert_array_equal(grown[:50], rows)
    np.testing.assert_array_equal(of, np.concatenate([labels] * 3))
    away = np.abs(grown[50:] - np.vstack([rows, rows])) / rows.std(axis=0)
    assert away.max() <= SPREAD * (1 + 1e-9)
    assert away.min(axis=1).max() > 0
    assert len(np.unique(grown, axis=0)) == 150
    np.testing.assert_array_equal(grow(rows, labels, 1)[0], rows)


def test_exponents_and_durations() -> None:
    assert exponent([1, 10, 20], [5.0, 3.0, 12.0]) == pytest.approx(2.0)
    told = [duration(s) for s in (0.012, 1.5, 3, 200, 8000, 300_000, 1e9)]
    assert told == ["12 ms", "1.5e+03 ms", "3 s", "3 min", "2 h", "3 days", "32 years"]


def test_a_quadratic_fit_is_written_as_one(tmp_path: Path) -> None:
    rows = [
        {"part": "svc", "times": t, "rows": 1000 * t, "fit_seconds": 1.0 * t * t, "predict_rows": 100,
         "predict_seconds": 0.001, "peak_mb": 300.0, "load": 0.1, "accuracy": 0.9}
        for t in (1, 10)
    ]  # fmt: skip
    text = "\n".join(render(rows, MACHINE, made=False, tried=True))
    # 1000 rows a second², so 10⁷ rows take (10⁴)² s.
    assert "| svc | 2.00 | 3 years |  | too short to tell |" in text
    assert "| 10,000 | svc | 100.0 s | 0.00 s for 100 rows | 300 MB | 0.900 |" in text
    assert "Tried with some of the table's rows" in text
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    write_between(page, BEGIN, END, text)
    assert page.read_text() == f"above\n{BEGIN}\n\n{text}\n\n{END}\nbelow\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_between(page, BEGIN, END, text)


def test_a_measurement_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.csv"
    rows = np.random.default_rng(1).normal(size=(300, 3))
    lines = [",".join([*map(str, row), "ab"[number % 2]]) for number, row in enumerate(rows)]
    table.write_text("x,y,z,label\n" + "\n".join(lines) + "\n")
    monkeypatch.setattr(growth, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(growth, "REAL_TABLE", table)
    runs = [CliRunner().invoke(main, ["fits", "--part", "knn", "--times", "2", "--rows", "250"]) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0]
    assert [run.stderr for run in runs] == ["measuring knn at 2× …\n", ""]
    assert runs[0].stdout == runs[1].stdout
    assert "| 400 | knn |" in runs[0].stdout
    fewer = CliRunner().invoke(
        main, ["fits", "--part", "knn", "--times", "2", "--times", "3", "--rows", "250", "--without", "knn@3"]
    )
    assert (fewer.exit_code, fewer.stderr) == (0, "")
    assert "| 600 |" not in fewer.stdout
    assert "Not measured: knn at 3×." in fewer.stdout
