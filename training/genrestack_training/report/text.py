"""How names and numbers are written for people."""

import unicodedata
from collections.abc import Mapping

from genrestack_training.data.groups.grouping import UNITS
from genrestack_training.evaluation.headline import SPLIT_PHRASES
from genrestack_training.evaluation.results import ASKED, Evaluation, Figure

METRIC_TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "top2": "Top 2",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Calibration error",
}
"""Every metric of `metrics.METRIC_NAMES`, in the order of the tables."""
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})


def clean(text: str) -> str:
    """Return text that a page can hold, on one line: what would break it or turn it around becomes U+FFFD."""
    one_line = " ".join(text.split())
    return "".join("\N{REPLACEMENT CHARACTER}" if _harmful(c) else c for c in one_line)


def _harmful(character: str) -> bool:
    """Return whether it is a control character, a surrogate, or a mark that changes the direction of text."""
    return unicodedata.category(character) in {"Cc", "Cs"} or "\u202a" <= character <= "\u202e"


def short(text: str, most: int = 22) -> str:
    """Shorten a name to fit beside a chart."""
    text = clean(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def decimal(value: float | None, digits: int = 3) -> str:
    """Format as `0.701`, and `–` for what is not known."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """Format as `+0.012` or `−0.012`."""
    return f"{value:+.{digits}f}".replace("-", "−")


def points(difference: float) -> str:
    """Format as `+1.2` a difference of 0.012 between two shares."""
    return f"{100 * float(f'{difference:.3f}'):+.1f}".replace("-", "−")


def interval(figure: Figure, digits: int = 3) -> str:
    """Format as `0.662 to 0.741`, and nothing where there is no interval."""
    if figure.lower is None or figure.upper is None:
        return ""
    return f"{decimal(figure.lower, digits)} to {decimal(figure.upper, digits)}"


def with_interval(figure: Figure | None, digits: int = 3) -> str:
    """Format as `0.701 (0.662 to 0.741)`."""
    if figure is None:
        return "–"
    within = interval(figure, digits)
    return decimal(figure.value, digits) + (f" ({within})" if within else "")


def percent(figure: Figure) -> tuple[str, str]:
    """Format as `70.1 %` and `95 % interval 66.2 to 74.1`."""
    if figure.lower is None or figure.upper is None:
        return share(figure.value), ""
    return share(figure.value), f"95 % interval {_hundredfold(figure.lower)} to {_hundredfold(figure.upper)}"


def probability(p: float) -> str:
    """Format a p-value with two significant digits."""
    return f"{p:.2g}"


def general(value: float) -> str:
    """Format a number of any size with four significant digits."""
    return f"{value:.4g}".replace("-", "−")


def share(value: float) -> str:
    """Format as `3.2 %`."""
    return f"{_hundredfold(value)} %"


def _hundredfold(value: float) -> str:
    # Rounded as `decimal` does it: 0.9625 is 0.963 there, and 96.3 here.
    return f"{100 * float(f'{value:.3f}'):.1f}"


def model_title(name: str) -> str:
    """Return a model's name in a table."""
    return "Whole stack" if name == "stack" else f"{clean(name)} alone"


def held_out(evaluation: Evaluation) -> str:
    """Return how rows were held out, such as `by artist, 5 folds`."""
    return SPLIT_PHRASES.get(evaluation.split, evaluation.split) + (
        f", {evaluation.folds} folds" if evaluation.folds > 1 else ""
    )


def has_songs(evaluation: Evaluation) -> bool:
    """Return whether metrics of whole recordings differ from those of rows."""
    return evaluation.songs is not None and evaluation.songs < evaluation.rows


def describe_split(evaluation: Evaluation) -> str:
    """Describe in two sentences what was held out, and what the metrics measure."""
    if evaluation.folds == 1:
        return evaluation.meaning
    named = UNITS[evaluation.unit]
    every = f"the {evaluation.groups} {named}" if evaluation.unit == evaluation.interval_unit else f"all {named}"
    return (
        f"In {evaluation.folds} folds, each of {every} was held out once from a stack fitted on the others: "
        f"{evaluation.rows} rows in all. {evaluation.meaning.partition('. ')[2]}"
    ).strip()


def describe_intervals(evaluation: Evaluation) -> str:
    """Describe what the intervals of an evaluation are computed from."""
    if evaluation.models["stack"].rows["accuracy"].lower is None:
        return "There are too few groups of rows for intervals."
    which = "" if evaluation.split == ASKED else "held-out "
    return (
        f"Intervals are 95 % intervals: the {evaluation.groups} {which}{UNITS[evaluation.interval_unit]} were "
        "resampled 2,000 times (bootstrap), each with all its rows."
    )
