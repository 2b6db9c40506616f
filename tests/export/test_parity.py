"""No bundle without parity: rows on which the graphs and the original disagree."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from export.conftest import Case, FitStack, knn
from sklearn.ensemble import StackingClassifier

from genrestack_bundle import ComposedSession, open_bundle, verify_parity
from genrestack_export import ExportError, ParityError
from genrestack_export.parity.comparison import ExpectedOutputs, check_parity


def _refused(case: Case, expected_message: str, **changes: Any) -> None:
    with pytest.raises(ExportError, match=expected_message):
        case.export(**changes)
    assert not case.models_dir.exists()


def _verify(path: Any) -> None:
    bundle = open_bundle(path)
    verify_parity(ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1), bundle)


class OffByALittle(StackingClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """Answers something else than its parts say."""

    def predict_proba(self, X: Any) -> Any:
        proba = super().predict_proba(X)
        proba[2] = np.roll(proba[2], 1)
        return proba


class AnotherLabel(StackingClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """Says another label than its probabilities do."""

    def predict(self, X: Any, **options: Any) -> Any:
        labels = super().predict(X, **options)
        labels[4] = "jazz" if labels[4] != "jazz" else "blues"
        return labels


def _parity_failure(case: Case, expected_message: str, **options: Any) -> str:
    with pytest.raises(ParityError, match=expected_message) as refused:
        case.export(**options)
    assert not case.models_dir.exists()
    return str(refused.value)


def test_disagreement_is_no_bundle(fit: FitStack) -> None:
    message = _parity_failure(
        fit(stacking=OffByALittle), r"Worst is reference row 2 \(\|Δp\| [0-9.e-]+\); parts beyond .*: none"
    )
    assert "No bundle was written" in message
    assert "double" not in message


def test_another_label_is_no_bundle(fit: FitStack) -> None:
    message = _parity_failure(
        fit(stacking=AnotherLabel), r"Worst is reference row 4 .*where the original says class \d and the graph \d"
    )
    assert re.search(r"labels (\d+) of (\d+)", message)


def test_worst_row_may_be_a_copy(fit: FitStack) -> None:
    class OffAtTheEnd(StackingClassifier):  # type: ignore[misc]  # scikit-learn has no types
        def predict_proba(self, X: Any) -> Any:
            proba = super().predict_proba(X)
            proba[-1] = np.roll(proba[-1], 1)
            return proba

    case = fit(stacking=OffAtTheEnd)
    _parity_failure(case, r"Worst is synthetic row 23 ")
    _parity_failure(case, r"Worst is copied training row 23 ", training_rows=case.training)


@pytest.mark.parametrize("single", [True, False])
def test_double_is_named_where_it_would_help(small: Case, single: bool) -> None:
    """That is where a part computes in float32 and the original does not."""
    bundle = open_bundle(small.export())
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
    golden = replace(bundle.golden, probabilities=bundle.golden.probabilities + 0.01)
    expected = ExpectedOutputs(golden, [f"row {i}" for i in range(len(golden.rows))], ties=0)
    with pytest.raises(ParityError) as refused:
        check_parity(session, expected, {"stack": 5e-4, "first": 5e-4}, single=single)
    assert ('Try precision="double"' in str(refused.value)) is single


def test_ties_are_counted_and_left_out(fit: FitStack) -> None:
    """On a grid, the second neighbour is as near as the third and of another class."""
    case = fit(knn(n_neighbors=2))
    values = np.array([[float(i), 0, 0, 0] for i in range(30)])
    labels = np.array(["a", "b", "c"])[np.arange(30) % 3]
    case.stack.fit(values, labels)
    path = case.export(scaler=None, reference_rows=[[5.0, 0, 0, 0], [6.25, 0, 0, 0]])
    parity = open_bundle(path).model.parity
    assert parity.ties >= 1
    assert parity.rows == parity.labels_agreed == 26 - parity.ties


def test_nothing_but_ties_is_no_proof(fit: FitStack) -> None:
    case = fit(knn(n_neighbors=1))
    case.stack.fit(np.tile([[0.0, 0, 0, 0], [1, 0, 0, 0]], (9, 1)), np.array(["a", "b", "c"] * 6))
    _refused(case, "a KNN ties on every reference row", scaler=None, reference_rows=np.zeros((2, 4)))


@pytest.mark.parametrize("scaled", [True, False])
def test_one_reference_row(small: Case, scaled: bool) -> None:
    path = small.export(reference_rows=small.rows[:1], **({} if scaled else {"scaler": None}))
    bundle = open_bundle(path)
    assert any(np.array_equal(row, small.rows[0].astype(np.float32)) for row in bundle.golden.rows)


def test_one_reference_row_with_a_raw_network(fit: FitStack) -> None:
    """scikeras answers a single row in one dimension, on which the stack it is part of fails."""
    pytest.importorskip("tensorflow")
    from support.samples.drawn import make_network

    network = make_network(hidden=(4,), activation="relu", normalise=False, sigmoid=False, classes=3, seed=0)
    case = fit(network.set_params(epochs=1))
    path = case.export(reference_rows=case.rows[:1])
    _verify(path)
    part = open_bundle(path).model.parts[1]
    assert part.estimator.endswith(".KerasClassifier")
