"""What was done, what was answered, and whether that is an answer to be proud of."""

import re
from dataclasses import dataclass

# What a person must never be shown: traces, our own files, objects without a text of their own.
_INTERNAL = re.compile(r"Traceback|File \"|site-packages|\.(?:py|c):\d+|object at 0x|<class |Errno|/tmp/|/genrestack_")
_MOST_CHARACTERS = 700


@dataclass(frozen=True)
class Finding:
    """One bad input and its answer."""

    title: str
    done: str
    """The command or call, as a person would write it."""
    status: str
    """`exit status 1`, or the gRPC code, or the exception's class."""
    message: str
    fields: tuple[tuple[str, str], ...] = ()
    """Field violations of a refused call."""
    stdout: str = ""
    quiet: bool = False
    """Nothing at all is the right answer: Ctrl-C."""

    def faults(self) -> list[str]:
        """Name what is wrong with the answer; empty for a good one."""
        everything = self.message + "".join(description for _, description in self.fields)
        found = []
        if self.quiet != (not self.message):
            found.append("says something where nothing was asked" if self.quiet else "says nothing")
        if hit := _INTERNAL.search(everything):
            found.append(f"shows {hit[0]!r}")
        said = [line for line in self.message.splitlines() if line and not line.startswith(("Usage: ", "Try 'genre"))]
        if len(said) > 2 or len(everything) > _MOST_CHARACTERS:
            found.append(f"takes {len(said)} lines and {len(everything)} characters")
        if "Error" in self.stdout:
            found.append("speaks of the error on standard output")
        if self.status in {"exit status 0", "no exit", "OK"}:
            found.append("is not a failure")
        return found

    def markdown(self) -> str:
        """Write it as a section of a page."""
        answer = [self.message] if self.message else []
        answer += [f"    {field}: {description}" for field, description in self.fields]
        lines = [f"**{self.title}** ({self.status})", "", "```text", self.done, *answer, "```", ""]
        return "\n".join(lines)
