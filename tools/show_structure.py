"""Count modules, imports and cycles, and follow a one-row `Predict`: how the packages are built, in figures.

python tools/show_structure.py                                          # today's
python tools/show_structure.py --since tools/structure/before.json      # beside those kept there
python tools/show_structure.py --save figures.json                      # keep them
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from tools.structure.imports import count_package
from tools.structure.request_path import follow_predict

ROOT: Final = Path(__file__).resolve().parent.parent
_FOLDERS: Final = ("proto", "common", "client", "bundle", "server", "training", "export", "audio")

Figures = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Table → row → column → figure."""


def packages() -> dict[str, Path]:
    """Return the folder of each import package."""
    found = {}
    for name in _FOLDERS:
        for init in sorted((ROOT / name).glob("genrestack*/__init__.py")):
            found[init.parent.name] = init.parent
    return found


def measure() -> Figures:
    """Count every package and follow a call."""
    folders = packages()
    paths = follow_predict(folders["genrestack"], folders["genrestack_server"])
    return {
        "packages": {name: asdict(count_package(folder)) for name, folder in folders.items()},
        "request path": {name: asdict(path) for name, path in paths.items()},
    }


def to_markdown(figures: Figures, before: Figures) -> str:
    """Return the tables; a figure that was another before is written `before → now`."""
    parts = []
    for table, rows in figures.items():
        columns = list(next(iter(rows.values())))
        lines = [f"| {table} | {' | '.join(column.replace('_', ' ') for column in columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for row, values in rows.items():
            old = before.get(table, {}).get(row, {})
            lines.append(f"| `{row}` | {' | '.join(_figure(values[column], old.get(column)) for column in columns)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _figure(now: int, before: int | None) -> str:
    return f"{now:,}" if before is None or before == now else f"{before:,} → {now:,}"


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", type=Path, metavar="FILE", help="show the figures kept in a file beside today's")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep today's figures in a file")
    arguments = parser.parse_args()
    before: Figures = json.loads(arguments.since.read_text(encoding="utf-8")) if arguments.since else {}
    figures = measure()
    sys.stdout.write(to_markdown(figures, before) + "\n")
    if arguments.save:
        arguments.save.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
