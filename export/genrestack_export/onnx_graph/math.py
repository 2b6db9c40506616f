"""Functions that ONNX has no operator for, in float64, as exact as the ones that numpy and SciPy have."""

import numpy as np
import numpy.typing as npt

from genrestack_export.onnx_graph.builder import GraphBuilder

# Wichura, M.J. (1988), "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37
# (3), pp. 477-484, doi:10.2307/2347330, routine PPND16: relative error about 1e-16. One row a polynomial, highest power
# first: numerator and denominator of the middle, numerator and denominator of the tails.
_MIDDLE_REACH, _MIDDLE_SHIFT, _TAIL_SHIFT = 0.425, 0.180625, 1.6
_PPND16 = np.array(
    [
        [
            2.509080928730122672700e3,
            3.343057558358812810500e4,
            6.726577092700870085300e4,
            4.592195393154987145700e4,
            1.373169376550946112500e4,
            1.971590950306551442700e3,
            1.331416678917843774500e2,
            3.387132872796366608000e0,
        ],
        [
            5.226495278852854561000e3,
            2.872908573572194267400e4,
            3.930789580009271061000e4,
            2.121379430158659586700e4,
            5.394196021424751107700e3,
            6.871870074920579083000e2,
            4.231333070160091125200e1,
            1.0,
        ],
        [
            7.74545014278341407640e-4,
            2.27238449892691845833e-2,
            2.41780725177450611770e-1,
            1.27045825245236838258e0,
            3.64784832476320460504e0,
            5.76949722146069140550e0,
            4.63033784615654529590e0,
            1.42343711074968357734e0,
        ],
        [
            1.05075007164441684324e-9,
            5.47593808499534494600e-4,
            1.51986665636164571966e-2,
            1.48103976427480074590e-1,
            6.89767334985100004550e-1,
            1.67638483018380384940e0,
            2.05319162663775882187e0,
            1.0,
        ],
    ]
)
# exp(-5²): below it the paper has a third pair of polynomials, which a clipped probability never needs.
PPND16_LEAST = float(np.exp(-25.0))


def log1p(g: GraphBuilder, value: str) -> str:
    """Add log(1 + x) for float64 x ≥ 0, exact where 1 + x is rounded.

    With u = fl(1 + x), log(u)·x/(u − 1) undoes the rounding: Kahan, W. (1987), "Branch cuts for complex elementary
    functions", in The State of the Art in Numerical Analysis; Higham, N.J. (2002), Accuracy and Stability of Numerical
    Algorithms, 2nd ed., section 1.14.1.
    """
    one = g.scalar(1, np.float64)
    u = g.node("Add", one, value)
    lost = g.node("Equal", u, one)
    divisor = g.node("Where", lost, one, g.node("Sub", u, one))
    return g.node("Where", lost, value, g.node("Mul", g.node("Log", u), g.node("Div", value, divisor)))


def expm1(g: GraphBuilder, value: str) -> str:
    """Add exp(x) − 1 for any float64 x, exact near zero; by the sources of `log1p`: (u − 1)·x/log(u), u = exp(x)."""
    one = g.scalar(1, np.float64)
    far = g.node("Greater", g.node("Abs", value), one)
    near = g.node("Clip", value, g.scalar(-1, np.float64), one)
    u = g.node("Exp", near)
    lost = g.node("Equal", u, one)
    divisor = g.node("Where", lost, one, g.node("Log", u))
    corrected = g.node("Mul", g.node("Sub", u, one), g.node("Div", near, divisor))
    return g.node("Where", far, g.node("Sub", g.node("Exp", value), one), g.node("Where", lost, near, corrected))


def normal_quantile(g: GraphBuilder, probability: str) -> str:
    """Add the inverse of the standard normal distribution, float64 (n, f) → (n, f), by AS 241.

    Probabilities must lie between `PPND16_LEAST` and 1 − `PPND16_LEAST`. The four polynomials are of one degree and are
    evaluated together, so that a single row costs few nodes.
    """
    one, half = g.scalar(1, np.float64), g.scalar(0.5, np.float64)
    q = g.node("Sub", probability, half)
    tail = g.node("Min", probability, g.node("Sub", one, probability))
    inner = g.node("Sub", g.scalar(_MIDDLE_SHIFT, np.float64), g.node("Mul", q, q))
    outer = g.node("Sub", g.node("Sqrt", g.node("Neg", g.node("Log", tail))), g.scalar(_TAIL_SHIFT, np.float64))
    first = g.constant([0], np.int64)
    arguments = [g.node("Unsqueeze", value, first) for value in (inner, inner, outer, outer)]
    values = _polynomials(g, g.node("Concat", *arguments, axis=0), _PPND16)
    top, bottom, tail_top, tail_bottom = (
        g.node("Squeeze", value, first) for value in g.nodes("Split", values, outputs=4, axis=0, num_outputs=4)
    )
    middle = g.node("Div", g.node("Mul", top, q), bottom)
    end = g.node("Mul", g.node("Sign", q), g.node("Div", tail_top, tail_bottom))
    within = g.node("LessOrEqual", g.node("Abs", q), g.scalar(_MIDDLE_REACH, np.float64))
    return g.node("Where", within, middle, end)


def _polynomials(g: GraphBuilder, argument: str, coefficients: npt.NDArray[np.float64]) -> str:
    """Evaluate a polynomial a leading index by Horner's rule: (p, n, f) → (p, n, f)."""
    columns = [g.constant(column[:, None, None], np.float64) for column in coefficients.T]
    value = g.node("Add", g.node("Mul", argument, columns[0]), columns[1])
    for column in columns[2:]:
        value = g.node("Add", g.node("Mul", argument, value), column)
    return value
