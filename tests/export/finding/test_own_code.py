"""Pickles that need somebody's own code: made by a notebook, and read where that is another program."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export.conftest import NAMES, draw
from export.finding.notebook import DEFINITIONS, FIT

from genrestack_bundle import ComposedSession, open_bundle
from genrestack_export import ExportError, export_model
from genrestack_export.finding.own_code import own_code
from genrestack_export.finding.pickles import load_pickle

UNSEEN = draw(30, seed=2)[0]
# What needs no code: functions are in the pickle, Keras has the byte code of a Lambda, and a loss answers no rows.
ALONE = ("by_value", "lambda_layer", "lambda_of_libraries", "own_loss", "loss_in_a_closure")
# Pickle → the name that it lacks.
LACKING = {
    "joblib.joblib": "network", "compressed.joblib": "network", "pickle.pkl": "network", "in_a_dict.pkl": "network",
    "own_layer.pkl": "Doubled", "unregistered_layer.pkl": "Scaled", "nested_layer.pkl": "Inner",
    "own_activation.pkl": "bent", "function_layer.pkl": "halved", "lambda_of_a_name.pkl": "FACTOR",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebook's pickles, its definitions, and what its stacks answer to `UNSEEN`."""
    folder = tmp_path_factory.mktemp("notebook")
    rows, labels = draw(60, seed=1)
    codes = np.unique(labels, return_inverse=True)[1]
    np.savez(folder / "training.npz", rows=rows, codes=codes, unseen=UNSEEN.astype(np.float32).astype(np.float64))
    (folder / "notebook.py").write_text(DEFINITIONS + FIT)
    (folder / "definitions.py").write_text(f"{DEFINITIONS}\nFACTOR = 3.0\n")
    argv = [sys.executable, "-W", "ignore", str(folder / "notebook.py"), str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def definitions(files: Path) -> Iterator[Any]:
    with own_code([files / "definitions.py"]) as names:
        yield names


def _check(files: Path, models: Path, fitted: Any, answers: str) -> None:
    path = export_model(fitted, feature_names=NAMES, reference_rows=UNSEEN, models_dir=models, name="notebook")
    bundle = open_bundle(path)
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
    with np.load(files / "answers.npz") as kept:
        expected = kept[answers]
    np.testing.assert_allclose(session.run(UNSEEN.astype(np.float32)).probabilities, expected, rtol=0, atol=1e-5)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ALONE)
def test_pickle_that_needs_no_code(kind: str, files: Path, tmp_path: Path) -> None:
    answers = "network" if kind == "by_value" else kind
    _check(files, tmp_path, load_pickle(files / f"{kind}.pkl"), answers)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LACKING)
def test_pickle_with_its_code(name: str, files: Path, definitions: Any, tmp_path: Path) -> None:
    kind = Path(name).stem
    answers = "network" if LACKING[name] == "network" else kind
    _check(files, tmp_path, load_pickle(files / name, definitions), answers)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LACKING)
def test_pickle_without_its_code(name: str, files: Path) -> None:
    with pytest.raises(ExportError) as refused:
        load_pickle(files / name)
    message = str(refused.value)
    assert message.startswith(f"{files / name} ")
    assert f"'{LACKING[name]}'" in message
    assert message.endswith("with --code FILE.py")
    assert "is not a pickle" not in message


@pytest.mark.parametrize("name", ["joblib.joblib", "own_layer.pkl"])
def test_code_that_does_not_define_it(name: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("def another(): ...\n")
    with (
        own_code([tmp_path / "other.py"]) as names,
        pytest.raises(ExportError, match=f"'{LACKING[name]}'.* does not d"),
    ):
        load_pickle(files / name, names)


def test_network_that_keras_saved(files: Path) -> None:
    with pytest.raises(
        ExportError, match=r"network\.keras is a network saved by Keras \(a zip archive\), not a pickle"
    ):
        load_pickle(files / "network.keras")


# files of code


def test_code_is_reachable_only_for_a_while(tmp_path: Path) -> None:
    main = vars(sys.modules["__main__"])
    path, before = list(sys.path), dict(main)
    (tmp_path / "helpers.py").write_text("WIDTH = 4\n")
    (tmp_path / "my_network.py").write_text("from helpers import WIDTH\n\ndef network():\n    return WIDTH\n")
    with own_code([tmp_path / "my_network.py"]) as names:
        assert names["network"]() == 4
        assert main["network"] is names["network"]
        assert sys.modules["my_network"].network is names["network"]
    assert (list(sys.path), dict(main)) == (path, before)
    assert "my_network" not in sys.modules


def test_file_named_like_a_module_of_python_hides_nothing(tmp_path: Path) -> None:
    import json

    (tmp_path / "json.py").write_text("answer = 42\n")
    with own_code([tmp_path / "json.py"]) as names:
        assert sys.modules["json"] is json
        assert names["answer"] == 42


@pytest.mark.parametrize(
    ("name", "content", "expected_message"),
    [
        ("broken.py", "def f(:\n", "line 1: this is not Python; fix the file"),
        (
            "raising.py",
            "a = 1\n\nraise KeyError(a)\n",
            "line 3: KeyError while the file ran; fix it, or name a file that",
        ),
        ("leaving.py", "import sys\nsys.exit(0)\n", "line 2: SystemExit while the file ran"),
        ("needing.py", "import wizardry_lib\n", "needs the Python module 'wizardry_lib', which is not installed here"),
        ("binary.py", "a = '\0'\n", "this is not Python"),
        (
            "notes.ipynb",
            "{}",
            r"is a notebook; save its code as a \.py file: jupyter nbconvert --to script notes\.ipynb",
        ),
    ],
)
def test_code_that_does_not_run(name: str, content: str, expected_message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ExportError, match=expected_message), own_code([tmp_path / name]):
        pass


def test_code_that_is_not_there(tmp_path: Path) -> None:
    for name in ("gone.py", "."):
        with (
            pytest.raises(ExportError, match=r"there is no file .*; check the path that --code names"),
            own_code([tmp_path / name]),
        ):
            pass
