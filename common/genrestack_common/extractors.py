"""Which features a table holds: what computed them, as a table, a run and a bundle say it."""

import re
from dataclasses import dataclass
from typing import Final

COLUMN: Final = "extractor"
"""Column of a table that says it, the same text in every row; absent where the features are the spectral ones."""
SPECTRAL: Final = "spectral"
"""The 57 numbers of the published tables."""
TAGS: Final = "tags"
"""The 50 outputs of a pre-trained tagger."""
BOTH: Final = "spectral+tags"
KINDS: Final = (SPECTRAL, TAGS, BOTH)
_TEXT = re.compile(rf"({'|'.join(map(re.escape, KINDS))}) ([0-9a-f]{{64}})")


OTHER_TAGGER: Final = (
    "its column 'extractor' names another tagger than {model} was trained with; compute the table with that one, or "
    "train on tags of this one"
)
"""Complaint about a table."""


@dataclass(frozen=True)
class Extractor:
    """What computed the features of a table."""

    kind: str = SPECTRAL
    """One of `KINDS`."""
    sha256: str = ""
    """Hex digest of the tagger's file; empty where no tagger took part."""

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256}".rstrip()

    @classmethod
    def parse(cls, text: str) -> "Extractor":
        """Read what `str` wrote of one with a tagger.

        Raises:
            ValueError: the text is none.

        """
        found = _TEXT.fullmatch(text)
        if found is None or found[1] == SPECTRAL:
            raise ValueError(f"{text!r} is not an extractor")
        return cls(found[1], found[2])


def same_tagger(first: Extractor | None, second: Extractor | None) -> bool:
    """Return whether tags of both mean the same, as far as both are known."""
    return first is None or second is None or first.sha256 == second.sha256
