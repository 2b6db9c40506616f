"""Platt scaling and pairwise coupling: from the decisions of all pairs to class probabilities, as libsvm computes them.

[Wu, Lin, Weng: Probability Estimates for Multi-class Classification by Pairwise Coupling, JMLR 5 (2004), algorithm 2.]

onnxruntime's own port of libsvm does it quickly, in float32. libsvm stops iterating once an error falls below a
threshold, well before it has converged, so float32 can stop one step sooner or later than float64 where that error is
close to the threshold, and the probabilities then differ by up to 5e-3. Such rows give themselves away: when the
decisions are moved a little, the answer jumps. They are computed again, in float64, by the same iteration.
"""

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt

from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, GraphBuilder

Vector = npt.NDArray[np.float64]

# How far the sigmoid's argument is moved: ten times what float32 moves the error that is compared with the threshold.
_NUDGE = 2e-6
# The answer moves by less than the nudge where nothing jumps, and by more than this where something does.
_JUMP = 5e-6
# libsvm keeps pairwise probabilities this far from zero and one, and gives up after this many steps.
_MIN_PROBABILITY = 1e-7
_MAX_STEPS = 100


def couple(g: GraphBuilder, decisions: str, slopes: Vector, offsets: Vector, *, exact: bool) -> str:
    """Add the coupling: decisions, float64 (n, pairs) → probabilities, float64 (n, k).

    Args:
        g: the graph to add to.
        decisions: of the pairs (0, 1), (0, 2), …, (1, 2), …; positive speaks for a pair's first class.
        slopes: libsvm's probA, one a pair: the pair's probability is 1 / (1 + exp(slope·decision + offset)).
        offsets: libsvm's probB, one a pair.
        exact: find the rows on which float32 may stop at another step, and compute them again.

    """
    if not exact:
        return g.cast(_quick(g, decisions, slopes, offsets), DOUBLE)
    moves = _moves(slopes)
    three = g.node(
        "Concat",
        decisions,
        g.node("Add", decisions, g.constant(moves, np.float64)),
        g.node("Sub", decisions, g.constant(moves, np.float64)),
        axis=0,
    )
    answers = g.nodes("Split", _quick(g, three, slopes, offsets), outputs=3, axis=0, num_outputs=3)
    shifts = [g.node("Abs", g.node("Sub", answers[0], other)) for other in answers[1:]]
    largest = g.node("ReduceMax", g.node("Max", *shifts), g.constant([1], np.int64), keepdims=0)
    # Not "doubtful = shift > jump": a NaN has to count as doubtful.
    doubtful = g.node("Not", g.node("LessOrEqual", largest, g.scalar(_JUMP, np.float32)))
    return _mend(g, decisions, g.cast(answers[0], DOUBLE), doubtful, slopes, offsets)


def _classes(slopes: Vector) -> int:
    return (1 + math.isqrt(1 + 8 * len(slopes))) // 2


def _moves(slopes: Vector) -> Vector:
    """How far each decision is moved: up for some and down for others, lest all together leave the error alone."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], len(slopes))
    with np.errstate(divide="ignore"):
        moves = np.where(slopes == 0, 0.0, signs * _NUDGE / np.abs(slopes))
    return moves[None]


def _quick(g: GraphBuilder, decisions: str, slopes: Vector, offsets: Vector) -> str:
    """Couple by an `SVMClassifier` that hands its inputs on, in float32.

    Its kernel is linear and its "support vectors" are the unit vectors of the pairs, with the coefficient 1 for the
    first class and 0 for the second, so that its decisions are its inputs and only the coupling is left to do.
    """
    k = _classes(slopes)
    pairs = list(combinations(range(k), 2))
    coefficients = np.zeros((k - 1, len(pairs)), dtype=np.float32)
    for pair, (_, j) in enumerate(pairs):
        coefficients[j - 1, pair] = 1
    _, probabilities = g.nodes(
        "SVMClassifier",
        g.cast(decisions, FLOAT),
        outputs=2,
        domain="ai.onnx.ml",
        classlabels_ints=list(range(k)),
        coefficients=coefficients.ravel().tolist(),
        kernel_params=[0.0, 0.0, 0.0],
        kernel_type="LINEAR",
        post_transform="NONE",
        prob_a=slopes.astype(np.float32).tolist(),
        prob_b=offsets.astype(np.float32).tolist(),
        rho=[0.0] * len(pairs),
        support_vectors=np.eye(len(pairs), dtype=np.float32).ravel().tolist(),
        vectors_per_class=[k - 1 - i for i in range(k)],
    )
    return probabilities


def _mend(g: GraphBuilder, decisions: str, quick: str, doubtful: str, slopes: Vector, offsets: Vector) -> str:
    any_doubtful = g.node("ReduceMax", g.cast(doubtful, FLOAT), keepdims=0)
    then = GraphBuilder("exact_")
    where = then.node("Transpose", then.node("NonZero", doubtful))
    again = _iterate(then, then.node("GatherND", decisions, where), slopes, offsets)
    then.name_output(then.node("ScatterND", quick, where, again), "exact_where_needed")
    otherwise = GraphBuilder("quick_")
    otherwise.name_output(quick, "quick_kept")
    shape: list[str | int] = ["rows", _classes(slopes)]
    return g.node(
        "If",
        g.cast(any_doubtful, 9),
        then_branch=then.graph("again", {}, {"exact_where_needed": (DOUBLE, shape)}),
        else_branch=otherwise.graph("keep", {}, {"quick_kept": (DOUBLE, shape)}),
    )


def _iterate(g: GraphBuilder, decisions: str, slopes: Vector, offsets: Vector) -> str:
    """Couple in float64: minimise pᵀQp over the simplex, one class after the other, until libsvm would stop."""
    k = _classes(slopes)
    q, diagonal = _quadratic(g, _pairwise(g, decisions, slopes, offsets), k)
    rows_of_q = [g.node("Gather", q, g.scalar(t, np.int64), axis=1) for t in range(k)]
    diagonals = [g.node("Gather", diagonal, g.constant([t], np.int64), axis=1) for t in range(k)]
    start = g.node("Add", g.node("Mul", diagonal, g.scalar(0, np.float64)), g.scalar(1 / k, np.float64))
    body = GraphBuilder("step_")
    p, more = _step(body, "step_p", q, rows_of_q, diagonals)
    body.name_output(p, "step_next")
    body.name_output(more, "step_more")
    loop = body.graph(
        "step",
        {"step_number": (7, []), "step_go": (9, []), "step_p": (DOUBLE, ["doubtful", k])},
        {"step_more": (9, []), "step_next": (DOUBLE, ["doubtful", k])},
    )
    return g.node("Loop", g.scalar(max(_MAX_STEPS, k), np.int64), g.scalar(True, np.bool_), start, body=loop)


def _pairwise(g: GraphBuilder, decisions: str, slopes: Vector, offsets: Vector) -> str:
    """Compute each pair's probability for its first class, shape (n, pairs), without overflow on either side."""
    one = g.scalar(1, np.float64)
    scaled = g.node("Mul", decisions, g.constant(slopes[None], np.float64))
    argument = g.node("Add", scaled, g.constant(offsets[None], np.float64))
    small = g.node("Exp", g.node("Neg", g.node("Abs", argument)))
    negative = g.node("Less", argument, g.scalar(0, np.float64))
    sigmoid = g.node("Div", g.node("Where", negative, one, small), g.node("Add", one, small))
    return g.node("Clip", sigmoid, g.scalar(_MIN_PROBABILITY, np.float64), g.scalar(1 - _MIN_PROBABILITY, np.float64))


