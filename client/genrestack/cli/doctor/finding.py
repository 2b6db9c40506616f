"""What was found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

Row = tuple[str, str, str, str]
"""A finding as other packages hand it over: subject, `ok`, `note` or `problem`, what was found, what to do."""


class State(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; most things work all the same."""
    PROBLEM = "problem"
    """Something will not work until it is fixed."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    found: str
    advice: str = ""
    """What to do; "" where nothing has to be done."""

    @classmethod
    def of(cls, row: Row) -> "Finding":
        """Convert what another package found."""
        subject, state, found, advice = row
        return cls(subject, State(state), found, advice)


def ok(subject: str, found: str) -> Finding:
    """Make a finding that needs nothing."""
    return Finding(subject, State.OK, found)


def note(subject: str, found: str, advice: str = "") -> Finding:
    """Make a finding that is worth knowing."""
    return Finding(subject, State.NOTE, found, advice)


def problem(subject: str, found: str, advice: str) -> Finding:
    """Make a finding that has to be fixed."""
    return Finding(subject, State.PROBLEM, found, advice)
