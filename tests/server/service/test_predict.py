"""Good requests over a real port: the answers are the model's."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from server.bundles.tiny import BASE, CLASSES, FEATURES, TinyStack, draw_rows
from server.running.live import Running

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse


def check(response: PredictResponse, stack: TinyStack, rows: npt.NDArray[np.float32]) -> None:
    expected = stack.predict_proba(rows)
    assert (response.model, response.version, tuple(response.classes)) == ("tiny", 2, CLASSES)
    np.testing.assert_allclose(from_matrix(response.probabilities), expected, atol=1e-6)
    assert list(response.labels) == [CLASSES[i] for i in expected.argmax(axis=1)]


@pytest.mark.parametrize("as_values", [False, True])
@pytest.mark.parametrize("count", [1, 7])
def test_answers_in_the_form_of_the_question(
    tiny_server: Running, stack: TinyStack, *, as_values: bool, count: int
) -> None:
    rows = draw_rows(count)
    response = tiny_server.stub.Predict(PredictRequest(rows=to_matrix(rows, as_values=as_values)))
    check(response, stack, rows)
    assert bool(response.probabilities.values) is as_values
    assert bool(response.probabilities.raw) is not as_values
    assert not response.base


def test_base_probabilities_come_when_asked_for(tiny_server: Running, stack: TinyStack) -> None:
    rows = draw_rows(5)
    response = tiny_server.stub.Predict(PredictRequest(model="tiny", version=2, rows=to_matrix(rows), base=True))
    check(response, stack, rows)
    assert [part.name for part in response.base] == list(BASE)
    for part in response.base:
        np.testing.assert_allclose(from_matrix(part.probabilities), stack.base(rows)[part.name], atol=1e-6)


def test_names_decide_the_order(tiny_server: Running, stack: TinyStack) -> None:
    rows = draw_rows(4)
    for order in ([3, 1, 0, 2], [0, 1, 2, 3]):
        names = [FEATURES[column] for column in order]
        request = PredictRequest(rows=to_matrix(rows[:, order]), feature_names=names)
        check(tiny_server.stub.Predict(request), stack, rows)


def test_many_callers_each_get_their_own_answer(tiny_server: Running, stack: TinyStack) -> None:
    def ask(seed: int) -> None:
        rows = draw_rows(1 + seed % 5, seed)
        check(tiny_server.stub.Predict(PredictRequest(rows=to_matrix(rows))), stack, rows)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(200)))


def test_a_large_request_is_answered(tiny_server: Running, stack: TinyStack) -> None:
    rows = draw_rows(1000)
    check(tiny_server.stub.Predict(PredictRequest(rows=to_matrix(rows, as_values=True))), stack, rows)
