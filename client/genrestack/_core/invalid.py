"""The error for a setting that cannot be used."""

from genrestack.errors import InvalidInput, Violation


def invalid(name: str, what: str) -> InvalidInput:
    """Make the error for a setting called `name`."""
    return InvalidInput(f"{name} {what}", [Violation(name, what)])
