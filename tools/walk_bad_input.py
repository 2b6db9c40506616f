"""Walk through every bad input over the real command and the real port, and write down what is answered.

    python tools/walk_bad_input.py                        # print the page
    python tools/walk_bad_input.py --write docs/errors.md
    python tools/walk_bad_input.py --only wire client

Exit status 1 if an answer shows something internal, takes more than two lines, or is not a failure at all.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# Certificates are made as the tests make theirs.
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from tools.bad_input import client, export, machine, serving, training, wire
from tools.bad_input.finding import Finding
from tools.bad_input.world import World

SECTIONS = {
    "training": training, "export": export, "serving": serving, "wire": wire, "client": client, "machine": machine,
}  # fmt: skip
HEAD = """# What is said when something is wrong

Bad input of every kind, given to the real command and the real port, and the answer, word for word. Made by
`python tools/walk_bad_input.py --write docs/errors.md`. Lines indented below an answer are its field violations.

Two answers are gRPC's own, given before a request reaches our code: to a message of more than twice the size limit,
which is refused unread, and to a method that does not exist.
"""


def main() -> int:
    """Walk, print or write, and judge."""
    options = _options()
    with _world() as world:
        sections = {name: list(_walked(SECTIONS[name].walk(world))) for name in options.only}
    page = _page(sections)
    if options.write is None:
        print(page)
    else:
        options.write.write_text(page, encoding="utf-8")
    return _judge([finding for findings in sections.values() for finding in findings])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there instead of printing it")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="walk these parts only")
    return parser.parse_args()


@contextmanager
def _world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="genrestack-walk-") as folder:
        yield World(Path(folder))


def _walked(findings: Iterator[Finding]) -> Iterator[Finding]:
    for finding in findings:
        print(f"{finding.title}: {finding.status}", file=sys.stderr)
        yield finding


def _page(sections: dict[str, list[Finding]]) -> str:
    parts = [HEAD]
    for name, findings in sections.items():
        parts += [f"## {SECTIONS[name].TITLE}\n", *(finding.markdown() for finding in findings)]
    return "\n".join(parts)


def _judge(findings: list[Finding]) -> int:
    bad = [(finding, faults) for finding in findings if (faults := finding.faults())]
    for finding, faults in bad:
        print(f"NOT GOOD: {finding.title}: {'; '.join(faults)}\n{finding.message}", file=sys.stderr)
    print(f"{len(findings)} bad inputs, {len(bad)} answers that are not good", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
