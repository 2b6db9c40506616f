"""How good the stack is: the sections of a report on held-out rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from genrestack_training.evaluation.results import ASKED, Evaluation, Figure, ReliabilityBin
from genrestack_training.report import charts
from genrestack_training.report.page import Exhibit, Grid, Section, Tile
from genrestack_training.report.text import (
    LOWER_IS_BETTER,
    METRIC_TITLES,
    clean,
    decimal,
    describe_intervals,
    describe_split,
    has_songs,
    held_out,
    model_title,
    percent,
    share,
    signed,
    with_interval,
)
from genrestack_training.run.run_record import RunRecord

_ABLATION = (
    "What each base model adds: the stack's accuracy less that of a stack without the model, on the same rows. Right "
    "of zero the model helps; a line that crosses zero may be chance."
)
_CONFUSION = (
    "One row for each true class, one column for each predicted class; the colour is the share of the class's rows. "
    "Blue cells are right."
)
_CLASSES = (
    "Precision: of the rows predicted as the class, the share that are of it. Recall: of its rows, the share predicted "
    "as it. F1 is high only if both are. Thin lines are 95 % intervals."
)
_CALIBRATION = (
    "Is the stack as sure as it is right? Rows are binned by the probability of their predicted class "
    "(confidence); larger marks stand for more rows. On the dashed line, predictions made with 70 % are right in 70 % "
    "of the cases; below it a model is overconfident."
)
_COLLECTIONS = (
    "The whole stack on the held-out rows of each table that it was trained on. A model may be good on one "
    "collection and poor on another: for music like yours, go by the line of yours."
)
_CONFUSED = "With the most confident wrong predictions: rows to listen to first."


def evaluations(record: RunRecord) -> tuple[Evaluation, ...]:
    """Return every evaluation of a run, the exported model's first."""
    return tuple(e for e in (record.evaluation, *record.comparisons, record.cross_validation) if e is not None)


def primary_evaluation(record: RunRecord) -> Evaluation | None:
    """Return the evaluation to go by: the coarsest split, cross-validated if possible; None without any."""
    every = evaluations(record)
    order = ("random", "track", "artist", "collection")
    return max(every, key=lambda e: (order.index(e.split), e.folds > 1), default=None)


def tiles(record: RunRecord) -> tuple[Tile, ...]:
    """Return the headline metrics, those to go by first."""
    best = primary_evaluation(record)
    if best is None:
        return (Tile("Accuracy", "not known", note="every row was fitted, none was held out to measure on"),)
    stack = best.models["stack"]
    found = [_accuracy_tile(best, strong=True)]
    if stack.songs is not None and has_songs(best):
        value, within = percent(stack.songs["accuracy"])
        found.append(Tile("Accuracy, whole recordings", value, within, f"{best.songs} held-out recordings"))
    others = [e for e in evaluations(record) if e is not best]
    found += [_accuracy_tile(e) for e in others]
    f1, error = stack.rows["macro_f1"], stack.rows["ece"]
    found.append(Tile("Macro F1", decimal(f1.value), _within(f1), f"held out {held_out(best)}"))
    found.append(Tile("Calibration error", decimal(error.value), _within(error), "ECE; 0 is perfectly calibrated"))
    return tuple(found)


def _accuracy_tile(evaluation: Evaluation, *, strong: bool = False) -> Tile:
    value, within = percent(evaluation.models["stack"].rows["accuracy"])
    note = f"{evaluation.rows} held-out (test) rows"
    return Tile(f"Accuracy, held out {held_out(evaluation)}", value, within, note, strong=strong)


def collection_tiles(evaluation: Evaluation) -> Iterator[Tile]:
    """Yield the headline metrics of a served model on rows of a collection."""
    stack = evaluation.models["stack"]
    value, within = percent(stack.rows["accuracy"])
    yield Tile("Accuracy", value, within, f"{evaluation.rows} rows", strong=True)
    if stack.songs is not None and has_songs(evaluation):
        value, within = percent(stack.songs["accuracy"])
        yield Tile("Accuracy, whole recordings", value, within, f"{evaluation.songs} recordings")
    f1, error = stack.rows["macro_f1"], stack.rows["ece"]
    yield Tile("Macro F1", decimal(f1.value), _within(f1))
    yield Tile("Calibration error", decimal(error.value), _within(error), "ECE; 0 is perfectly calibrated")


def _within(figure: Figure) -> str:
    if figure.lower is None or figure.upper is None:
        return ""
    return f"95 % interval {decimal(figure.lower)} to {decimal(figure.upper)}"


def detailed_evaluations(record: RunRecord) -> tuple[Evaluation, ...]:
    """Return the evaluations that are shown class by class: the one to go by, and the exported model's own."""
    best, own = primary_evaluation(record), record.evaluation
    return tuple(e for e in (best, None if own is best else own) if e is not None)


