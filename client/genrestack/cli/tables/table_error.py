"""What is wrong with a table."""

from genrestack.errors import GenreStackError


class TableError(GenreStackError):
    """A file that cannot be read as a table of features; the message names file, line and column."""
