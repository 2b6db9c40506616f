"""A comparison in one sentence, and as a table for a terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from genrestack_training.comparison import Comparison, Pairing, Shift
from genrestack_training.grouping import UNITS
from genrestack_training.headline import NOUNS

_CHANCE = 0.05
_TITLES = {"accuracy": "accuracy", "macro_f1": "F1", "log_loss": "loss", "brier": "Brier", "ece": "ECE"}


def verdict(pairing: Pairing) -> str:
    """Say in plain words how two runs compare on the rows that both held back, and whether it may be chance."""
    shift, test = pairing.rows.figures["accuracy"], pairing.rows.test
    sure = "more than chance would make" if test.p < _CHANCE else "no more than chance may make"
    method = "every turn counted" if test.exact else "10,000 turns"
    return (
        f"Of the {pairing.rows.count} rows that both held back {NOUNS[pairing.split]}, A answers {shift.first:.3f} "
        f"right and B {shift.second:.3f}: {_difference(shift)}. That is {sure} (p = {test.p:.2g} by a sign-flip test "
        f"over {test.groups} {UNITS[pairing.unit]}, {method})."
    )


def _difference(shift: Shift) -> str:
    d = shift.difference
    found = f"B less A is {d.value:+.3f}"
    if d.lower is not None and d.upper is not None:
        found += f", with a paired 95 % interval of {d.lower:+.3f} to {d.upper:+.3f}"
    return found.replace("-", "−")


def render_comparison(comparison: Comparison) -> RenderableType:
    """Give a comparison as something a rich console prints."""
    parts: list[RenderableType] = []
    for letter, record in (("A", comparison.first), ("B", comparison.second)):
        facts = record.provenance
        parts.append(Text(f"{letter}: {record.name}, preset {facts.preset}, seed {facts.seed}, {facts.created}"))
    for pairing in comparison.pairings:
        parts += [Text(f"{pairing.rows.count} rows held back {NOUNS[pairing.split]} by both", style="bold")]
        parts += [_table(pairing), Text(verdict(pairing))]
    return Group(*parts, *(Text(note) for note in comparison.notes))


def _table(pairing: Pairing) -> Table:
    table = Table("", box=box.SIMPLE)
    for heading in ("A", "B", "B less A", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, title in _TITLES.items():
        p = f"{pairing.rows.test.p:.2g}" if name == "accuracy" else ""
        _row(table, title, pairing.rows.figures[name], p)
    if pairing.songs is not None:
        _row(table, "accuracy, songs", pairing.songs.figures["accuracy"], f"{pairing.songs.test.p:.2g}")
    for name, shift in pairing.models.items():
        if name != "stack":
            _row(table, f"accuracy, {name} alone", shift, "")
    return table


def _row(table: Table, title: str, shift: Shift, p: str) -> None:
    d = shift.difference
    within = "" if d.lower is None or d.upper is None else f" [{d.lower:+.3f}, {d.upper:+.3f}]"
    table.add_row(Text(title), f"{shift.first:.3f}", f"{shift.second:.3f}", f"{d.value:+.3f}{within}", p)
