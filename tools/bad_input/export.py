"""Stacks, pickles, runs and reference rows that cannot be exported."""

import gzip
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.bad_input.finding import Finding
from tools.bad_input.world import FEATURES, World

TITLE = "Export"
_REFERENCE = "reference.csv"


def walk(world: World) -> Iterator[Finding]:
    """Pass each of them to `genrestack export`."""
    world.table(_REFERENCE, [*FEATURES, "label"], world.rows[300:])
    for title, name in _stacks(world):
        yield world.run(title, "export", "--stack", name, "--rows", _REFERENCE, "--name", "mine")
    for title, name in _pickles(world.folder):
        yield world.run(title, "export", "--stack", name, "--rows", _REFERENCE, "--name", "mine")
    for title, name in _rows(world):
        yield world.run(title, "export", "--stack", "stack.joblib", "--rows", name, "--name", "mine")
    for title, arguments in _arguments(world):
        yield world.run(title, "export", *arguments)


def _stacks(world: World) -> Iterator[tuple[str, str]]:
    from sklearn.ensemble import StackingClassifier, VotingClassifier
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC

    knn = KNeighborsClassifier(3)
    good, labels = _fitted(world, knn), [row[-1] for row in world.rows[:300]]
    _dump(world, "stack.joblib", good)
    yield (
        "An unsupported base estimator",
        _dump(world, "votes.joblib", _fitted(world, VotingClassifier([("knn", knn)]))),
    )
    canberra = KNeighborsClassifier(3, metric="canberra")
    yield "An unsupported parameter", _dump(world, "canberra.joblib", _fitted(world, canberra))
    meta = _fitted(world, knn, final_estimator=RidgeClassifier())
    yield "A meta-learner without probabilities", _dump(world, "meta.joblib", meta)
    yield "A model without probabilities", _dump(world, "linear.joblib", LinearSVC().fit(_numbers(world), labels))
    _dump(world, "knn.joblib", knn.fit(_numbers(world), labels))
    yield "A stack that was never fitted", _dump(world, "unfitted.joblib", StackingClassifier([("knn", knn)]))
    yield "No estimator at all", _dump(world, "dict.joblib", {"stack": None})


def _pickles(folder: Path) -> Iterator[tuple[str, str]]:
    yield "A pickle that is not there", "gone.joblib"
    (folder / "notes.joblib").write_text("My best stack so far.\n", encoding="utf-8")
    yield "A text file as pickle", "notes.joblib"
    (folder / "short.joblib").write_bytes((folder / "stack.joblib").read_bytes()[:500])
    yield "A pickle cut short", "short.joblib"
    (folder / "nothing.joblib").write_bytes(b"")
    yield "An empty pickle", "nothing.joblib"
    (folder / "packed.joblib").write_bytes(gzip.compress(pickle.dumps({}))[:-12])
    yield "A compressed pickle cut short", "packed.joblib"
    (folder / "foreign.joblib").write_bytes(b"cmy_house.models\nBest\n.")
    yield "A pickle of somebody's own module", "foreign.joblib"
    (folder / "own.joblib").write_bytes(b"csklearn.ensemble\nBestOfAll\n.")
    yield "A pickle of a class that is not there", "own.joblib"
    yield "A folder as pickle", "runs"


def _rows(world: World) -> Iterator[tuple[str, str]]:
    yield "Reference rows that are not there", "gone.csv"
    yield "Reference rows with a column too few", world.table("narrow.csv", FEATURES[:-1], _cut(world, 63)).name
    yield "Reference rows with NaN", world.changed("holes.csv", 7, 5, "nan").name
    yield "No reference rows", world.table("norows.csv", FEATURES, []).name
    huge = [[*row[:5], "1e300", *row[6:]] for row in world.rows[300:320]]
    yield "Reference rows too large for float32", world.table("huge.csv", [*FEATURES, "label"], huge).name


def _arguments(world: World) -> Iterator[tuple[str, tuple[str, ...]]]:
    good = ("--stack", "stack.joblib", "--rows", _REFERENCE)
    yield "Neither a run nor a stack", ()
    yield "Both a run and a stack", ("runs/digits/first", "--stack", "stack.joblib")
    yield "A stack without reference rows", ("--stack", "stack.joblib")
    yield "A name that cannot be a folder", (*good, "--name", "a/b")
    yield "A scaler that is none", (*good, "--scaler", "knn.joblib", "--name", "mine")
    yield "An unsupported scaler", (*good, "--scaler", _sine(world), "--name", "mine")
    yield "A scaler of other columns", (*good, "--scaler", _narrow(world), "--name", "mine")
    (world.folder / "file").write_text("not a folder", encoding="utf-8")
    yield "A model repository that is a file", (*good, "--models", "file")
    yield "A run that is not there", ("runs/digits/gone",)
    yield "A run that is not a run", ("models",)
    yield "A run that has lost a file", (_run(world, "lost", lambda run: (run / "stack.joblib").unlink()),)
    yield "A run with a broken file", (_run(world, "broken", lambda run: _shorten(run / "reference.npz")),)
    yield "A run with a broken pickle", (_run(world, "cut", lambda run: _shorten(run / "stack.joblib")),)


def _fitted(world: World, base: Any, **options: Any) -> Any:
    from sklearn.ensemble import StackingClassifier

    labels = [row[-1] for row in world.rows[:300]]
    return StackingClassifier([("best", base)], cv=2, **options).fit(_numbers(world), labels)


def _sine(world: World) -> str:
    import numpy as np
    from sklearn.preprocessing import FunctionTransformer

    return _dump(world, "sine.joblib", FunctionTransformer(np.sin).fit(_numbers(world)))


def _narrow(world: World) -> str:
    from sklearn.preprocessing import MinMaxScaler

    return _dump(world, "narrow.joblib", MinMaxScaler().fit(_numbers(world)[:, :9]))


def _numbers(world: World) -> Any:
    import numpy as np

    return np.array([[float(str(v)) for v in row[:-1]] for row in world.rows[:300]])


def _cut(world: World, columns: int) -> list[list[object]]:
    return [row[:columns] for row in world.rows[300:]]


def _dump(world: World, name: str, thing: Any) -> str:
    import joblib

    joblib.dump(thing, world.folder / name)
    return name


def _run(world: World, name: str, spoil: Any) -> str:
    run = world.folder / "runs" / "digits" / name
    shutil.copytree(world.folder / "runs" / "digits" / "first", run)
    spoil(run)
    return str(run.relative_to(world.folder))


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])
