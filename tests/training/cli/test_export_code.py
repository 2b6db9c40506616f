"""`genrestack export --stack` with pickles that need code of their own, or cannot be read."""

import pickle
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from training.cli.export_calls import LABELS, TRAINING, exported_model, one_line, run_export, stacked

from genrestack_training.cli.export import export

CODE = """
import numpy as np


def clean(rows):
    return np.nan_to_num(rows)
"""


def _pickle_from_a_notebook(files: Path) -> None:
    """Write a dict with a function of `__main__`, which is another program's when it is read."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CODE, "notebook", "exec"), names)
    main = vars(sys.modules["__main__"])
    main["clean"] = names["clean"]
    try:
        fitted = make_pipeline(MinMaxScaler(), stacked()).fit(TRAINING, LABELS)
        joblib.dump({"model": fitted, "clean": names["clean"]}, files / "mine.joblib")
    finally:
        del main["clean"]


def test_code_of_a_notebook(files: Path) -> None:
    _pickle_from_a_notebook(files)
    one_line(
        run_export(files, None),
        f"{files / 'mine.joblib'} needs 'clean' of the notebook or script that wrote it (__main__); name a file that",
        "--code FILE.py",
    )
    (files / "other.py").write_text("")
    one_line(run_export(files, None, "--code", files / "other.py"), "'clean'", "named with --code does not define it")
    (files / "notebook.py").write_text(CODE)
    result = run_export(files, None, "--code", files / "other.py", "--code", files / "notebook.py")
    exported_model(files, result)
    assert not hasattr(sys.modules["__main__"], "clean")


def test_code_of_a_module(files: Path) -> None:
    """As when `train.py` has imported the function: the file is found under its own name."""
    (files / "my_steps.py").write_text(CODE)
    (files / "mine.joblib").write_bytes(_named("my_steps", "clean"))
    one_line(
        run_export(files, None), "needs the Python module 'my_steps', which is not installed here; ", "--code FILE.py"
    )
    one_line(run_export(files, None, "--code", files / "my_steps.py"), "the model: function is not supported")


def test_code_that_fails(files: Path) -> None:
    (files / "broken.py").write_text("first = 1\nsecond = undefined\n")
    result = run_export(
        files, make_pipeline(MinMaxScaler(), stacked()).fit(TRAINING, LABELS), "--code", files / "broken.py"
    )
    one_line(result, f"{files / 'broken.py'}, line 2: NameError while the file ran; fix it, or name a file that only")


@pytest.mark.parametrize("arguments", [["--classes", "a,b"], ["--code", "network.py"]])
def test_of_a_run(arguments: list[str]) -> None:
    result = CliRunner().invoke(export, ["run", *arguments])
    assert result.exit_code == 2
    assert "--classes and --code belong to --stack; a run names its classes" in result.output


# pickles that cannot be read


class Sulking:
    """An object that cannot be rebuilt."""

    def __reduce__(self) -> Any:
        return np.random.RandomState, ("sulking",)


def _named(module: str, name: str) -> bytes:
    """Pickle a reference to what may not be there."""
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + b"".join(texts) + b"\x93."


@pytest.mark.parametrize(
    ("content", "phrases"),
    [
        (
            _named("sklearn.ensemble.forest", "F"),
            ("other library versions", "'sklearn.ensemble.forest'", "scikit-learn "),
        ),
        (_named("sklearn.svm", "OldSVC"), ("other library versions", "'OldSVC' of 'sklearn.svm'", "scikit-learn ")),
        (_named("__main__", "Network"), ("needs 'Network' of the notebook or script", "--code FILE.py")),
        (_named("dill", "f"), ("needs the Python module 'dill', which is not installed here; install it",)),
        pytest.param(
            b"\x04\x22\x4d\x18rest",
            ("is compressed by LZ4, which is not installed here; install the package lz4",),
            marks=pytest.mark.skipif(find_spec("lz4") is not None, reason="lz4 is installed"),
        ),
        (b"PK\x03\x04model.pkl", ("is not a pickle of an estimator",)),
    ],
)
def test_what_the_unpickler_missed(files: Path, content: bytes, phrases: tuple[str, ...]) -> None:
    (files / "mine.joblib").write_bytes(content)
    one_line(run_export(files, None), str(files / "mine.joblib"), *phrases)


def test_object_that_cannot_be_rebuilt(files: Path) -> None:
    """Its bytes are fine; what it does when it is rebuilt is not."""
    (files / "mine.joblib").write_bytes(pickle.dumps({"model": Sulking()}))
    result = run_export(files, None)
    one_line(result, "cannot be rebuilt", "other library versions")
    assert "is not a pickle" not in result.output
