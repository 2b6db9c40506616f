"""The report of two runs side by side."""

from collections.abc import Iterator, Mapping

from genrestack_training.comparison import Comparison, Level, Pairing, Shift
from genrestack_training.data.grouping import UNITS
from genrestack_training.evaluation.headline import NOUNS
from genrestack_training.evaluation.results import Figure
from genrestack_training.report import charts
from genrestack_training.report.console import verdict
from genrestack_training.report.parts import Chart, Exhibit, Grid, Page, Section, Tile
from genrestack_training.report.rendering import render_page
from genrestack_training.report.text import (
    FIGURES,
    LESS_IS_BETTER,
    decimal,
    interval,
    model_title,
    points,
    probability,
    share,
    signed,
)
from genrestack_training.run.run_record import Record


def comparison_html(comparison: Comparison) -> str:
    """Give two runs side by side as one self-contained HTML page."""
    a, b = comparison.first, comparison.second
    page = Page(
        title=f"{a.name} and {b.name}" if a.name != b.name else f"{a.name}, twice",
        kind="Two runs side by side",
        subtitle=f"A is {_told(a)}; B is {_told(b)}.",
        tiles=_tiles(comparison.pairings[0]),
        lead=tuple(verdict(pairing) for pairing in comparison.pairings),
        notes=comparison.notes,
        sections=(
            *(section for pairing in comparison.pairings for section in _sections(pairing)),
            _settings(a, b),
        ),
    )
    return render_page(page)


def _told(record: Record) -> str:
    facts = record.provenance
    return f"{record.name} (preset {facts.preset}, seed {facts.seed}, {facts.created})"


def _tiles(pairing: Pairing) -> tuple[Tile, ...]:
    """Give the headline figures of the most telling pairing."""
    shift, test = pairing.rows.figures["accuracy"], pairing.rows.test
    where = f"{pairing.rows.count} rows held back {NOUNS[pairing.split]} by both"
    d = shift.difference
    within = "" if d.lower is None or d.upper is None else f"95 % interval {points(d.lower)} to {points(d.upper)}"
    return (
        Tile("Accuracy of A", share(shift.first), note=where),
        Tile("Accuracy of B", share(shift.second), note=where),
        Tile("B less A, in points", points(d.value), within, strong=True),
        Tile(
            "p of the difference", probability(test.p), note=f"sign-flip test over {test.groups} {UNITS[pairing.unit]}"
        ),
    )


def _sections(pairing: Pairing) -> Iterator[Section]:
    key, how = pairing.split, f"rows held back {NOUNS[pairing.split]}"
    yield Section(
        f"figures-{key}",
        f"Figures, {how}",
        _left_out(pairing),
        (
            Exhibit("Accuracy, B less A", _differences(pairing)),
            Exhibit("Window by window" if pairing.songs else "", grid=_figures(pairing.rows, "rows")),
            *([Exhibit("Whole recordings", grid=_figures(pairing.songs, "recordings"))] if pairing.songs else []),
            Exhibit("Who is right", grid=_agreement(pairing)),
        ),
    )
    yield Section(f"classes-{key}", f"Each class, {how}", (_CLASSES,), (_classes(pairing),))


_CLASSES = "The share of each class's rows that is answered with it (recall), by both stacks."


def _left_out(pairing: Pairing) -> tuple[str, ...]:
    if not any(pairing.left_out):
        return ()
    a, b = pairing.left_out
    return (f"Left out are {a} rows that only A held back, and {b} that only B did.",)


def _differences(pairing: Pairing) -> Chart:
    lines = [charts.Whisker(model_title(n), s.difference, strong=n == "stack") for n, s in pairing.models.items()]
    if pairing.songs is not None:
        songs = pairing.songs.figures["accuracy"].difference
        lines.insert(1, charts.Whisker("Whole stack, recordings", songs, series=1, strong=True))
    told = ", ".join(f"{line.name} {signed(line.figure.value)}" for line in lines)
    text = f"Differences in accuracy with their paired intervals: {told}."
    axis = "accuracy of B less that of A"
    return charts.whiskers(f"differences-{pairing.split}", text, lines, axis=axis, zero=True)


def _figures(level: Level, what: str) -> Grid:
    rows = tuple(
        (
            f"{title}, less is better" if name in LESS_IS_BETTER else title,
            decimal(level.figures[name].first),
            decimal(level.figures[name].second),
            _difference(level.figures[name]),
        )
        for name, title in FIGURES.items()
    )
    test = f"chance alone makes as large a difference in accuracy with p = {probability(level.test.p)}"
    return Grid(f"Whole stacks on the same {level.count} {what}; {test}", ("Figure", "A", "B", "B less A"), rows)


def _difference(shift: Shift) -> str:
    within = interval(shift.difference)
    return signed(shift.difference.value) + (f" ({within})" if within else "")


def _agreement(pairing: Pairing) -> Grid:
    both, first, second, neither = pairing.agreement
    rows = (("A is right", str(both), str(first)), ("A is wrong", str(second), str(neither)))
    return Grid("Rows by who is right", ("", "B is right", "B is wrong"), rows)


def _classes(pairing: Pairing) -> Exhibit:
    lines = []
    for c in pairing.classes:
        lines.append(charts.Whisker(c.label, Figure(c.first, None, None)))
        lines.append(charts.Whisker(c.label, Figure(c.second, None, None), series=1))
    most = max(pairing.classes, key=lambda c: abs(c.second - c.first))
    text = (
        f"Recall of {len(pairing.classes)} classes by A and B; they differ most on {most.label}, with "
        f"{decimal(most.first)} and {decimal(most.second)}."
    )
    chart = charts.whiskers(f"recall-{pairing.split}", text, lines, axis="recall", legend=("A", "B"))
    rows = tuple(
        (c.label, decimal(c.first), decimal(c.second), signed(c.second - c.first), str(c.rows)) for c in pairing.classes
    )
    return Exhibit(chart=chart, grid=Grid("Recall of each class", ("Class", "A", "B", "B less A", "Rows"), rows))


def _settings(first: Record, second: Record) -> Section:
    differing = tuple(_differing(_flat(first), _flat(second)))
    line = "What they were made with is the same." if not differing else "What they were made with, where it differs."
    grid = Grid("Settings and provenance that differ", ("Setting", "A", "B"), differing, texts=3)
    return Section("settings", "What differs", (line,), (Exhibit(grid=grid),) if differing else ())


def _flat(record: Record) -> dict[str, str]:
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
