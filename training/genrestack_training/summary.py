"""A run's figures as tables for a terminal."""

import io

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from genrestack_training.evaluation import Evaluation
from genrestack_training.run import Run


def render(run: Run) -> RenderableType:
    """Give a run's figures as something a rich console prints: accuracies, each class, and what they measure."""
    meaning = Text(run.provenance.split_meaning)
    warnings = [Text(line) for line in run.provenance.warnings]
    if run.evaluation is None:
        return Group(meaning, *warnings)
    accuracies, classes = accuracy_table(run.evaluation), class_table(run.evaluation)
    held_back = Text(f"Accuracy on {run.evaluation.rows} rows held back", style="bold")
    return Group(
        held_back,
        accuracies,
        Text("Each class, answered by the whole stack", style="bold"),
        classes,
        meaning,
        *warnings,
    )


def report_text(run: Run, *, width: int = 100) -> str:
    """Give the same as plain text, without colours, at most `width` columns wide."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(render(run))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def accuracy_table(evaluation: Evaluation) -> Table:
    """Give the stack's accuracy with each base model's below it."""
    table = Table("model", box=box.SIMPLE)
    table.add_column("accuracy", justify="right")
    table.add_row("the whole stack", f"{evaluation.accuracy:.3f}", style="bold")
    for name, accuracy in evaluation.base_accuracy.items():
        table.add_row(Text(f"{name} alone"), f"{accuracy:.3f}")
    return table


def class_table(evaluation: Evaluation) -> Table:
    """Give precision, recall, F1 and number of rows of each class."""
    table = Table("class", box=box.SIMPLE)
    for heading in ("precision", "recall", "F1", "rows"):
        table.add_column(heading, justify="right")
    for c in evaluation.classes:
        table.add_row(Text(c.label), f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", str(c.support))
    return table
