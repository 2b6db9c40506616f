"""The model in what somebody pickled: a pipeline, a search, a frozen estimator, a dict, or several of them at once.

`wrappers` takes off what is around one estimator, `contents` looks into containers; here both come together.
"""

from typing import Any

from genrestack_common.text import listed
from genrestack_export.errors import ExportError
from genrestack_export.finding.class_names import is_label_encoder, name_classes
from genrestack_export.finding.contents import Contents, look_into
from genrestack_export.finding.preprocessing import check_not_twice, feeds, same_fits
from genrestack_export.finding.source_model import SourceModel
from genrestack_export.finding.wrappers import Peeled, flatten, join


def unwrap(obj: Any, scaler: Any = None, classes: Any = None) -> SourceModel:
    """Find the model and what belongs to it.

    Args:
        obj: a fitted estimator, a `Pipeline`, a search, or a container of a model and what belongs to it.
        scaler: a fitted transformer in front of `obj`, if there is one that `obj` does not contain.
        classes: a fitted `LabelEncoder`, names in the order of `model.classes_`, or a dict from code to name; takes
            precedence over what `obj` contains.

    Raises:
        ExportError: nothing in it is a model, several are, or a search kept no fitted model.
        UnsupportedEstimator: what was found is of a kind that cannot be exported.

    """
    found = look_into(obj)
    transformers = _in_front(scaler, found)
    known = _classes(found.peeled.model)
    names, source = (None, "") if known is None else found.name_classes(known)
    if classes is not None and known is not None:
        names, source = name_classes(classes, known), _origin(classes)
    first = transformers[0] if transformers else found.peeled.model
    fitted_names = getattr(first, "feature_names_in_", None)
    return SourceModel(
        model=found.peeled.model,
        preprocessing=join(transformers),
        classes=names,
        feature_names=found.feature_names(first) if fitted_names is None else tuple(map(str, fitted_names)),
        found=_describe(found.peeled, transformers, source),
    )


def _classes(model: Any) -> Any:
    """Return the classes that a model knows; a bare network knows codes, one an output."""
    shape = getattr(model, "output_shape", None)
    if hasattr(model, "classes_") or not isinstance(shape, tuple):
        return getattr(model, "classes_", None)
    # One sigmoid speaks of two classes.
    return range(max(int(shape[-1] or 0), 2))


def _in_front(scaler: Any, found: Contents) -> tuple[Any, ...]:
    """Return all transformers that raw rows pass, those of `scaler` first."""
    inside: tuple[Any, ...] = (*found.transformers, *found.peeled.transformers)
    given = tuple(flatten(scaler))
    if not given or same_fits(given, inside):
        return inside
    behind = (*found.peeled.transformers, found.peeled.model)[0]
    if found.transformers and feeds(given[-1], behind):
        raise ExportError(
            f"a scaler was given, and {type(found.transformers[0]).__name__} lies beside the model as well; leave one "
            "of the two out"
        )
    check_not_twice(given, inside, "the scaler that was given")
    return (*given, *inside)


def _origin(classes: Any) -> str:
    return type(classes).__name__ if is_label_encoder(classes) else "the names given"


def _describe(peeled: Peeled, transformers: tuple[Any, ...], labels: str) -> str:
    chain = " -> ".join([*(type(one).__name__ for one in transformers), _describe_model(peeled.model)])
    best = f" (the best of {' in '.join(peeled.searches)})" if peeled.searches else ""
    return f"{chain}{best}{f'; labels from {labels}' if labels else ''}"


def _describe_model(model: Any) -> str:
    members = [name for name, member in getattr(model, "estimators", ()) if member is not None and member != "drop"]
    return f"{type(model).__name__}{f' of {listed(members)}' if members else ''}"
