"""What the columns of a Parquet file hold, asked of their types before any of it is read; needs pyarrow when called."""

from typing import Any

from genrestack_common.tables.errors import TableFileError


def is_list(kind: Any) -> bool:
    """Return whether a pyarrow type is one of lists."""
    import pyarrow.types as kinds

    return bool(kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind))


def is_text(kind: Any) -> bool:
    """Return whether a pyarrow type is one of texts or bytes."""
    import pyarrow.types as kinds

    tests = (kinds.is_string, kinds.is_large_string, kinds.is_string_view, kinds.is_binary, kinds.is_large_binary)
    return any(is_kind(kind) for is_kind in tests)


def check_single(name: str, kind: Any) -> None:
    """Refuse a column that cannot hold one value a row; a list may hold one.

    Args:
        name: of the column.
        kind: its pyarrow type.

    Raises:
        TableFileError: it holds structs, maps or lists of lists.

    """
    import pyarrow.types as kinds

    inner = kind.value_type if is_list(kind) or kinds.is_dictionary(kind) else kind
    if is_list(inner):
        raise not_single(name, kind, "lists of lists")
    if kinds.is_nested(inner):
        raise not_single(
            name, kind, "structs" if kinds.is_struct(inner) else "maps" if kinds.is_map(inner) else "unions"
        )


def not_single(name: str, kind: Any, what: str) -> TableFileError:
    """Return the refusal of a column whose rows hold something else than one number or text each."""
    return TableFileError(
        f": column {name!r} is not numeric: it holds {what} ({str(kind)[:60]}), and a table holds one value a row; "
        "write what is in it as columns of their own, or remove the column"
    )
