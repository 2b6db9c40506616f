"""A dict, tuple, list or plain object of a model and what belongs to it: which of its entries is what.

Entries are told apart by what they are. Their names count where two of a kind compete, and where what they are says
too little: a list of texts may hold anybody's names.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from genrestack_common.text import counted, listed, quoted
from genrestack_export.errors import ExportError, UnsupportedEstimator
from genrestack_export.finding.class_names import is_code, is_label_encoder, is_names, name_classes
from genrestack_export.finding.preprocessing import pick_transformers
from genrestack_export.finding.wrappers import Peeled, flatten, is_search, peel

_MODEL = {"model", "clf", "classifier", "estimator", "stack", "stacking", "ensemble", "voting", "pipeline", "pipe"}
_CLASSES = {
    "class",
    "classes",
    "label",
    "labels",
    "target",
    "targets",
    "genre",
    "genres",
    "category",
    "categories",
    "y",
}
_ENCODER = _CLASSES | {"encoder", "le", "lb"}
_FEATURES = {"feature", "features", "column", "columns", "cols", "names"}
# What belongs to the labels is not preprocessing of rows.
_OF_LABELS = {"label", "labels", "target", "targets", "y"}
# Containers are looked into this deep, and only where they are no longer than this: longer ones are data.
_DEPTH = 4
_LENGTH = 200

Entry = tuple[str, Any]
"""A dotted name, and the object."""


@dataclass(frozen=True)
class Contents:
    """What was found."""

    peeled: Peeled
    transformers: tuple[Any, ...] = ()
    """Fitted, those beside the model, from the one that raw rows pass first."""
    entries: tuple[Entry, ...] = ()

    def name_classes(self, known: Any) -> tuple[tuple[str, ...] | None, str]:
        """Return the names that an entry has for the classes of the model, and what they are from; or None and "".

        Raises:
            ExportError: entries have different names for them.

        """
        fitting: list[tuple[str, tuple[str, ...], str]] = []
        for name, value in self.entries:
            if not _may_name_classes(name, value, known, self.peeled.model):
                continue
            try:
                said = type(value).__name__ if is_label_encoder(value) or _is_place(name) else quoted(name)
                fitting.append((name, name_classes(value, known), said))
            except ExportError:
                continue
        if not fitting:
            left = listed(
                f"{type(value).__name__} {quoted(name)}" for name, value in self.entries if is_label_encoder(value)
            )
            return None, f"the model: left aside {left}, which knows other classes" if left else ""
        distinct = list({names: (names, said) for _, names, said in reversed(fitting)}.values())
        if len(distinct) > 1:
            distinct = list(
                {names: (names, kind) for name, names, kind in fitting if _tokens(name) & _ENCODER}.values()
            )
        if len(distinct) != 1:
            raise ExportError(
                f"several entries name the classes differently: {listed(quoted(name) for name, _, _ in fitting)}; "
                "leave in the one that is meant, or say it with classes"
            )
        return distinct[0]

    def feature_names(self, first: Any) -> tuple[str, ...] | None:
        """Return the names that an entry has for the columns that `first` was fitted on, or None."""
        width = getattr(first, "n_features_in_", None)
        lists = {
            tuple(map(str, value))
            for name, value in self.entries
            if is_names(value) and len(value) == width and _tokens(name) & _FEATURES and not _tokens(name) & _CLASSES
        }
        return lists.pop() if len(lists) == 1 else None


def look_into(obj: Any) -> Contents:
    """Find the model in an estimator or a container, and what lies beside it.

    Raises:
        ExportError: there are several models, or several transformers whose order nobody knows.
        UnsupportedEstimator: there is no model in it.

    """
    if not _is_container(obj) and not _is_holder(obj):
        peeled = peel(obj)
        _check_no_code(peeled.model)
        return Contents(peeled)
    entries = tuple(_walk("", obj, _DEPTH))
    peeled = _pick_model(obj, [(name, value) for name, value in entries if is_model(value)])
    beside = [
        (name, one)
        for name, value in entries
        if is_transformer(value) and not (_tokens(name) & _OF_LABELS)
        for one in [tuple(flatten(value))]
    ]
    return Contents(peeled, pick_transformers(beside, peeled), entries)


def is_model(value: Any) -> bool:
    """Return whether it answers rows with classes, or with anything at all."""
    return not isinstance(value, type) and (is_search(value) or hasattr(value, "predict"))


def is_transformer(value: Any) -> bool:
    """Return whether it changes rows and does not answer them."""
    if isinstance(value, type) or is_model(value) or is_label_encoder(value):
        return False
    return hasattr(value, "transform") and hasattr(value, "fit")


def _is_container(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return not is_names(value)
    if isinstance(value, np.ndarray):
        return value.dtype == object and value.ndim <= 1
    kept = not isinstance(value, type) and is_dataclass(value) and not hasattr(value, "predict")
    return kept or isinstance(value, Mapping | SimpleNamespace)


def _is_holder(value: Any) -> bool:
    """Return whether it is an object of somebody's own class that only keeps things together."""
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    return not any(hasattr(value, name) for name in ("fit", "predict", "transform", "__array__", "__call__", "__len__"))


