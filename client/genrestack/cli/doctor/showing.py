"""Findings as a person or a program reads them."""

import io
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from genrestack.cli.doctor.finding import Finding, State
from genrestack.cli.terminal import json_text
from genrestack_common.text import printable

_MARKS: Final = {State.OK: ("ok", "green"), State.NOTE: ("note", "yellow"), State.PROBLEM: ("PROBLEM", "bold red")}


def as_json(findings: Sequence[Finding]) -> str:
    """Write them as one JSON object: `findings`, and how many there are of each state."""
    counts = Counter(finding.state for finding in findings)
    return json_text(
        {"findings": [asdict(finding) for finding in findings], **{state: counts[state] for state in State}}, indent=2
    )


def show(findings: Sequence[Finding]) -> None:
    """Print them as a table, with what to do below each, and how many problems there are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Of all commands this one has to work where letters do not.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console()
    arrow = "→" if console.encoding.startswith("utf") else "->"
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        word, style = _MARKS[finding.state]
        table.add_row(Text(word, style), Text(printable(finding.subject)), Text(printable(finding.found)))
        if finding.advice:
            table.add_row("", "", Text(f"{arrow} {printable(finding.advice)}", "cyan"))
    console.print(table)
    console.print(Text(_verdict(Counter(finding.state for finding in findings))))


def _verdict(counts: "Counter[State]") -> str:
    problems, notes = counts[State.PROBLEM], counts[State.NOTE]
    if not problems:
        return f"No problems found; {_counted(notes, 'note')}." if notes else "No problems found."
    also = f", {_counted(notes, 'note')}" if notes else ""
    return f"{_counted(problems, 'problem')}{also}: what to do is below each."


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
