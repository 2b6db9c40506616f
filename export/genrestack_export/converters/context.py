"""What converters share: the graph of one part, values in it, and the tables of who converts which kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder
from genrestack_export.remedies import refuse_without_probabilities

Make = Callable[[], str]


@dataclass(frozen=True)
class Table:
    """A float64 matrix in the graph, (n, width)."""

    name: str
    width: int


@dataclass(frozen=True)
class Answer:
    """What a classifier answers; each output is added to the graph when it is asked for."""

    classes: int
    probabilities: Make | None = None
    """Float64 (n, classes); None: the original has no `predict_proba`."""
    decision: Make | None = None
    """Float64 (n, 1) or (n, m), as `decision_function`; None: the original has none."""
    index: Make | None = None
    """Column of the predicted class, int64 (n,); None: of the largest probability."""


@dataclass
class Context:
    """One part under construction."""

    g: GraphBuilder
    where: str
    single: bool = False
    """Whether an SVC may compute its kernel in float32."""
    took_single: bool = False
    """Whether one does."""
    tools: set[str] = field(default_factory=lambda: {"genrestack"})
    float32: set[str] = field(default_factory=set)
    """Kinds whose original computes in float64 and whose graph does not."""
    coupled: bool = False
    """Whether pairs of classes are coupled in float32, as onnxruntime does it."""
    network: bool = False
    """Whether there is a network, which computes in float32 in Keras too."""

    def classify(self, estimator: Any, rows: Table) -> Answer:
        """Convert a fitted classifier."""
        return CLASSIFIERS.get(type(estimator), self.fallback)(self, estimator, rows)

    def fallback(self, _: "Context", estimator: Any, rows: Table) -> Answer:
        """Convert a classifier that no table names."""
        for fits, convert in OTHERS:
            if fits(estimator):
                return convert(self, estimator, rows)
        raise self.refuse(type(estimator).__name__, f"a fitted classifier; ours are {names_of(CLASSIFIERS)}")

    def transform(self, transformer: Any, rows: Table) -> Table:
        """Convert a fitted transformer."""
        if transformer is None or transformer == "passthrough":
            return rows
        convert = TRANSFORMERS.get(type(transformer), TRANSFORMERS[object])
        return convert(self, transformer, rows)

    def probabilities(self, estimator: Any, rows: Table) -> str:
        """Convert a fitted classifier to its probabilities.

        Raises:
            UnsupportedEstimator: it has none.

        """
        answer = self.classify(estimator, rows)
        if answer.probabilities is None:
            raise refuse_without_probabilities(self.where, estimator)
        return answer.probabilities()

    def index(self, answer: Answer) -> str:
        """Return the column of the predicted class, int64 (n,)."""
        if answer.index is not None:
            return answer.index()
        if answer.probabilities is None:
            raise self.refuse("a classifier without any answer", "classifiers that predict")
        return self.g.node("ArgMax", answer.probabilities(), axis=1, keepdims=0)

    def columns(self, value: str, chosen: npt.ArrayLike) -> str:
        """Select columns."""
        return self.g.node("Gather", value, self.g.constant(chosen, np.int64), axis=1)

    def number(self, value: float) -> str:
        """Add a float64 constant."""
        return self.g.scalar(value, np.float64)

    def array(self, value: npt.ArrayLike) -> str:
        """Add a float64 constant tensor."""
        return self.g.constant(value, np.float64)

    def one_hot(self, index: str, classes: int) -> str:
        """Return 1 in the column of each index, float64 (n, classes)."""
        return self.g.node("Gather", self.array(np.eye(classes)), index, axis=0)

    def total(self, values: list[str]) -> str:
        """Add values up, from the first to the last, as a loop in Python does."""
        total = values[0]
        for value in values[1:]:
            total = self.g.node("Add", total, value)
        return total

    def beside(self, second: str) -> str:
        """Return [1 − p, p] of a column p."""
        return self.g.node("Concat", self.g.node("Sub", self.number(1), second), second, axis=1)

    def expit(self, value: str) -> str:
        """Return 1 / (1 + exp(−x)), without overflow on either side."""
        g = self.g
        small = g.node("Exp", g.node("Neg", g.node("Abs", value)))
        above = g.node("Where", g.node("Less", value, self.number(0)), small, self.number(1))
        return g.node("Div", above, g.node("Add", self.number(1), small))

    def shares(self, columns: str, otherwise: float) -> str:
        """Divide each row by its sum; where that is zero, every column is `otherwise`."""
        g = self.g
        total = g.reduce_sum(columns, 1)
        zero = g.node("Equal", total, self.number(0))
        divided = g.node("Div", columns, g.node("Where", zero, self.number(1), total))
        return g.node("Where", zero, self.number(otherwise), divided)

    def above(self, column: str, threshold: float) -> str:
        """Return 1 where a column (n, 1) is greater, else 0: int64 (n,)."""
        flags = self.g.node("Greater", column, self.number(threshold))
        return self.g.node("Squeeze", self.g.cast(flags, 7), self.g.constant([1], np.int64))

    def embed(self, graph: Any, wires: dict[str, str]) -> str:
        """Add another graph; return its only output."""
        (output,) = self.g.absorb(graph, wires)
        return output

    def refuse(self, found: str, supported: str) -> UnsupportedEstimator:
        """Return the error that names what was found."""
        return UnsupportedEstimator(self.where, found, supported)


ConvertClassifier = Callable[[Context, Any, Table], Answer]
ConvertTransformer = Callable[[Context, Any, Table], Table]

CLASSIFIERS: dict[type, ConvertClassifier] = {}
OTHERS: list[tuple[Callable[[Any], bool], ConvertClassifier]] = []
"""Asked in order where the table has no entry."""
TRANSFORMERS: dict[type, ConvertTransformer] = {}
"""`object` stands for all that are not named."""


def lazy(make: Make) -> Make:
    """Add the nodes at most once."""
    return cache(make)


def names_of(kinds: dict[type, Any]) -> str:
    """List classes for people."""
    return ", ".join(sorted({kind.__name__ for kind in kinds if kind is not object}))


def as_double(g: GraphBuilder, value: str) -> str:
    """Convert to float64."""
    return g.cast(value, DOUBLE)