def _walk(path: str, value: Any, depth: int) -> Iterator[Entry]:
    """Yield the entries of a container and of containers in it."""
    for name, item in _items(value):
        inner = f"{path}.{name}" if path else name
        yield inner, item
        if depth > 1 and _is_container(item):
            yield from _walk(inner, item, depth - 1)


def _items(value: Any) -> Iterator[Entry]:
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif hasattr(value, "_fields"):
        items = zip(value._fields, value, strict=True)
    elif is_dataclass(value):
        items = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif isinstance(value, Sequence):
        # ("scaler", scaler), as the steps of a pipeline are written
        items = [(i[0], i[1]) if _is_step(i) else (f"{n}", i) for n, i in enumerate(value)]
    else:
        items = vars(value).items()
    if len(items := list(items)) <= _LENGTH:
        yield from ((str(name), item) for name, item in items)


def _is_step(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and hasattr(value[1], "fit")


def _is_place(name: str) -> bool:
    """Return whether an entry has no name of its own, but a place in a list."""
    return name.rsplit(".", 1)[-1].isdigit()


def _tokens(name: str) -> set[str]:
    """Return the words of the last part of a name: `artifacts.labelEncoder_v2` has label, encoder, v and 2."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.rsplit(".", 1)[-1])
    return {word.lower() for word in re.findall(r"[^\W\d_]+|\d+", spaced)}


# the model


def _pick_model(container: Any, models: list[Entry]) -> Peeled:
    what = type(container).__name__
    if not models:
        held = listed(f"{name}: {type(value).__name__}" for name, value in _items(container)) or "nothing"
        supported = "a fitted sklearn.ensemble.StackingClassifier, alone or in a dict, tuple or list with its scaler"
        raise UnsupportedEstimator("the stack", what, f"{supported}; this one holds {held}")
    candidates = [(name, peel(value)) for name, value in models]
    for test in (_is_stack, _classifies, lambda _: True):
        if kept := [entry for entry in candidates if test(entry[1].model)]:
            candidates = kept
            break
    candidates = [entry for entry in candidates if _is_fitted(entry[1].model)] or candidates
    # One model alone and in its pipeline is one model, and the pipeline says more of it.
    distinct: dict[int, Entry] = {}
    for name, peeled in sorted(candidates, key=lambda entry: len(entry[1].transformers)):
        distinct[id(peeled.model)] = (name, peeled)
    candidates = list(distinct.values())
    if len(candidates) > 1:
        candidates = [entry for entry in candidates if _tokens(entry[0]) & _MODEL] or candidates
    if len(candidates) > 1:
        names = listed(f"{quoted(name)} ({type(peeled.model).__name__})" for name, peeled in candidates)
        raise ExportError(
            f"the {what} holds {counted(len(candidates), 'model')}: {names}; export the one that is meant, alone or "
            "with its scaler"
        )
    return candidates[0][1]


def _check_no_code(model: Any) -> None:
    """Refuse a class of somebody's own that answers by a stack in it: what else it does is code."""
    inside = {} if isinstance(model, type) or _is_stack(model) else getattr(model, "__dict__", {})
    held = {name: value for name, value in inside.items() if is_model(value) or is_transformer(value)}
    public = type(model).__module__.split(".")[0]
    if public != "sklearn" and any(is_model(value) and _is_stack(peel(value).model) for value in held.values()):
        names = listed(f"{name}: {type(value).__name__}" for name, value in held.items())
        raise UnsupportedEstimator(
            "the stack",
            type(model).__name__,
            f"a fitted StackingClassifier; this class answers by code of its own, and holds {names}: if it only passes "
            "rows from one to the next, export those in a dict",
        )


def _is_stack(model: Any) -> bool:
    return isinstance(model, StackingClassifier)


def _classifies(model: Any) -> bool:
    try:
        return bool(is_classifier(model)) or hasattr(model, "predict_proba")
    except (AttributeError, TypeError, ValueError):  # an object that is not scikit-learn's
        return hasattr(model, "predict_proba")


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


# names of classes


def _may_name_classes(name: str, value: Any, known: Any, model: Any) -> bool:
    """Return whether an entry names classes: an encoder or a dict of all codes does, a list needs a name or a place."""
    if is_label_encoder(value):
        return True
    if isinstance(value, Mapping):
        return len(value) == len(known) and all(map(is_code, known)) and _is_code_map(value)
    if not is_names(value) or len(value) != len(known):
        return False
    if _is_place(name):
        return bool(len(known) != getattr(model, "n_features_in_", None))
    return bool(_tokens(name) & _CLASSES)


def _is_code_map(value: Mapping[Any, Any]) -> bool:
    test: Callable[[Any], bool] = is_code
    return all(map(test, value.keys())) or all(map(test, value.values()))
