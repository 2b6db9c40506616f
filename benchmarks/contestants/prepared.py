"""What the benchmarks work on, made once and kept: a trained run, its bundles, and the stock converters' graphs."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants.contest import ROOT, environment

CACHE = ROOT / "benchmarks" / ".cache"
REAL_TABLE = ROOT.parent / "shared" / "data" / "features_3_sec.csv.gz"
SEED = 42
MADE = "made"
_LIBRARIES = ("keras", "numpy", "onnx", "scikeras", "scikit-learn", "skl2onnx", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class Prepared:
    """Files that the benchmarks read."""

    run: Path
    single: Path
    """Model repository with the run's bundle in single precision, and nothing else."""
    double: Path
    stock: Path
    """Folder of the stock converters' graphs."""
    rows: Path
    """Held-back rows as they travel: float32 (n, f), in numpy's .npy form."""
    table: str
    """What the stack was trained on, for people."""


def prepare(run: Path | None, table: Path | None = None) -> Prepared:
    """Train, export and convert whatever is not there yet, on this table or the usual; a given run is taken as is."""
    run = run or _trained(table)
    # Exported again whenever the code that exports has changed.
    folder = CACHE / "exports" / _key([_digest((run / "stack.joblib").read_bytes()), *_exporters()])
    if not folder.exists():
        _step("export", run, folder)
    return Prepared(run, folder / "single", folder / "double", folder / "stock", folder / "rows.npy", _table(run))


def _trained(table: Path | None) -> Path:
    from genrestack_training import resolve_settings

    table = table or (REAL_TABLE if REAL_TABLE.is_file() else None)
    data = MADE if table is None else _digest(table.read_bytes())
    run = CACHE / "runs" / _key([data, repr(resolve_settings("notebook")), str(SEED)])
    if not run.exists():
        print("Training the notebook's stack, once: about three minutes on two cores …", file=sys.stderr)
        _step("train", table or MADE, run)
    return run


def _step(*arguments: str | Path) -> None:
    """Run a step of `steps` in a process of its own, which takes TensorFlow with it when it ends."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.contestants.steps", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment())


def _key(what: Iterable[str]) -> str:
    return _digest("\n".join([*what, *(importlib.metadata.version(name) for name in _LIBRARIES)]).encode())[:16]


def _exporters() -> list[str]:
    files = sorted([*ROOT.glob("export/**/*.py"), *ROOT.glob("bundle/**/*.py")])
    files += [ROOT / "benchmarks" / "contestants" / name for name in ("steps.py", "stock.py")]
    return [_digest(file.read_bytes()) for file in files]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _table(run: Path) -> str:
    facts = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["provenance"]
    made = facts["data_file"].startswith(MADE)
    real = REAL_TABLE.is_file() and facts["data_sha256"] == _digest(REAL_TABLE.read_bytes())
    what = "a synthetic table, because the GTZAN one is not there" if made else "the table " + facts["data_file"]
    what = "the 3-second GTZAN table" if real else what
    return f"{what}: {facts['row_count']} rows, {facts['fitted_rows']} of them fitted"
