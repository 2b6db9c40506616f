"""What the package offers, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import genrestack
from genrestack import errors

HEAVY = (
    "tensorflow", "sklearn", "onnxruntime", "onnx", "pandas", "keras", "pyarrow", "scipy", "librosa", "soundfile",
    "matplotlib",
)  # fmt: skip


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_all_is_what_type_checkers_see() -> None:
    tree = ast.parse(Path(genrestack.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [name.name for node in ast.walk(guarded) if isinstance(node, ast.ImportFrom) for name in node.names]
    assert sorted(seen) == sorted(genrestack.__all__)
    for name in genrestack.__all__:
        assert getattr(genrestack, name).__name__ == name
    assert set(genrestack.__all__) <= set(dir(genrestack))


def test_every_error_is_public_and_in_the_tree() -> None:
    assert set(errors.__all__) <= set(genrestack.__all__)
    for name in errors.__all__:
        assert (
            f"─ {name} " in (errors.__doc__ or "").replace("GenreStackError\n", "─ GenreStackError ")
            or name == "Violation"
        )
        assert name == "Violation" or issubclass(getattr(errors, name), errors.GenreStackError)


def test_the_client_brings_in_nothing_heavy() -> None:
    loaded = loaded_by("from genrestack import *; Client('localhost:1').close(); AsyncClient('localhost:1')")
    assert loaded.isdisjoint(HEAVY)
    assert "grpc" in loaded


def test_importing_the_package_loads_neither_grpc_nor_numpy() -> None:
    assert loaded_by("import genrestack, genrestack.cli.main").isdisjoint({*HEAVY, "grpc", "numpy"})


def test_help_brings_in_nothing_heavy() -> None:
    code = "from genrestack.cli.main import run\nrun(['--help'])"
    assert loaded_by(code).isdisjoint({*HEAVY, "grpc"})


def test_predicting_a_table_brings_in_nothing_heavy(real_server: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("chroma,rms,tempo,zero_crossing\n1,2,3,4\n", encoding="utf-8")
    loaded = loaded_by(
        f"from genrestack.cli.main import run\nrun(['predict', {str(path)!r}, '--server', {real_server!r}])"
    )
    assert loaded.isdisjoint(HEAVY)
    assert {"grpc", "accuracy", "p"} & loaded == {"grpc", "p"}
