"""An exported stack behind a real port answers what the original answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from server.running.live import Running, running_server
from support.samples.stacks import FittedStack

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, PredictRequest


@pytest.fixture(scope="module")
def digits(models_dir: Path) -> Iterator[Running]:
    with running_server(models_dir) as running:
        yield running


@pytest.mark.parametrize("count", [1, 3, 200])
def test_answers_what_the_original_answers(digits: Running, small_stack: FittedStack, count: int) -> None:
    rows = small_stack.rows[:count].astype(np.float32)
    request = PredictRequest(model="digits", rows=to_matrix(rows), feature_names=small_stack.feature_names, base=True)
    response = digits.stub.Predict(request)
    expected = small_stack.probabilities(rows)
    np.testing.assert_allclose(from_matrix(response.probabilities), expected, atol=5e-4)
    assert list(response.labels) == [small_stack.classes[i] for i in expected.argmax(axis=1)]
    scaled = small_stack.scaler.transform(rows.astype(np.float64))
    for part, estimator in zip(response.base, small_stack.stack.estimators_, strict=True):
        np.testing.assert_allclose(from_matrix(part.probabilities), estimator.predict_proba(scaled), atol=5e-4)


def test_the_answer_does_not_depend_on_the_batch(digits: Running, small_stack: FittedStack) -> None:
    rows = small_stack.rows[:40].astype(np.float32)
    whole = from_matrix(digits.stub.Predict(PredictRequest(rows=to_matrix(rows))).probabilities)
    single = (PredictRequest(rows=to_matrix(row[None])) for row in rows)
    apart = [from_matrix(answer.response.probabilities) for answer in digits.stub.PredictStream(single)]
    np.testing.assert_allclose(np.vstack(apart), whole, atol=1e-6)


def test_the_answer_does_not_depend_on_who_else_asks(digits: Running, small_stack: FittedStack) -> None:
    rows = small_stack.rows[:300].astype(np.float32)
    cuts = np.cumsum([1, 2, 1, 7, 1, 30, 1, 1, 70, 3] * 2)
    parts = [part for part in np.split(rows, cuts) if len(part)]
    alone = [from_matrix(digits.stub.Predict(PredictRequest(rows=to_matrix(part))).probabilities) for part in parts]
    calls = [digits.stub.Predict.future(PredictRequest(rows=to_matrix(part))) for part in parts]
    for call, expected in zip(calls, alone, strict=True):
        np.testing.assert_allclose(from_matrix(call.result().probabilities), expected, rtol=0, atol=1e-6)


def test_metadata_shows_figures_parity_and_features(digits: Running, small_stack: FittedStack) -> None:
    model = digits.stub.GetModel(GetModelRequest(model="digits")).model
    assert model.metrics["accuracy"] == 0.9
    assert tuple(feature.name for feature in model.features) == small_stack.feature_names
    assert 0 < model.runtime.parity.max_abs_difference <= model.runtime.parity.tolerance
