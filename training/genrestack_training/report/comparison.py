"""The report that compares two runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from genrestack_training.comparison import PairedMetric, PairedResults, RunComparison, SplitComparison
from genrestack_training.data.groups.grouping import UNITS
from genrestack_training.evaluation.headline import SPLIT_PHRASES
from genrestack_training.evaluation.results import Figure
from genrestack_training.report import charts
from genrestack_training.report.console import verdict
from genrestack_training.report.page import Chart, Exhibit, Grid, Page, Section, Tile, render_page, write_page
from genrestack_training.report.text import (
    LOWER_IS_BETTER,
    METRIC_TITLES,
    decimal,
    interval,
    model_title,
    points,
    probability,
    share,
    signed,
)
from genrestack_training.run.run_record import RunRecord


def comparison_html(comparison: RunComparison) -> str:
    """Render the comparison of two runs as one self-contained HTML page."""
    a, b = comparison.first, comparison.second
    page = Page(
        title=f"{a.name} and {b.name}" if a.name != b.name else f"{a.name}, twice",
        kind="Comparison of two runs",
        subtitle=f"A is {_run_title(a)}; B is {_run_title(b)}.",
        tiles=_tiles(comparison.splits[0]),
        lead=tuple(verdict(compared) for compared in comparison.splits),
        notes=comparison.notes,
        sections=(
            *(section for compared in comparison.splits for section in _sections(compared)),
            _settings(a, b),
        ),
    )
    return render_page(page)


def write_comparison(comparison: RunComparison, output: str | Path) -> Path:
    """Write the comparison of two runs.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(Path(output), comparison_html(comparison))


def _run_title(record: RunRecord) -> str:
    facts = record.provenance
    return f"{record.name} (preset {facts.preset}, seed {facts.seed}, {facts.created})"


def _tiles(compared: SplitComparison) -> tuple[Tile, ...]:
    """Return the headline metrics of the most telling split."""
    shift, test = compared.rows.figures["accuracy"], compared.rows.test
    where = f"{compared.rows.count} rows held out {SPLIT_PHRASES[compared.split]} by both runs"
    d = shift.difference
    within = "" if d.lower is None or d.upper is None else f"95 % interval {points(d.lower)} to {points(d.upper)}"
    return (
        Tile("Accuracy of A", share(shift.first), note=where),
        Tile("Accuracy of B", share(shift.second), note=where),
        Tile("B less A, in points", points(d.value), within, strong=True),
        Tile(
            "p of the difference", probability(test.p), note=f"sign-flip test over {test.groups} {UNITS[compared.unit]}"
        ),
    )


def _sections(compared: SplitComparison) -> Iterator[Section]:
    key, how = compared.split, f"rows held out {SPLIT_PHRASES[compared.split]}"
    yield Section(
        f"figures-{key}",
        f"Metrics, {how}",
        _left_out(compared),
        (
            Exhibit("Accuracy, B less A", _differences(compared)),
            Exhibit("Window by window" if compared.songs else "", grid=_figures(compared.rows, "rows")),
            *([Exhibit("Whole recordings", grid=_figures(compared.songs, "recordings"))] if compared.songs else []),
            Exhibit("Agreement", grid=_agreement(compared)),
        ),
    )
    yield Section(f"classes-{key}", f"Recall of each class, {how}", (_CLASSES,), (_classes(compared),))


_CLASSES = "Recall: the share of each class's rows that is predicted as it, by both stacks."


def _left_out(compared: SplitComparison) -> tuple[str, ...]:
    if not any(compared.left_out):
        return ()
    a, b = compared.left_out
    return (f"Left out are {a} rows that only A held out, and {b} that only B did.",)


def _differences(compared: SplitComparison) -> Chart:
    lines = [charts.Whisker(model_title(n), s.difference, strong=n == "stack") for n, s in compared.models.items()]
    if compared.songs is not None:
        songs = compared.songs.figures["accuracy"].difference
        lines.insert(1, charts.Whisker("Whole stack, recordings", songs, series=1, strong=True))
    alternative_text = ", ".join(f"{line.name} {signed(line.figure.value)}" for line in lines)
    text = f"Differences in accuracy with their paired intervals: {alternative_text}."
    axis = "accuracy of B less that of A"
    return charts.whiskers(f"differences-{compared.split}", text, lines, axis=axis, zero=True)


def _figures(results: PairedResults, what: str) -> Grid:
    rows = tuple(
        (
            f"{title}, lower is better" if name in LOWER_IS_BETTER else title,
            decimal(results.figures[name].first),
            decimal(results.figures[name].second),
            _difference(results.figures[name]),
        )
        for name, title in METRIC_TITLES.items()
    )
    test = f"chance alone makes as large a difference in accuracy with p = {probability(results.test.p)}"
    return Grid(f"Whole stacks on the same {results.count} {what}; {test}", ("Metric", "A", "B", "B less A"), rows)


def _difference(shift: PairedMetric) -> str:
    within = interval(shift.difference)
    return signed(shift.difference.value) + (f" ({within})" if within else "")


def _agreement(compared: SplitComparison) -> Grid:
    both, first, second, neither = compared.agreement
    rows = (("A is right", str(both), str(first)), ("A is wrong", str(second), str(neither)))
    return Grid("Agreement: rows by which run is right", ("", "B is right", "B is wrong"), rows)


def _classes(compared: SplitComparison) -> Exhibit:
    lines = []
    for c in compared.classes:
        lines.append(charts.Whisker(c.label, Figure(c.first, None, None)))
        lines.append(charts.Whisker(c.label, Figure(c.second, None, None), series=1))
    most = max(compared.classes, key=lambda c: abs(c.second - c.first))
    text = (
        f"Recall of {len(compared.classes)} classes by A and B; they differ most on {most.label}, with "
        f"{decimal(most.first)} and {decimal(most.second)}."
    )
    chart = charts.whiskers(f"recall-{compared.split}", text, lines, axis="recall", legend=("A", "B"))
    rows = tuple(
        (c.label, decimal(c.first), decimal(c.second), signed(c.second - c.first), str(c.rows))
        for c in compared.classes
    )
    return Exhibit(chart=chart, grid=Grid("Recall of each class", ("Class", "A", "B", "B less A", "Rows"), rows))


def _settings(first: RunRecord, second: RunRecord) -> Section:
    differing = tuple(_differing(_flat(first), _flat(second)))
    line = "Settings and provenance are the same." if not differing else "Settings and provenance, where they differ."
    grid = Grid("Settings and provenance that differ", ("Setting", "A", "B"), differing, texts=3)
    return Section("settings", "Differences in settings", (line,), (Exhibit(grid=grid),) if differing else ())


def _flat(record: RunRecord) -> dict[str, str]:
    facts = record.provenance
    flat = {"table": facts.data_file, "preset": facts.preset, "split": facts.split, "seed": str(facts.seed)}
    flat |= {"written": facts.created, "rows fitted": str(facts.fitted_rows), "seconds": f"{facts.fit_seconds:.0f}"}
    flat |= {f"library {name}": number for name, number in facts.library_versions.items()}
    used = {"split", "scaler", "stack", "meta", *record.settings["stack"]["estimators"]}
    for section, values in record.settings.items():
        flat |= {f"[{section}] {key}": str(value) for key, value in values.items() if section in used}
    return flat


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys((*first, *second)):
        a, b = first.get(name, "–"), second.get(name, "–")
        if a != b:
            yield name, a, b
