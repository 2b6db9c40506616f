"""The native operators, tried hard: drawn shapes under sanitizers, many points, many threads."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bundle.native.reference import Case, rows_of, scattered
from conftest import ROOT
from hard.lengths import LONG, times
from support.tools import need

from genrestack_bundle.native.build import LIBRARY, build
from genrestack_bundle.native.library import instruction_sets, missing


@pytest.fixture(autouse=True)
def _compiled() -> None:
    need(not missing(), "the native operators (make setup with gcc)")
    need(shutil.which("gcc"), "a C compiler (Debian package gcc)")


def run_sanitized(folder: Path, module: str, *arguments: str) -> str:
    """Run a program on a library compiled with sanitizers, which end it at the first fault."""
    library = folder / LIBRARY
    build(library, ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"])
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    done = subprocess.run(
        [sys.executable, "-m", module, library, *arguments],
        check=False, capture_output=True, text=True, cwd=ROOT,
        env={
            **os.environ,
            "LD_PRELOAD": runtime,
            # Python leaves to the end of the process what it has once allocated.
            "ASAN_OPTIONS": "detect_leaks=0",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("seed", ["1", "2"])
def test_drawn_shapes_under_sanitizers(tmp_path: Path, seed: str) -> None:
    said = run_sanitized(tmp_path, "hard.native_fuzz", seed, str(times(60, 600)))
    assert instruction_sets()[-1] in said


def test_many_points() -> None:
    """Up to 200,000, by every instruction set, against a search through all of them."""
    for count in (20_000, 200_000) if LONG else (20_000,):
        for p in (1, 2):
            rng = np.random.default_rng(count)
            case = Case(scattered(rng, count, 57), rng.integers(0, 4, count), 9, p, by_distance=True)
            rows = rows_of(rng, case.points, times(20, 100))
            decided = case.decided(rows)
            assert decided.mean() > 0.9
            expected = case.answer(rows)
            for name in instruction_sets():
                with case.index(name) as index:
                    found = index.predict_proba(rows)
                np.testing.assert_allclose(found[decided], expected[decided], rtol=0, atol=1e-9)


def test_indices_that_come_and_go_in_many_threads() -> None:
    """Each thread builds, asks and frees its own, and all of them ask one."""
    rng = np.random.default_rng(0)
    case = Case(scattered(rng, 3000, 30), rng.integers(0, 4, 3000), 4, 1, by_distance=True)
    rows = rows_of(rng, case.points, 50)

    with case.index() as shared:
        expected = shared.predict_proba(rows).tobytes()

        def work(_: int) -> bool:
            with case.index() as own:
                return own.predict_proba(rows).tobytes() == shared.predict_proba(rows).tobytes() == expected

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(times(100, 2000))))
