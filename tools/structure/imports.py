"""Count a package's modules, its folders and the imports between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp

Graph = Mapping[str, frozenset[str]]
"""What each module (or box) imports of the same package."""

_GENERATED: Final = ("_pb2.py", "_pb2_grpc.py")


@dataclass(frozen=True)
class PackageCounts:
    """What is counted of one package; generated code is left out.

    A *box* is what a newcomer sees on opening the package's folder: a module or a folder.
    """

    modules: int
    lines: int
    folders: int
    modules_of_largest_folder: int
    lines_of_longest_module: int
    imports: int
    boxes: int
    box_imports: int
    levels: int
    box_cycles: int
    """Groups of boxes that import each other in a circle."""
    cycles: int
    """The same of modules; an import for the type checker alone does not count."""


def count_package(folder: Path) -> PackageCounts:
    """Count a package whose parent folder is on the path.

    Raises:
        ValueError: there is no such package.

    """
    files = [path for path in sorted(folder.rglob("*.py")) if not path.name.endswith(_GENERATED)]
    if not files:
        message = f"{folder} is not a package: it has no modules"
        raise ValueError(message)
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    # `__init__.py` and `__main__.py` are there in every package and nobody chooses among them.
    chosen = [path for path in files if not path.name.startswith("__")]
    in_folder = {parent: sum(path.parent == parent for path in chosen) for parent in {path.parent for path in chosen}}
    modules = _import_graph(folder.name)
    boxes = _boxes(modules, folder.name)
    groups = _circles(boxes)
    return PackageCounts(
        modules=len(files),
        lines=sum(lines.values()),
        folders=len({path.parent for path in files}),
        modules_of_largest_folder=max(in_folder.values(), default=0),
        lines_of_longest_module=max(lines.values()),
        imports=sum(map(len, modules.values())),
        boxes=len(boxes),
        box_imports=sum(map(len, boxes.values())),
        levels=_levels(boxes, groups),
        box_cycles=_count_circles(boxes),
        cycles=_count_circles(_import_graph(folder.name, type_checking=False)),
    )


def _import_graph(package: str, *, type_checking: bool = True) -> Graph:
    graph = grimp.build_graph(package, cache_dir=None, exclude_type_checking_imports=not type_checking)
    names = {name for name in graph.modules if not f"{name.rpartition('.')[2]}.py".endswith(_GENERATED)}
    return {name: frozenset(graph.find_modules_directly_imported_by(name) & names) for name in sorted(names)}


def _boxes(modules: Graph, package: str) -> Graph:
    found: dict[str, set[str]] = {}
    for name, imported in modules.items():
        if name == package:
            continue
        box = _box(name)
        targets = {_box(other) for other in imported if other != package}
        found.setdefault(box, set()).update(targets - {box})
    return {box: frozenset(targets) for box, targets in found.items()}


def _box(module: str) -> str:
    return module.split(".")[1]


def _count_circles(graph: Graph) -> int:
    return sum(len(group) > 1 for group in set(_circles(graph).values()))


def _circles(graph: Graph) -> Mapping[str, frozenset[str]]:
    """Return for each box those it reaches that reach it, itself among them."""
    reach = {box: _reachable(graph, box) for box in graph}
    return {box: frozenset({box} | {other for other in reach[box] if box in reach[other]}) for box in graph}


def _reachable(graph: Graph, start: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        box = waiting.pop()
        if box not in seen:
            seen.add(box)
            waiting.extend(graph[box])
    return frozenset(seen)


def _levels(graph: Graph, groups: Mapping[str, frozenset[str]]) -> int:
    """Count the levels from the boxes that import none to those that nobody imports; a circle is on one level."""
    height: dict[frozenset[str], int] = {}

    def measure(group: frozenset[str]) -> int:
        if group not in height:
            below = {groups[target] for box in group for target in graph[box]} - {group}
            height[group] = 1 + max(map(measure, below), default=0)
        return height[group]

    return max(map(measure, set(groups.values())), default=0)
