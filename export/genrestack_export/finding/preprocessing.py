"""The transformers that lie beside a model: which of them rows pass, and in which order."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from genrestack_common.text import listed, quoted
from genrestack_export.errors import ExportError
from genrestack_export.finding.wrappers import Peeled

# More transformers than this are not put in order by their widths.
_ORDERED = 4

Chain = tuple[Any, ...]
"""Fitted transformers, from the one that raw rows pass first."""


def pick_transformers(beside: list[tuple[str, Chain]], peeled: Peeled) -> Chain:
    """Return the transformers beside the model in their order, without copies of those in its pipeline.

    Args:
        beside: transformers by the name of their entry.
        peeled: the model, and the transformers of its pipeline.

    Raises:
        ExportError: there are several and their widths allow none or more than one order, or the last is of the kind
            that the pipeline begins with.

    """
    chains: list[tuple[str, Chain]] = []
    for name, chain in sorted(beside, key=lambda entry: -len(entry[1])):
        known = [*peeled.transformers, *(one for _, other in chains for one in other)]
        if chain and not all(any(_same_fit(one, other) for other in known) for one in chain):
            chains.append((name, chain))
    if not chains:
        return ()
    if len(chains) == 1:
        ordered = chains[0][1]
    else:
        fitting = list(_orders(chains, peeled)) if len(chains) <= _ORDERED else []
        if len(fitting) != 1:
            names = listed(
                f"{quoted(name)} ({' -> '.join(type(one).__name__ for one in chain)})" for name, chain in chains
            )
            raise ExportError(
                f"several transformers lie beside the model, and nothing says in which order rows pass them: {names}; "
                "leave in those that are meant, as one fitted Pipeline"
            )
        ordered = fitting[0]
    check_not_twice(ordered, peeled.transformers, f"the entry {quoted(chains[0][0])}")
    return ordered


def same_fits(some: Chain, others: Chain) -> bool:
    """Return whether transformers are the first of `others`, or copies of them."""
    return 0 < len(some) <= len(others) and all(map(_same_fit, some, others))


def check_not_twice(given: Chain, inside: Chain, what: str) -> None:
    """Refuse a transformer in front of another of its kind that was fitted on other rows: one is probably too many.

    Raises:
        ExportError: they are of the same kind.

    """
    if given and inside and type(given[-1]) is type(inside[0]):
        kind = type(inside[0]).__name__
        raise ExportError(
            f"{what} is a {kind}, and the model begins with another {kind} that was fitted on other rows; leave out "
            "the one that the model's rows do not pass"
        )


def _orders(chains: list[tuple[str, Chain]], peeled: Peeled) -> Iterator[Chain]:
    """Yield the orders in which each transformer takes as many columns as the one before it gives."""
    for order in permutations(chain for _, chain in chains):
        steps = tuple(one for chain in order for one in chain)
        after = [*steps[1:], *(peeled.transformers[:1] or (peeled.model,))]
        if all(feeds(a, b) for a, b in zip(steps, after, strict=True)):
            yield steps


def feeds(transformer: Any, following: Any) -> bool:
    """Return whether one gives as many columns as the other takes; True where one of them does not know."""
    given, taken = _width_out(transformer), getattr(following, "n_features_in_", None)
    return given is None or taken is None or given == taken


def _width_out(transformer: Any) -> int | None:
    try:
        return len(transformer.get_feature_names_out())
    except (AttributeError, NotFittedError, TypeError, ValueError):
        return None


def _same_fit(one: Any, other: Any) -> bool:
    """Return whether two transformers are the same, or were fitted alike."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    # Whether names of columns were known at the fit changes no answer.
    mine, theirs = (
        {k: v for k, v in vars(t).items() if k != "feature_names_in_" and k[0] != "_"} for t in (one, other)
    )
    return mine.keys() == theirs.keys() and all(_equal(value, theirs[key]) for key, value in mine.items())


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(np.allclose(one, other, rtol=1e-9, atol=0, equal_nan=True))
    except (TypeError, ValueError):
        return repr(one) == repr(other)
