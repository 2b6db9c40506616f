"""What a benchmark says: a measured value, what it is compared with, and what it should reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Baseline:
    """What a figure is compared with, measured in the same run."""

    name: str
    value: float
    """In the unit of the figure."""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    baseline: Baseline | None
    ratio: float | None
    """How many times quicker, or how many times as much, than the baseline; the target says which."""
    target: str
    """Empty where nothing is asked."""
    met: bool | None
    """None where nothing is asked."""
    note: str = ""


def quicker(name: str, value: float, baseline: Baseline, *, least: float | None = None, note: str = "") -> Figure:
    """Make the figure of a time in ms that should be at least `least` times shorter than the baseline's."""
    ratio = baseline.value / value
    target = "" if least is None else f"≥ {least:g}× quicker"
    return Figure(name, value, "ms", baseline, ratio, target, None if least is None else ratio >= least, note)


def slower(name: str, value: float, baseline: Baseline, *, most: float | None = None, note: str = "") -> Figure:
    """Make the figure of a time in ms that should be at most `most` times the baseline's."""
    ratio = value / baseline.value
    target = "" if most is None else f"≤ {most:g}×"
    return Figure(name, value, "ms", baseline, ratio, target, None if most is None else ratio <= most, note)


def share(
    name: str, value: float, unit: str, baseline: Baseline, *, least: float | None = None, note: str = ""
) -> Figure:
    """Make the figure of an amount that should be at least this share of the baseline's."""
    ratio = value / baseline.value
    target = "" if least is None else f"≥ {least:g}×"
    return Figure(name, value, unit, baseline, ratio, target, None if least is None else ratio >= least, note)


def reached(name: str, value: float, unit: str, *, least: float, note: str = "") -> Figure:
    """Make a figure that stands alone and has a least value."""
    return Figure(name, value, unit, None, None, f"≥ {least:g} {unit}".rstrip(), value >= least, note)


def bounded(name: str, value: float, unit: str, *, most: float, note: str = "") -> Figure:
    """Make a figure that stands alone and has a limit."""
    return Figure(name, value, unit, None, None, f"≤ {most:g} {unit}".rstrip(), value <= most, note)
