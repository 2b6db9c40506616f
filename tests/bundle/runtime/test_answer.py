"""What can be an answer, and what a graph may not pass off as one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle.reseal import change_graph
from onnx import ModelProto, helper, numpy_helper
from server.bundles.tiny import TinyStack, write_tiny

from genrestack_bundle import (
    Answer,
    BundleError,
    ComposedSession,
    WrongAnswerError,
    open_bundle,
    verify_answer,
    verify_parity,
)


def _answer(rows: int, classes: int) -> Answer:
    table = np.random.default_rng(rows).random((rows, classes)).astype(np.float32)
    table /= table.sum(axis=1, keepdims=True)
    return Answer(table.argmax(axis=1), table, {"left": table, "right": 7 * table})


def _with(table: Any, row: int, values: Any) -> Any:
    changed = table.copy()
    changed[row] = values
    return changed


@pytest.mark.parametrize("classes", [2, 3, 500])
@pytest.mark.parametrize("rows", [0, 1, 2, 64])
def test_an_answer_is_one(rows: int, classes: int) -> None:
    assert verify_answer(_answer(rows, classes), rows, classes) is True


WRONG: dict[str, tuple[Any, str]] = {
    "a row too few": (lambda a: replace(a, probabilities=a.probabilities[1:]), "output probabilities has the shape"),
    "a row too many": (lambda a: replace(a, class_index=np.append(a.class_index, 0)), "class_index has the shape"),
    "a class too few": (lambda a: replace(a, probabilities=a.probabilities[:, 1:]), "probabilities has the shape"),
    "doubles": (lambda a: replace(a, probabilities=a.probabilities.astype(float)), "the type float64, expected"),
    "short index": (lambda a: replace(a, class_index=a.class_index.astype(np.int32)), "class_index .* type int32"),
    "index of two dimensions": (lambda a: replace(a, class_index=a.class_index[:, None]), "class_index has the shape"),
    "base of one row": (lambda a: replace(a, base={"left": a.probabilities[:1, :2]}), "probabilities.left has the"),
    "base of halves": (lambda a: replace(a, base={"left": a.probabilities.astype("f2")}), "left .* type float16"),
    "no such class": (lambda a: replace(a, class_index=_with(a.class_index, -1, 3)), "class_index holds 3, expected"),
    "index of -1": (lambda a: replace(a, class_index=_with(a.class_index, -1, -1)), "class_index holds -1, expected"),
    "sum of 2": (lambda a: replace(a, probabilities=_with(a.probabilities, -1, [1, 1, 0])), "with a sum of 2 in row"),
    "sum of 0": (lambda a: replace(a, probabilities=_with(a.probabilities, -1, 0)), "with a sum of 0 in row"),
    "negative": (lambda a: replace(a, probabilities=_with(a.probabilities, -1, [1.5, -0.5, 0])), "from -0.5 to 1.5"),
}


@pytest.mark.parametrize("rows", [1, 2, 64])
@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_an_answer_is_refused(case: str, rows: int) -> None:
    spoil, complaint = WRONG[case]
    if case == "base of one row" and rows == 1:
        complaint = r"shape \(1, 2\)"
    with pytest.raises(WrongAnswerError, match=complaint):
        verify_answer(spoil(_answer(rows, 3)), rows, 3)


@pytest.mark.parametrize("rows", [1, 2, 64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, [np.inf, -np.inf, 0]])
def test_rows_without_a_finite_answer_are_for_the_caller_to_refuse(rows: int, value: Any) -> None:
    answer = _answer(rows, 3)
    answer = replace(answer, probabilities=_with(answer.probabilities, 0, value))
    assert verify_answer(answer, rows, 3) is False
    if rows > 1:
        wrong = replace(answer, probabilities=_with(answer.probabilities, 1, 0.5))
        with pytest.raises(WrongAnswerError, match="in row 1"):
            verify_answer(wrong, rows, 3)


@pytest.mark.parametrize(
    ("operator", "output", "array", "complaint"),
    [
        ("Sub", "class_index", np.int64(9), r"output class_index holds -\d"),
        ("Add", "class_index", np.int64(9), r"output class_index holds \d\d"),
        ("Mul", "probabilities", np.float64(3), r"with a sum of 3"),
        ("Tile", "probabilities", np.array([1, 2]), r"output probabilities has the shape \(20, 6\)"),
        ("Tile", "class_index", np.array([2]), r"output class_index has the shape \(40,\)"),
    ],
)
def test_a_version_whose_golden_rows_show_it_is_refused(
    tmp_path: Path, operator: str, output: str, array: Any, complaint: str
) -> None:
    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = ["was" if name == output else name for name in node.output]
            node.input[:] = ["was" if name == output else name for name in node.input]
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), "array"))
        model.graph.node.append(helper.make_node(operator, ["was", "array"], [output]))

    folder = write_tiny(tmp_path, "tiny", TinyStack.draw())
    change_graph(folder, "meta.onnx", change)
    bundle = open_bundle(folder)
    with pytest.raises(BundleError, match=f"tiny/1 gives a wrong answer to its golden rows: .*{complaint}.*; export"):
        verify_parity(
            ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1), bundle
        )
