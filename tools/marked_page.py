"""Pages of the documentation with a passage that a tool writes, between two marks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MarkedPage:
    """A page and its two marks, each a comment that is not shown."""

    path: Path
    begin: str
    end: str

    def text(self) -> str:
        """Return the page as it is."""
        return self.path.read_text(encoding="utf-8")

    def with_passage(self, passage: str) -> str:
        """Return the page with a passage in the place of the one between its marks."""
        head, _, rest = self.text().partition(self.begin)
        _, _, tail = rest.partition(self.end)
        return f"{head}{self.begin}\n{passage}\n{self.end}{tail}"

    def write(self, passage: str) -> None:
        """Put a passage between its marks."""
        self.path.write_text(self.with_passage(passage), encoding="utf-8")