def _quadratic(g: GraphBuilder, pairwise: str, k: int) -> tuple[str, str]:
    """Compute Q, shape (n, k, k), and its diagonal, (n, k): Q_tt = Σ_j r_jt², Q_tj = −r_jt·r_tj."""
    pairs = list(combinations(range(k), 2))
    first, second = np.zeros((len(pairs), k * k)), np.zeros((len(pairs), k * k))
    for pair, (i, j) in enumerate(pairs):
        first[pair, i * k + j] = second[pair, j * k + i] = 1
    others = g.node("Sub", g.scalar(1, np.float64), pairwise)
    flat = g.node(
        "Add",
        g.node("MatMul", pairwise, g.constant(first, np.float64)),
        g.node("MatMul", others, g.constant(second, np.float64)),
    )
    r = g.node("Reshape", flat, g.constant([-1, k, k], np.int64))
    diagonal = g.reduce_sum(g.node("Mul", r, r), 1, keepdims=False)
    beside = g.node("Neg", g.node("Mul", r, g.node("Transpose", r, perm=[0, 2, 1])))
    spread = g.node("Mul", g.node("Unsqueeze", diagonal, g.constant([2], np.int64)), g.constant(np.eye(k), np.float64))
    return g.node("Add", beside, spread), diagonal


def _step(g: GraphBuilder, p: str, q: str, rows_of_q: list[str], diagonals: list[str]) -> tuple[str, str]:
    """One step of libsvm's iteration; rows whose error is below the threshold stay as they are."""
    k = len(rows_of_q)
    one, last = g.scalar(1, np.float64), g.constant([2], np.int64)
    qp = g.node("Squeeze", g.node("MatMul", q, g.node("Unsqueeze", p, last)), last)
    pqp = g.reduce_sum(g.node("Mul", p, qp), 1)
    error = g.node("Abs", g.node("Sub", qp, pqp))
    largest = g.node("ReduceMax", error, g.constant([1], np.int64), keepdims=1)
    running = g.cast(g.node("GreaterOrEqual", largest, g.scalar(0.005 / k, np.float64)), DOUBLE)
    more = g.cast(g.node("ReduceMax", running, keepdims=0), 9)
    for t in range(k):
        qp_t = g.node("Gather", qp, g.constant([t], np.int64), axis=1)
        change = g.node("Mul", running, g.node("Div", g.node("Sub", pqp, qp_t), diagonals[t]))
        total = g.node("Add", one, change)
        bent = g.node("Add", g.node("Mul", change, diagonals[t]), g.node("Add", qp_t, qp_t))
        pqp = g.node("Div", g.node("Div", g.node("Add", pqp, g.node("Mul", change, bent)), total), total)
        qp = g.node("Div", g.node("Add", qp, g.node("Mul", change, rows_of_q[t])), total)
        unit = g.constant(np.eye(k)[t : t + 1], np.float64)
        p = g.node("Div", g.node("Add", p, g.node("Mul", change, unit)), total)
    return p, more
