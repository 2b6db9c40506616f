"""What `kubectl kustomize` makes of a folder, as far as ours go: resources, components, patches, images, namespace."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
K8S = Path(__file__).parents[2] / "deploy" / "k8s"
_KNOWN = {"apiVersion", "kind", "resources", "components", "patches", "images", "namespace"}
_CLUSTER_WIDE = {"Namespace"}
# Lists whose entries are merged by this key; others are replaced.
_KEYS = ("name", "mountPath", "containerPort")


def load(path: Path) -> list[Object]:
    """Read the documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def build(folder: Path) -> list[Object]:
    """Put together what this folder's kustomization names."""
    return _built(folder, [])


def named(objects: list[Object], kind: str, name: str = "genrestack") -> Object:
    """Find one object."""
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def _built(folder: Path, given: list[Object]) -> list[Object]:
    (wanted,) = load(folder / "kustomization.yaml")
    assert set(wanted) <= _KNOWN, f"{folder}: {set(wanted) - _KNOWN}"
    objects = deepcopy(given)
    for entry in wanted.get("resources", []):
        path = folder / entry
        objects += build(path) if path.is_dir() else load(path)
    for entry in wanted.get("components", []):
        objects = _built(folder / entry, objects)
    for entry in wanted.get("patches", []):
        (patch,) = load(folder / entry["path"])
        target = named(objects, patch["kind"], patch["metadata"]["name"])
        target.update(_merged(target, patch))
    for image in wanted.get("images", []):
        for container in _containers(objects):
            name = container["image"].rpartition(":")[0]
            if name == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    if "namespace" in wanted:
        for each in objects:
            if each["kind"] not in _CLUSTER_WIDE:
                each["metadata"]["namespace"] = wanted["namespace"]
    return objects


def _containers(objects: list[Object]) -> Iterator[Object]:
    for each in objects:
        yield from each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        kept = {key: value for key, value in old.items() if not (key in new and new[key] is None)}
        changed = {key: _merged(old.get(key), value) for key, value in new.items() if value is not None}
        return kept | changed
    if isinstance(old, list) and isinstance(new, list):
        key = next((k for k in _KEYS if all(isinstance(e, dict) and k in e for e in (*old, *new))), None)
        if key is not None:
            return list(_by_key(old, key, new).values())
    return new


def _by_key(old: list[Object], key: str, new: list[Object]) -> dict[Any, Object]:
    entries = {entry[key]: entry for entry in old}
    for entry in new:
        entries[entry[key]] = _merged(entries.get(entry[key], {}), entry)
    return entries


def in_order(value: Any) -> Any:
    """Bring entries of lists that have names, and objects, into one order, so that two builds can be compared."""
    if isinstance(value, dict):
        return {key: in_order(each) for key, each in value.items()}
    if isinstance(value, list):
        items = [in_order(each) for each in value]
        return (
            sorted(items, key=partial(json.dumps, sort_keys=True))
            if all(isinstance(each, dict) for each in items)
            else items
        )
    return value
