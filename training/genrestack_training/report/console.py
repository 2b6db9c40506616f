"""A run's results, and a comparison of two runs, as tables for a terminal."""

import io
from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from genrestack_training.comparison import PairedMetric, PairedResults, RunComparison, SplitComparison
from genrestack_training.data.groups.grouping import UNITS
from genrestack_training.evaluation.headline import SPLIT_PHRASES
from genrestack_training.evaluation.results import Evaluation, Figure
from genrestack_training.report.text import probability
from genrestack_training.run.run import Run
from genrestack_training.run.run_record import RunRecord

_COLUMNS = {
    "balanced_accuracy": "bal.",
    "macro_f1": "F1",
    "top2": "top 2",
    "log_loss": "loss",
    "brier": "Brier",
    "ece": "ECE",
}
_CHANCE = 0.05
_TITLES = {"accuracy": "accuracy", "macro_f1": "F1", "log_loss": "loss", "brier": "Brier", "ece": "ECE"}


def render(run: Run | RunRecord) -> RenderableType:
    """Return a run's results as a rich renderable: models, other splits, classes, and what they measure."""
    parts: list[RenderableType] = []
    if run.evaluation is not None:
        parts += [_title(run.evaluation), Padding(model_table(run.evaluation), (1, 0))]
    if run.cross_validation is not None:
        parts += [_title(run.cross_validation), Padding(model_table(run.cross_validation), (1, 0))]
    if run.evaluation is not None and run.evaluation.worth:
        parts += [Text("Ablation: the stack without each base model", style="bold"), ablation_table(run.evaluation)]
    for e in (run.evaluation, run.cross_validation):
        if e is not None and len(e.collections) > 1:
            parts += [Text(f"Each collection, {_held_out(e)}, by the whole stack", style="bold"), collection_table(e)]
    if run.comparisons:
        parts += [Text("The whole stack on other splits", style="bold"), split_table(run)]
    if run.evaluation is not None:
        parts += [Text("Each class, by the whole stack", style="bold"), class_table(run.evaluation)]
    meanings = [run.provenance.split_meaning]
    meanings += [] if run.cross_validation is None else [run.cross_validation.meaning]
    meanings += [line for line in (_intervals(run), run.contrast) if line]
    return Group(*parts, *(Text(line) for line in (*meanings, *run.provenance.warnings)))


def report_text(run: Run | RunRecord, *, width: int = 100) -> str:
    """Return the same as plain text, without colours, at most `width` columns wide."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None, force_terminal=False)
    console.print(render(run))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def model_table(evaluation: Evaluation) -> Table:
    """Build the table of the stack's metrics with each base model's below it."""
    songs = evaluation.songs is not None
    # Nine columns in eighty: the figures are whole, and a long name gives way.
    table = Table(box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True, min_width=len("mlp alone"))
    for heading in ("accuracy", *(["songs"] if songs else []), *_COLUMNS.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in evaluation.models.items():
        whole = name == "stack"
        cells = [_with_interval(figures.rows["accuracy"])]
        cells += [f"{figures.songs['accuracy'].value:.3f}"] if figures.songs else []
        cells += [f"{figures.rows[column].value:.3f}" for column in _COLUMNS]
        table.add_row(Text("stack" if whole else f"{name} alone"), *cells, style="bold" if whole else "")
    return table


def ablation_table(evaluation: Evaluation) -> Table:
    """Build the table of the ablation: the stack without each base model."""
    table = Table("without", box=box.SIMPLE)
    for heading in ("accuracy", "drop", "drop, songs", "loss, rise"):
        table.add_column(heading, justify="right")
    for name, worth in evaluation.worth.items():
        gain, songs = worth.accuracy_gain, worth.song_accuracy_gain
        table.add_row(
            Text(name),
            f"{worth.accuracy_without.value:.3f}",
            _with_interval(gain),
            _with_interval(songs) if songs else "",
            f"{-worth.log_loss_gain.value:.3f}",
        )
    return table


def split_table(run: Run | RunRecord) -> Table:
    """Build the table of the stack's accuracy on every split, the exported model's first."""
    table = Table("split", box=box.SIMPLE)
    for heading in ("accuracy", "songs", "loss", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for evaluation in _evaluations(run):
        stack = evaluation.models["stack"]
        table.add_row(
            _held_out(evaluation),
            _with_interval(stack.rows["accuracy"]),
            _with_interval(stack.songs["accuracy"]) if stack.songs else "",
            f"{stack.rows['log_loss'].value:.3f}",
            f"{evaluation.seconds:.0f}",
        )
    return table


def collection_table(evaluation: Evaluation) -> Table:
    """Build the table of the stack's accuracy on each collection."""
    table = Table("collection", box=box.SIMPLE)
    for heading in ("accuracy", "songs", "loss", "ECE", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for c in evaluation.collections:
        table.add_row(
            Text(c.name),
            _with_interval(c.figures["accuracy"]),
            _with_interval(c.song_figures["accuracy"]) if c.song_figures else "",
            f"{c.figures['log_loss'].value:.3f}",
            f"{c.figures['ece'].value:.3f}",
            str(c.rows),
        )
    return table


def class_table(evaluation: Evaluation) -> Table:
    """Build the table of precision, recall, F1 and number of rows of each class."""
    table = Table("class", box=box.SIMPLE)
    for heading in ("precision", "recall", "F1", "rows"):
        table.add_column(heading, justify="right")
    for c in evaluation.classes:
        table.add_row(
            Text(c.label), f"{c.precision.value:.3f}", f"{c.recall.value:.3f}", _with_interval(c.f1), str(c.support)
        )
    return table


def _evaluations(run: Run | RunRecord) -> Iterator[Evaluation]:
    yield from (e for e in (run.evaluation, *run.comparisons, run.cross_validation) if e is not None)


def _title(evaluation: Evaluation) -> Text:
    how = f"in {evaluation.folds} folds " if evaluation.folds > 1 else ""
    return Text(f"{evaluation.rows} held-out rows {how}{SPLIT_PHRASES[evaluation.split]}", style="bold")


def _held_out(evaluation: Evaluation) -> str:
    return SPLIT_PHRASES[evaluation.split] + (f", {evaluation.folds} folds" if evaluation.folds > 1 else "")


def _with_interval(figure: Figure) -> str:
    """Format as `0.701 [0.66, 0.74]`."""
    if figure.lower is None or figure.upper is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.lower:.2f}, {figure.upper:.2f}]"


