"""Dataclasses ⇄ plain JSON values, and the JSON Schema that says so."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

_JSON_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def to_json(value: Any) -> Any:
    """Convert dataclasses, mappings, tuples, texts and numbers to plain JSON values."""
    if is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: Any, value: Any) -> Any:
    """Reverse `to_json`.

    Raises:
        TypeError, KeyError: the value is not of that kind.

    """
    if kind is Any:
        return value
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        # A field with a default is one that older files lack.
        there = [f.name for f in fields(kind) if f.default is MISSING or f.name in value]
        return kind(**{name: from_json(hints[name], value[name]) for name in there})  # type: ignore[operator]  # a class
    if get_origin(kind) in {Union, types.UnionType}:
        (other,) = (k for k in get_args(kind) if k is not type(None))
        return None if value is None else from_json(other, value)
    if get_origin(kind) is tuple:
        return tuple(from_json(get_args(kind)[0], item) for item in value)
    if get_origin(kind) is Mapping:
        return {key: from_json(get_args(kind)[1], item) for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value


def json_schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of what `to_json` makes of a dataclass."""
    definitions: dict[str, Any] = {}
    return {**_schema(kind, definitions), "definitions": definitions}


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind is Any:
        return {}
    if is_dataclass(kind):
        name: str = kind.__name__  # type: ignore[union-attr]  # a class
        if name not in definitions:
            definitions[name] = {}
            definitions[name] |= _object(kind, definitions)
        return {"$ref": f"#/definitions/{name}"}
    if get_origin(kind) in {Union, types.UnionType}:
        return {"anyOf": [_schema(k, definitions) for k in get_args(kind)]}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], definitions)}
    if get_origin(kind) is Mapping:
        return {"type": "object", "additionalProperties": _schema(get_args(kind)[1], definitions)}
    return {"type": _JSON_NAMES[kind]}


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints, names = get_type_hints(kind), [f.name for f in fields(kind)]
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {name: _schema(hints[name], definitions) for name in names},
        "required": [f.name for f in fields(kind) if f.default is MISSING],
        "additionalProperties": False,
    }
