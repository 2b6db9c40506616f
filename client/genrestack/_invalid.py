"""The error for a setting or argument that cannot be used."""

from genrestack.errors import InvalidInput, Violation


def invalid(name: str, complaint: str) -> InvalidInput:
    """Make the error for a setting called `name`."""
    return InvalidInput(f"{name} {complaint}", [Violation(name, complaint)])
