"""What the stack is like inside: weights, learning curves, ranges of features."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from genrestack_training.evaluation.introspection import FeatureRange, LearningCurve, MetaWeights
from genrestack_training.report import charts
from genrestack_training.report.page import Chart, Exhibit, Grid, Section
from genrestack_training.report.text import clean, decimal, general, share
from genrestack_training.run.run_record import RunRecord

_MOST_FEATURES = 20
_WEIGHTS = (
    "The meta-learner adds up, for each class, what the base models give every class, times these coefficients. Blue "
    "speaks for the class of the row, orange against it."
)
_CURVES = (
    "Loss and accuracy on the rows being fitted, epoch by epoch: they say whether it went on learning, not how good it "
    "is on rows it has not seen."
)


def introspection_sections(record: RunRecord) -> Iterator[Section]:
    """Yield the sections on the fitted stack itself; those of which the run knows something."""
    insight = record.insight
    if insight.meta is not None:
        yield _weights(insight.meta, record)
    if insight.curves:
        yield _curves(insight.curves)
    if insight.features:
        yield _ranges(insight.features, made=record.reference_made)


def _weights(meta: MetaWeights, record: RunRecord) -> Section:
    classes = record.classes
    labels = [clean(c) for c in classes]
    lines = labels[-len(meta.coefficients) :]
    columns = labels if len(labels) > 2 else labels[1:]
    names: list[str] = list(record.settings["stack"]["estimators"])
    matrix, width = np.array(meta.coefficients), len(columns)
    parts = {clean(name): matrix[:, i * width : (i + 1) * width] for i, name in enumerate(names)}
    chart = charts.weights("weights", _heaviest(parts, columns, lines), parts, columns, lines)
    mean = {name: float(np.abs(part).mean()) for name, part in parts.items()}
    rows = tuple(
        (name, column, *(decimal(float(w), 2) for w in part[:, j]))
        for name, part in parts.items()
        for j, column in enumerate(columns)
    )
    grid = Grid("Coefficients by base model and class", ("Model", "Output", *lines), rows, texts=2)
    features = _feature_weights(meta, matrix[:, width * len(names) :], width * len(names), lines)
    return Section(
        "weights",
        "Weights of the meta-learner",
        (
            _WEIGHTS,
            "Mean size of a coefficient: " + ", ".join(f"{name} {decimal(m, 2)}" for name, m in mean.items()) + ".",
        ),
        (Exhibit(chart=chart, grid=grid), *features),
    )


def _heaviest(parts: dict[str, np.ndarray], columns: Sequence[str], lines: Sequence[str]) -> str:
    name = max(parts, key=lambda n: float(np.abs(parts[n]).max()))
    i, j = divmod(int(np.abs(parts[name]).argmax()), parts[name].shape[1])
    return (
        f"Coefficients of the meta-learner, one matrix for each of {', '.join(parts)}; the largest is "
        f"{decimal(float(parts[name][i, j]), 2)}: what {name} gives {columns[j]}, for {lines[i]}."
    )


def _feature_weights(meta: MetaWeights, matrix: np.ndarray, start: int, lines: Sequence[str]) -> tuple[Exhibit, ...]:
    """Return the weights of the features that are passed through, largest first."""
    if not matrix.shape[1]:
        return ()
    order = np.argsort(-np.abs(matrix).max(axis=0), kind="stable")
    names = meta.columns[start:]
    rows = tuple((clean(names[j]), *(decimal(float(w), 2) for w in matrix[:, j])) for j in order)
    grid = Grid(f"Coefficients of the {len(rows)} scaled features, largest first", ("Feature", *lines), rows)
    return (Exhibit(grid=grid, folded=True),)


def _curves(learned: Mapping[str, LearningCurve]) -> Section:
    summary = "; ".join(
        f"{clean(name)}: loss {decimal(c.loss[0])} after the first epoch, {decimal(c.loss[-1])} after {len(c.loss)}"
        for name, c in learned.items()
    )
    rows = tuple(
        (clean(name), str(epoch), decimal(loss, 4), decimal(c.accuracy[epoch - 1], 4) if c.accuracy else "–")
        for name, c in learned.items()
        for epoch, loss in enumerate(c.loss, 1)
    )
    grid = Grid("Every epoch", ("Network", "Epoch", "Loss", "Accuracy"), rows)
    return Section(
        "curves",
        "Learning curves",
        (_CURVES,),
        (Exhibit(chart=charts.curves("curves", f"Learning curves. {summary}.", learned), grid=grid),),
    )


def _ranges(features: Sequence[FeatureRange], *, made: bool) -> Section:
    order = sorted(features, key=lambda f: -f.outside)
    chosen = [f for f in order if f.outside > 0][:_MOST_FEATURES]
    outside = sum(f.outside > 0 for f in features)
    kind = "synthetic" if made else "held-out"
    line = (
        f"{outside} of {len(features)} features have {kind} values outside the fitted range. "
        "Far outside, a stack's answers are guesses."
    )
    rows = tuple(
        (clean(f.name), *map(general, (f.fitted_min, f.fitted_max, f.held_back_min, f.held_back_max)), share(f.outside))
        for f in order
    )
    head = ("Feature", "Smallest fitted", "Largest fitted", f"Smallest {kind}", f"Largest {kind}", "Rows outside")
    grid = Grid(f"Ranges of all {len(features)} features", head, rows)
    title = "Feature ranges"
    if not chosen:
        return Section("features", title, (line,), (Exhibit(grid=grid, folded=True),))
    shown = f"The grey band is the fitted range, each bar the {kind} one" + (
        f"; the {len(chosen)} features with most rows outside are drawn." if outside > len(chosen) else "."
    )
    return Section("features", title, (line, shown), (Exhibit(chart=_drawn(chosen, kind), grid=grid),))


def _drawn(chosen: Sequence[FeatureRange], kind: str) -> Chart:
    text = (
        f"Ranges of {len(chosen)} features whose {kind} rows go beyond the fitted range; the most rows "
        f"outside has {clean(chosen[0].name)} with {share(chosen[0].outside)}."
    )
    return charts.ranges("ranges", text, chosen)