def _intervals(run: Run | RunRecord) -> str:
    found = next((e for e in _evaluations(run) if e.models["stack"].rows["accuracy"].lower is not None), None)
    if found is None:
        return ""
    return (
        f"In brackets: 95 % intervals, from resampling the held-out {UNITS[found.interval_unit]}. "
        "What each metric means is in the run's report.html."
    )


def verdict(compared: SplitComparison) -> str:
    """Describe in plain words how two runs compare on the rows that both held out, and whether it may be chance."""
    shift, test = compared.rows.figures["accuracy"], compared.rows.test
    sure = "more than chance would make" if test.p < _CHANCE else "no more than chance may make"
    method = "every sign pattern counted" if test.exact else "10,000 sign patterns drawn"
    return (
        f"On the {compared.rows.count} rows held out {SPLIT_PHRASES[compared.split]} by both runs, A is right in "
        f"{shift.first:.3f} and B in {shift.second:.3f}: {_difference(shift)}. That is {sure} (p = {test.p:.2g} by a "
        f"sign-flip test over {test.groups} {UNITS[compared.unit]}, {method})."
        f"{_disagreement(compared.rows, '')}{_disagreement(compared.songs, 'Of whole recordings, ')}"
    )


def _disagreement(results: PairedResults | None, of: str) -> str:
    """Say it where interval and test differ on whether a difference in accuracy may be chance; "" where they agree."""
    if results is None:
        return ""
    d, surely = results.figures["accuracy"].difference, results.test.p < _CHANCE
    if d.lower is None or d.upper is None or surely == (d.lower > 0 or d.upper < 0):
        return ""
    leaves, finds = ("holds", "more") if surely else ("leaves out", "no more")
    return (
        f" {of or 'Here '}interval and test disagree: the interval {leaves} 0, and the test finds {finds} than chance "
        f"may make (p = {probability(results.test.p)}). The difference is at the edge of what {results.test.groups} "
        "groups can show: take it for unsettled, and hold out more."
    )


def _difference(shift: PairedMetric) -> str:
    d = shift.difference
    found = f"B less A is {d.value:+.3f}"
    if d.lower is not None and d.upper is not None:
        found += f", with a paired 95 % interval of {d.lower:+.3f} to {d.upper:+.3f}"
    return found.replace("-", "−")


def render_comparison(comparison: RunComparison) -> RenderableType:
    """Return a comparison as a rich renderable."""
    parts: list[RenderableType] = []
    for letter, record in (("A", comparison.first), ("B", comparison.second)):
        facts = record.provenance
        parts.append(Text(f"{letter}: {record.name}, preset {facts.preset}, seed {facts.seed}, {facts.created}"))
    for compared in comparison.splits:
        parts += [
            Text(f"{compared.rows.count} rows held out {SPLIT_PHRASES[compared.split]} by both runs", style="bold")
        ]
        parts += [_table(compared), Text(verdict(compared))]
    return Group(*parts, *(Text(note) for note in comparison.notes))


def _table(compared: SplitComparison) -> Table:
    table = Table("", box=box.SIMPLE)
    for heading in ("A", "B", "B less A", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, title in _TITLES.items():
        p = f"{compared.rows.test.p:.2g}" if name == "accuracy" else ""
        _row(table, title, compared.rows.figures[name], p)
    if compared.songs is not None:
        _row(table, "accuracy, songs", compared.songs.figures["accuracy"], f"{compared.songs.test.p:.2g}")
    for name, shift in compared.models.items():
        if name != "stack":
            _row(table, f"accuracy, {name} alone", shift, "")
    return table


def _row(table: Table, title: str, shift: PairedMetric, p: str) -> None:
    d = shift.difference
    within = "" if d.lower is None or d.upper is None else f" [{d.lower:+.3f}, {d.upper:+.3f}]"
    table.add_row(Text(title), f"{shift.first:.3f}", f"{shift.second:.3f}", f"{d.value:+.3f}{within}", p)
