"""The columns a model takes, chosen by name from rows that bring names; all that is wrong is told in one error."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from genrestack._core.inputs.cells import duplicate
from genrestack._core.inputs.missing import check_gaps
from genrestack._core.inputs.named_rows import NamedRows
from genrestack._core.inputs.rows import Rows, to_rows
from genrestack._core.inputs.value_faults import SHOWN, Fault, python_literal, value_faults
from genrestack.errors import InvalidInput, Violation
from genrestack.model_info import ModelInfo
from genrestack_common.text import closest, counted, listed, quoted, quoted_list

# What is wrong with the form of rows, before anybody looks at cells.
_SHAPE: Final = re.compile(r"rows(\[[0-9]+\])?|feature_names.*")


def select(rows: NamedRows, model: ModelInfo, *, strict: bool) -> Rows:
    """Return the model's columns, in its order.

    Args:
        rows: of at least the model's columns.
        model: with its features.
        strict: whether other columns are refused, not left out.

    Raises:
        InvalidInput: the message tells all that is wrong: columns missing, twice, or without numbers; rows with NaN.

    """
    features = model.feature_names
    times = Counter(name for name in rows.names if isinstance(name, str))
    missing = [name for name in features if name not in times]
    present = [name for name in features if times[name] == 1]
    others = [name for name in dict.fromkeys(rows.names) if name not in set(features)]
    faults = [
        *_missing(missing, others, rows, model),
        *(_twice(name, rows) for name in features if times[name] > 1),
        *(_strange(others, rows, model) if strict else ()),
    ]
    if present:
        try:
            selected = to_rows(rows.pick(present), gaps=True)
            check_gaps(selected, model)
        except InvalidInput as error:
            whole = _SHAPE.fullmatch(error.violations[0].field) is not None
            found = [] if whole else value_faults(rows, present, model)
            faults += found or [Fault(str(error), list(error.violations))]
        else:
            if not faults:
                return selected
    raise _error(faults)


def names_at_fault(error: InvalidInput) -> bool:
    """Return whether a server refuses the columns, which another version may have others of."""
    return any(violation.field.startswith(("feature_names", "rows.shape")) for violation in error.violations)


def _error(faults: Sequence[Fault]) -> InvalidInput:
    violations = [violation for each in faults for violation in each.violations]
    if len(faults) == 1:
        return InvalidInput(faults[0].text, violations)
    lines = [f"  {number}. {each.text}" for number, each in enumerate(faults, 1)]
    return InvalidInput("\n".join([f"{len(faults)} things are wrong with the rows:", *lines]), violations)


def _missing(missing: Sequence[str], others: Sequence[object], rows: NamedRows, model: ModelInfo) -> list[Fault]:
    if not missing:
        return []
    texts = [name for name in others if isinstance(name, str)]
    meant = {close: name for name in missing[:SHOWN] if (close := closest(name.strip(), texts)) is not None}
    verb = "is" if len(missing) == 1 else "are"
    which = f"{len(missing):,} of the {len(model.features):,} columns that {model.name}/{model.version} takes"
    text = f"{which} {verb} missing: {quoted_list(missing)}"
    if meant and rows.is_pandas:
        text += f"; if it is only the name: rows = rows.rename(columns={python_literal(meant)})"
    elif meant:
        text += f"; did you mean {listed(f'{quoted(name)} by {quoted(close)}' for close, name in meant.items())}?"
    else:
        text += f"; client.model({model.name!r}).feature_names lists them all"
    return [Fault(text, [Violation("feature_names", f"missing: {quoted_list(missing)}")])]


def _twice(name: str, rows: NamedRows) -> Fault:
    first, second, *_ = (number for number, other in enumerate(rows.names) if other == name)
    error = duplicate(name, second, first)
    return Fault(f"{error}; keep one of them", list(error.violations))


def _strange(others: Sequence[object], rows: NamedRows, model: ModelInfo) -> list[Fault]:
    if not others:
        return []
    told = listed(map(quoted, others), SHOWN)
    text = f"{counted(len(others), 'column')} that {model.name}/{model.version} does not take: {told}"
    if rows.is_pandas and len(others) <= SHOWN:
        text += f"; leave them out: rows = rows.drop(columns={python_literal(list(others))}), or strict=False"
    else:
        text += "; strict=False leaves them out"
    return [Fault(text, [Violation("feature_names", f"not taken: {told}")])]
