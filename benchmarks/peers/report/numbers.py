"""How the figures are written."""

from benchmarks.peers.measuring.results import Measure, Values


def written(measure: Measure, values: Values) -> str:
    """Write a figure with its unit; a dash where there is none."""
    if measure.key not in values:
        return "–"
    unit = f" {measure.unit}" if measure.unit else ""
    return f"{number(values[measure.key])}{unit}"


def number(value: float) -> str:
    """Write a number in about three digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:.1e}" if abs(value) < 1e-2 else f"{value:.3g}"
