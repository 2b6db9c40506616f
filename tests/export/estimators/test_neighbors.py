"""The neighbours part: what it finds is what scikit-learn finds, and nothing of it is in a bundle unasked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from bundle.reseal import reseal
from export.conftest import FitStack, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from support.samples.stacks import FittedStack, export

from genrestack_bundle import BundleError, FoundNeighbors, ParityError, open_bundle, verified_search
from genrestack_bundle import golden as golden_rows
from genrestack_bundle.layout import GOLDEN
from genrestack_bundle.neighbors import differing_row
from genrestack_export import ExportError
from genrestack_proto.v1.model_pb2 import PART_KIND_NEIGHBORS


def found_by(path: Path, rows: npt.NDArray[np.float64]) -> FoundNeighbors:
    search = verified_search(open_bundle(path), threads=1)
    assert search is not None
    return search.run(rows.astype(np.float32))


def line_of_points(p: int, points: npt.NDArray[np.float64]) -> FittedStack:
    """A stack without a scaler, fitted on these points; every other four are another class."""
    labels = np.array(["even", "odd"])[np.arange(len(points)) // 4 % 2]
    stack = StackingClassifier(
        [("knn", KNeighborsClassifier(n_neighbors=3, p=p, weights="distance"))], LogisticRegression(), cv=2
    ).fit(points, labels)
    names = tuple(f"x{column}" for column in range(points.shape[1]))
    return FittedStack(stack, None, names, ("even", "odd"), points, points[:20] + 0.3, labels[:20].tolist())


@pytest.mark.parametrize("points", [40, 700])
@pytest.mark.parametrize("p", [1, 2])
def test_it_finds_what_scikit_learn_finds(tmp_path: Path, p: int, points: int) -> None:
    # Below some size the search is direct, above it by a quick score that verifies itself.
    rng = np.random.default_rng(points)
    fitted = line_of_points(p, rng.normal(size=(points, 7)))
    rows = rng.normal(size=(200, 7)).astype(np.float32).astype(np.float64) * rng.choice([0.1, 1, 20], size=(200, 1))
    rows[:10] = fitted.training_rows[:10]
    found = found_by(export(fitted, tmp_path, "line", neighbors=True), rows)
    tree = KNeighborsClassifier(algorithm="kd_tree", p=p).fit(fitted.training_rows, np.zeros(points))
    distances, index = tree.kneighbors(rows.astype(np.float32).astype(np.float64), 10)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-12)
    assert (found.rows == index).all()
    assert (found.labels == index // 4 % 2).all()
    assert found.names is None


@pytest.mark.parametrize("points", [40, 700])
def test_of_equal_distances_the_lowest_row_comes_first(tmp_path: Path, points: int) -> None:
    fitted = line_of_points(1, np.repeat(np.arange(points // 4, dtype=np.float64), 4)[::-1, None] * np.ones((1, 3)))
    near = found_by(export(fitted, tmp_path, "ties", neighbors=True), np.array([[3.0, 3, 3]]))
    distances, index = KNeighborsClassifier(p=1).fit(fitted.training_rows, np.zeros(points)).kneighbors([[3.0] * 3], 12)
    order = np.lexsort((index[0], distances[0]))[:10]
    assert near.distances[0].tolist() == distances[0][order].tolist()
    assert near.rows[0].tolist() == index[0][order].tolist()


def test_few_training_rows_are_all_found(tmp_path: Path) -> None:
    fitted = line_of_points(2, np.arange(12.0).reshape(6, 2))
    assert found_by(export(fitted, tmp_path, "few", neighbors=True), fitted.rows[:1]).rows.tolist() == [
        [0, 1, 2, 3, 4, 5]
    ]


def test_it_runs_alone_and_is_written_only_when_asked_for(fit: FitStack) -> None:
    case = fit()
    names = [f"song {row}" for row in range(len(case.training))]
    plain, searching = case.export(), case.export(neighbors=True, row_names=names)
    assert open_bundle(plain).model.format == 1
    assert verified_search(open_bundle(plain), threads=1) is None
    bundle = open_bundle(searching)
    assert bundle.model.format == 2
    part = bundle.model.parts[-1]
    assert (part.kind, part.name, part.file) == (PART_KIND_NEIGHBORS, "neighbors", "neighbors.onnx")
    assert dict(part.parameters) == {"of": "first", "rows": "90", "count": "10", "p": "2", "names": "True"}
    session = onnxruntime.InferenceSession(searching / part.file, providers=["CPUExecutionProvider"])
    found = dict(
        zip(
            [output.name for output in session.get_outputs()],
            session.run(None, {"scaled": case.scaler.transform(case.training[4:6])}),
            strict=True,
        )
    )
    assert found["neighbor_row"][:, 0].tolist() == [4, 5]
    assert found["neighbor_name"][:, 0].tolist() == ["song 4", "song 5"]
    assert found["neighbor_label"][:, 0].tolist() == [1, 2]
    assert np.abs(found["neighbor_distance"][:, 0]).max() < 1e-12


def test_what_cannot_be_exported_is_said(fit: FitStack) -> None:
    with pytest.raises(ExportError, match="has no KNeighborsClassifier"):
        fit(SVC(probability=True)).export(neighbors=True)
    case = fit()
    with pytest.raises(ExportError, match="holds 2 names, and the KNN was fitted on 90 rows"):
        case.export(neighbors=True, row_names=["a", "b"])
    with pytest.raises(ExportError, match="the name of row 1 has to be printable text"):
        case.export(neighbors=True, row_names=["a", ""] * 45)
    with pytest.raises(ExportError, match="pass neighbors=True"):
        case.export(row_names=["a"] * 90)


def test_a_base_estimator_may_have_the_name_of_the_part(fit: FitStack) -> None:
    case = fit()
    stack = StackingClassifier([("neighbors", knn())], LogisticRegression(), cv=2)
    stack.fit(case.scaler.transform(case.training), draw(90, seed=1)[1])
    parts = open_bundle(case.export(stack=stack, neighbors=True)).model.parts
    assert len({part.name for part in parts}) == len({part.file for part in parts}) == len(parts)


def test_a_part_that_finds_other_rows_is_refused(fit: FitStack) -> None:
    path = fit().export(neighbors=True)
    golden = golden_rows.unpack((path / GOLDEN).read_bytes())
    assert golden.neighbors is not None
    golden.neighbors.rows[3, 0] += 1
    (path / GOLDEN).write_bytes(golden_rows.pack(golden))
    reseal(path)
    with pytest.raises(ParityError, match="other nearest training rows than the original for golden row 3"):
        verified_search(open_bundle(path), threads=1)
    (path / GOLDEN).write_bytes(golden_rows.pack(replace(golden, neighbors=None)))
    reseal(path)
    with pytest.raises(BundleError, match="of another model than the manifest"):
        open_bundle(path)


def test_only_rows_that_are_equally_far_may_change_places() -> None:
    def found(rows: list[int], distances: list[float]) -> FoundNeighbors:
        return FoundNeighbors(np.array([rows]), np.array([distances]), np.array([[row % 2 for row in rows]]))

    expected = found([4, 7, 9, 1], [1.0, 2.0, 2.0, 3.0])
    assert differing_row(found([4, 9, 7, 1], [1.0, 2.0, 2.0, 3.0]), expected) is None
    assert differing_row(found([4, 7, 9, 2], [1.0, 2.0, 2.0, 3.0]), expected) is None
    assert differing_row(found([7, 4, 9, 1], [1.0, 2.0, 2.0, 3.0]), expected) == 0
    assert differing_row(found([4, 7, 9, 1], [1.0, 2.0, 2.0, 3.1]), expected) == 0