def result_sections(record: RunRecord) -> Iterator[Section]:
    """Yield the sections on metrics; none for a run that has none."""
    every = evaluations(record)
    if not every:
        return
    if len(every) > 1:
        yield _splits(record, every)
    if several := [e for e in every if len(e.collections) > 1]:
        yield Section("collections", "Each collection", (_COLLECTIONS,), tuple(map(_collections, several)))
    yield from evaluation_sections(detailed_evaluations(record))


def evaluation_sections(shown: Sequence[Evaluation]) -> Iterator[Section]:
    """Yield the sections that show evaluations model by model and class by class; those after the first are folded."""
    yield Section("models", "The stack and its base models", (describe_intervals(shown[0]),), _each(_models, shown))
    if any(e.worth for e in shown):
        yield Section("worth", "Ablation: the stack without each base model", (_ABLATION,), _each(_ablation, shown))
    yield Section("confusion", "Confusion matrix", (_CONFUSION,), _each(_confusion, shown))
    yield Section("classes", "Metrics of each class", (_CLASSES,), _each(_classes, shown))
    yield Section("reliability", "Calibration", (_CALIBRATION,), _each(_calibration, shown))
    if any(e.confused for e in shown):
        yield Section("confused", "Most confused pairs", (_CONFUSED,), _each(_confused, shown))


def _each(make: Callable[[Evaluation], Iterable[Exhibit]], shown: Sequence[Evaluation]) -> tuple[Exhibit, ...]:
    """Show one evaluation after the other; those after the first are folded."""
    return tuple(replace(exhibit, aside=number > 0) for number, e in enumerate(shown) for exhibit in make(e))


def _title(evaluation: Evaluation) -> str:
    return "Rows of the collection" if evaluation.split == ASKED else f"Rows held out {held_out(evaluation)}"


def _splits(record: RunRecord, every: tuple[Evaluation, ...]) -> Section:
    lines = []
    for e in every:
        stack = e.models["stack"]
        lines.append(charts.Whisker(held_out(e), stack.rows["accuracy"], strong=True))
        if stack.songs is not None and has_songs(e):
            lines.append(charts.Whisker(held_out(e), stack.songs["accuracy"], series=1))
    songs = any(line.series for line in lines)
    summary = ", ".join(f"{decimal(e.accuracy)} {held_out(e)}" for e in every)
    chart = charts.whiskers(
        "splits",
        f"Accuracy of the whole stack by split: {summary}.",
        lines,
        axis="accuracy of the whole stack",
        legend=("windows", "whole recordings") if songs else (),
    )
    rows = tuple(
        (
            held_out(e),
            with_interval(e.models["stack"].rows["accuracy"]),
            with_interval(e.models["stack"].songs["accuracy"]) if e.models["stack"].songs else "–",
            with_interval(e.models["stack"].rows["log_loss"]),
            str(e.rows),
            str(e.fitted_rows),
            " ".join(decimal(a) for a in e.fold_accuracy) if e.folds > 1 else "",
        )
        for e in every
    )
    head = ("Split", "Accuracy", "Whole recordings", "Log loss", "Rows", "Fitted", "Each fold")
    meanings = tuple(f"{held_out(e).capitalize()}: {describe_split(e)}" for e in every)
    own = "The same settings, fitted again for each split: how rows are held out matters."
    if record.evaluation is not None:
        own += f" The exported model is the one with rows held out {held_out(record.evaluation)}."
    return Section(
        "splits",
        "Accuracy by split",
        (own, *meanings),
        (Exhibit(chart=chart, grid=Grid("The whole stack, by split", head, rows)),),
    )


def _models(evaluation: Evaluation) -> Iterator[Exhibit]:
    windows = has_songs(evaluation)
    yield Exhibit(_title(evaluation) + (", window by window" if windows else ""), grid=_model_grid(evaluation, "rows"))
    if windows:
        yield Exhibit(_title(evaluation) + ", whole recordings", grid=_model_grid(evaluation, "songs"))


def _model_grid(evaluation: Evaluation, level: str) -> Grid:
    rows = []
    for name, model in evaluation.models.items():
        figures = getattr(model, level)
        rows.append((model_title(name), *(with_interval(figures[f]) for f in METRIC_TITLES)))
    by = "row" if level == "rows" else "recording, predicted by the mean of its rows' probabilities"
    caption = f"Metrics by {by}; in the last {len(LOWER_IS_BETTER)} columns, lower is better"
    return Grid(caption, ("Model", *METRIC_TITLES.values()), tuple(rows))


def _collections(evaluation: Evaluation) -> Exhibit:
    rows = tuple(
        (
            clean(c.name),
            with_interval(c.figures["accuracy"]),
            with_interval(c.song_figures["accuracy"]) if c.song_figures else "–",
            with_interval(c.figures["log_loss"]),
            with_interval(c.figures["ece"]),
            str(c.rows),
            "–" if c.songs is None else str(c.songs),
        )
        for c in evaluation.collections
    )
    head = ("Collection", "Accuracy", "Whole recordings", "Log loss", "Calibration error", "Rows", "Recordings")
    return Exhibit(_title(evaluation), grid=Grid("The whole stack, by collection", head, rows))


