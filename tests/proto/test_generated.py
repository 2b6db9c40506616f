"""The generated code that is checked in is what the pinned generator makes of the protos."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def generated(folder: Path) -> dict[str, bytes]:
    """Every generated file below `folder`, by its relative path."""
    patterns = ("*_pb2*.py", "*_pb2*.pyi", "*.binpb")
    return {str(path.relative_to(folder)): path.read_bytes() for glob in patterns for path in folder.rglob(glob)}


def test_generated_code_is_current(tmp_path: Path) -> None:
    script = ROOT / "tools" / "generate_protos.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fresh, kept = generated(tmp_path), generated(ROOT / "proto")
    assert fresh
    assert sorted(fresh) == sorted(kept), "run make proto"
    assert [name for name in fresh if fresh[name] != kept[name]] == [], "run make proto"
