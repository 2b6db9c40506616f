"""Every scaler's graph against the scaler itself, on drawn tables and far beyond them."""

import warnings
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from export.conftest import Case, FitStack, draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

from genrestack_bundle.runtime.compose import FEATURES, SCALED
from genrestack_export import ExportError, UnsupportedEstimator
from genrestack_export.converters.parts import convert_scaler
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder
from genrestack_export.onnx_graph.math import PPND16_LEAST, expm1, log1p, normal_quantile

Rows = npt.NDArray[np.float64]

QUICK = settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))

SCALERS = {
    "minmax": MinMaxScaler,
    "standard": StandardScaler,
    "robust": RobustScaler,
    "power": PowerTransformer,
    "power, not standardized": lambda: PowerTransformer(standardize=False),
    "uniform": QuantileTransformer,
    "normal": lambda: QuantileTransformer(output_distribution="normal"),
    "normal, few": lambda: QuantileTransformer(output_distribution="normal", n_quantiles=7),
}


@st.composite
def columns(draw: st.DrawFn) -> Rows:
    """Columns of very different shapes: normal, skewed, tiny, huge, on a grid, constant, two values, heavy tails."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(2, 150))
    kinds = draw(
        st.lists(
            st.sampled_from(
                ["normal", "skewed", "left", "tiny", "huge", "grid", "constant", "binary", "tails", "near"]
            ),
            min_size=1,
            max_size=6,
        )
    )
    made: dict[str, Any] = {
        "normal": lambda: rng.normal(size=n),
        "skewed": lambda: rng.lognormal(sigma=1.5, size=n),
        "left": lambda: -rng.lognormal(size=n),
        "tiny": lambda: rng.normal(size=n) * 1e-9,
        "huge": lambda: rng.normal(size=n) * 1e6 + 1e6,
        "grid": lambda: np.round(rng.normal(size=n)),
        "constant": lambda: np.full(n, rng.normal()),
        "binary": lambda: rng.integers(0, 2, n).astype(float),
        "tails": lambda: rng.standard_cauchy(size=n),
        "near": lambda: 1e-4 + rng.random(n) * 1e-7,
    }
    return np.column_stack([made[kind]() for kind in kinds])


def rows_to_ask(training: Rows, seed: int) -> npt.NDArray[np.float32]:
    """Training rows, rows between and beyond them, and the ends of each column."""
    rng = np.random.default_rng(seed)
    low, high = training.min(axis=0), training.max(axis=0)
    around = low + (high - low) * rng.uniform(-0.5, 1.5, (40, training.shape[1]))
    return np.vstack([training, around, low[None], high[None], np.zeros((1, len(low)))]).astype(np.float32)


def graph_answer(scaler: Any, rows: npt.NDArray[np.float32]) -> Rows:
    session = ort.InferenceSession(convert_scaler(scaler).model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([SCALED], {FEATURES: rows})[0])


def hold(kind: str, training: Rows) -> None:
    scaler = SCALERS[kind]()
    with warnings.catch_warnings():
        # A constant column, or fewer rows than quantiles.
        warnings.simplefilter("ignore")
        scaler.fit(training)
    rows = rows_to_ask(training, seed=5)
    with np.errstate(all="ignore"):
        expected = scaler.transform(rows.astype(np.float64))
    # An overflow of the power transform: no base estimator of scikit-learn takes such a row.
    finite = np.isfinite(expected).all(axis=1)
    answer = graph_answer(scaler, rows[finite])
    # What standardizing divides by magnifies the last digit of what it divides.
    inner = getattr(scaler, "_scaler", None)
    magnified = 1.0 if inner is None else np.maximum(1.0, np.abs(inner.mean_) / inner.scale_)
    limit = 1e-12 * np.maximum(np.abs(expected[finite]), magnified)
    assert (np.abs(answer - expected[finite]) <= limit).all()


@pytest.mark.parametrize("kind", sorted(SCALERS))
def test_as_scikit_learn_transforms(kind: str) -> None:
    @QUICK
    @given(columns())
    def check(training: Rows) -> None:
        hold(kind, training)

    check()


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(SCALERS))
def test_as_scikit_learn_transforms_long(kind: str) -> None:
    @LONG
    @given(columns())
    def check(training: Rows) -> None:
        hold(kind, training)

    check()


def test_uniform_quantiles_are_equal_to_the_last_bit() -> None:
    training = np.random.default_rng(1).lognormal(size=(3000, 5))
    training[:, 1] = np.round(training[:, 1])
    scaler = QuantileTransformer().fit(training)
    rows = rows_to_ask(training, seed=2)
    np.testing.assert_array_equal(graph_answer(scaler, rows), scaler.transform(rows.astype(np.float64)))


def test_normal_quantiles_end_where_scikit_learn_ends() -> None:
    training = np.random.default_rng(1).normal(size=(500, 3))
    scaler = QuantileTransformer(output_distribution="normal", n_quantiles=100).fit(training)
    rows = np.array([[-1e30, 0.0, 1e30], [1e30, -1e30, 0.0]], dtype=np.float32)
    answer, expected = graph_answer(scaler, rows), scaler.transform(rows.astype(np.float64))
    np.testing.assert_array_equal(answer[np.abs(rows) > 1], expected[np.abs(rows) > 1])
    assert np.abs(answer).max() < 5.2


@pytest.mark.parametrize("lambdas", [[0.0, 2.0], [1e-17, 2 - 1e-17], [1e-15, 2 + 1e-15], [-3.0, 5.0], [1.0, -311.5]])
def test_power_at_the_bends_of_its_formula(lambdas: list[float]) -> None:
    scaler = PowerTransformer(standardize=False).fit(np.random.default_rng(0).normal(size=(50, 2)))
    scaler.lambdas_ = np.array(lambdas)
    values = np.concatenate([-np.logspace(-12, 1, 200), [0.0, -0.0], np.logspace(-12, 1, 200)])
    rows = np.column_stack([values, values]).astype(np.float32)
    with np.errstate(over="ignore"):
        expected = scaler.transform(rows.astype(np.float64))
    finite = np.isfinite(expected).all(axis=1)
    np.testing.assert_allclose(graph_answer(scaler, rows[finite]), expected[finite], rtol=5e-13, atol=0)


def _run(function: Any, values: Rows) -> Rows:
    g = GraphBuilder()
    g.name_output(function(g, "x"), "y")
    model = g.model("function", {"x": (DOUBLE, ["n", "f"])}, {"y": (DOUBLE, ["n", "f"])})
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": values[:, None]})[0])[:, 0]


def test_log1p_and_expm1_keep_small_numbers() -> None:
    sizes = np.concatenate([[0.0], np.logspace(-300, 2, 5000)])
    np.testing.assert_allclose(_run(log1p, sizes), np.log1p(sizes), rtol=1e-15)
    values = np.concatenate([-sizes, sizes, [700.0, -700.0, -1e6]])
    np.testing.assert_allclose(_run(expm1, values), np.expm1(values), rtol=1e-15)


def test_normal_quantile_is_that_of_scipy_and_of_python() -> None:
    ends = np.logspace(np.log10(PPND16_LEAST), np.log10(0.4), 3000)
    values = np.concatenate([ends, np.linspace(0.001, 0.999, 3000), 1 - ends, [0.5, 0.075, 0.925]])
    answer = _run(normal_quantile, values)
    np.testing.assert_allclose(answer, special.ndtri(values), rtol=2e-15, atol=1e-16)
    python = [NormalDist().inv_cdf(p) for p in values]
    np.testing.assert_allclose(answer, python, rtol=2e-15, atol=1e-16)


def test_box_cox_is_refused() -> None:
    scaler = PowerTransformer(method="box-cox").fit(np.random.default_rng(0).lognormal(size=(50, 2)))
    with pytest.raises(UnsupportedEstimator, match=r"PowerTransformer\(method='box-cox'\).*yeo-johnson"):
        convert_scaler(scaler)


def _overflowing(case: Case) -> Case:
    """Refit the case behind a power transform that overflows beyond its training rows."""
    case.training[:, 0] = -np.abs(case.training[:, 0]) * 1e-3
    case.rows[:, 0] = case.training[:30, 0]
    case.scaler = PowerTransformer().fit(case.training)
    case.scaler.lambdas_[0] = -800.0
    case.stack.fit(case.scaler.transform(case.training), draw(90, seed=1)[1])
    return case


def test_rows_that_overflow_have_no_answer_to_compare(fit: FitStack) -> None:
    case = _overflowing(fit())
    case.export(training_rows=case.training)
    case.rows[7, 0] = -3.0
    with pytest.raises(ExportError, match=r"^reference row 7: the scaler overflows.*pass rows like those"):
        case.export(training_rows=case.training)
