"""What is wrong with a table's file."""

from pathlib import Path


class TableFileError(Exception):
    """What a table's file is or has, and what to do, in one line that goes on behind the file's name: `is empty; …`."""

    def of(self, path: Path) -> str:
        """Return the whole line."""
        line = str(self)
        return f"{path}{line}" if line.startswith(":") else f"{path} {line}"