def _ablation(evaluation: Evaluation) -> Iterator[Exhibit]:
    if not evaluation.worth:
        return
    lines = []
    for name, worth in evaluation.worth.items():
        lines.append(charts.Whisker(clean(name), worth.accuracy_gain, strong=True))
        if worth.song_accuracy_gain is not None and has_songs(evaluation):
            lines.append(charts.Whisker(clean(name), worth.song_accuracy_gain, series=1))
    summary = ", ".join(f"{clean(n)} {signed(w.accuracy_gain.value)}" for n, w in evaluation.worth.items())
    chart = charts.whiskers(
        f"worth-{evaluation.split}-{evaluation.folds}",
        f"Ablation, what each base model adds to the stack's accuracy: {summary}.",
        lines,
        axis="accuracy of the stack less that of a stack without the model",
        legend=("windows", "whole recordings") if has_songs(evaluation) else (),
        zero=True,
    )
    rows = tuple(
        (
            clean(name),
            with_interval(w.accuracy_without),
            with_interval(w.accuracy_gain),
            with_interval(w.song_accuracy_gain),
            with_interval(w.log_loss_gain),
        )
        for name, w in evaluation.worth.items()
    )
    head = ("Without", "Accuracy", "The model adds", "It adds, whole recordings", "It adds to the log loss")
    grid = Grid("The stack without each base model", head, rows)
    yield Exhibit(_title(evaluation), chart, grid)


def _confusion(evaluation: Evaluation) -> Iterator[Exhibit]:
    labels, counts = [clean(c.label) for c in evaluation.classes], evaluation.confusion
    right = sum(counts[i][i] for i in range(len(labels)))
    worst = "".join(
        f"; most often {clean(c.truth)} was predicted as {clean(c.answer)} ({c.rows})" for c in evaluation.confused[:1]
    )
    text = f"Confusion matrix of {len(labels)} classes: {right} of {evaluation.rows} rows are on the diagonal{worst}."
    rows = tuple((label, *map(str, line)) for label, line in zip(labels, counts, strict=True))
    grid = Grid("Rows of each true class by predicted class", ("True class", *labels), rows)
    key = f"confusion-{evaluation.split}-{evaluation.folds}"
    yield Exhibit(_title(evaluation), charts.confusion(key, text, labels, counts), grid)


def _classes(evaluation: Evaluation) -> Iterator[Exhibit]:
    reports = evaluation.classes
    order = sorted(reports, key=lambda c: c.f1.value)
    text = (
        f"Bars of precision, recall and F1 of {len(reports)} classes; F1 is highest for {clean(order[-1].label)} with "
        f"{decimal(order[-1].f1.value)} and lowest for {clean(order[0].label)} with {decimal(order[0].f1.value)}."
    )
    rows = tuple(
        (clean(c.label), *(with_interval(f) for f in (c.precision, c.recall, c.f1)), str(c.support)) for c in reports
    )
    grid = Grid("Metrics of each class", ("Class", "Precision", "Recall", "F1", "Rows"), rows)
    key = f"classes-{evaluation.split}-{evaluation.folds}"
    yield Exhibit(_title(evaluation), charts.classes(key, text, reports), grid)


def _calibration(evaluation: Evaluation) -> Iterator[Exhibit]:
    error = evaluation.models["stack"].rows["ece"].value
    sure = _mean_confidence(evaluation.models["stack"].reliability)
    text = (
        f"Reliability diagram: the stack's mean confidence is {share(sure)}, its accuracy "
        f"{share(evaluation.accuracy)}; its expected calibration error is {decimal(error)}."
    )
    models = {model_title(name): m.reliability for name, m in evaluation.models.items()}
    rows = tuple(
        (f"{share(b.above)} to {share(b.upto)}", model, str(b.rows), decimal(b.confidence), decimal(b.accuracy))
        for model, bins in models.items()
        for b in bins
        if b.rows
    )
    head = ("Confidence", "Model", "Rows", "Mean confidence", "Accuracy")
    key = f"reliability-{evaluation.split}-{evaluation.folds}"
    chart = charts.reliability(key, text, models)
    yield Exhibit(_title(evaluation), chart, Grid("Bins of the diagram", head, rows, texts=2))


def _mean_confidence(bins: tuple[ReliabilityBin, ...]) -> float:
    return sum(b.rows * (b.confidence or 0.0) for b in bins) / max(1, sum(b.rows for b in bins))


def _confused(evaluation: Evaluation) -> Iterator[Exhibit]:
    if not evaluation.confused:
        return
    rows = tuple(
        (
            clean(c.truth),
            clean(c.answer),
            "; ".join(
                f"{'data row ' + str(e.row) if e.filename is None else clean(e.filename)} ({share(e.probability)})"
                for e in c.examples
            ),
            str(c.rows),
        )
        for c in evaluation.confused
    )
    head = ("True class", "Predicted", "For example (probability of the wrong class)", "Rows")
    yield Exhibit(_title(evaluation), grid=Grid("Pairs confused most often", head, rows, texts=3))
