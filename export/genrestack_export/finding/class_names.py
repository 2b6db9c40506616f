"""Names of classes: from a label encoder, a list, a mapping of codes, a text file or a pickle."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer, LabelEncoder, OrdinalEncoder

from genrestack_common.text import counted, listed, quoted, quoted_list
from genrestack_export.errors import ExportError

# How gzip, zlib, bzip2, xz, LZMA and a pickle of protocol 2 or later begin.
_PICKLED = (b"\x1f\x8b", b"x\x01", b"x^", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ", b"]\x00\x00", b"\x80")
_PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".sav"}


def name_classes(given: Any, known: Iterable[Any]) -> tuple[str, ...]:
    """Return a name for each class that a model knows, in the order of its `classes_`.

    Args:
        given: a fitted `LabelEncoder` (or `LabelBinarizer`, or `OrdinalEncoder` of one column), whose codes the model
            was fitted on; a dict from code to name or from name to code; or names in the order of `known`.
        known: the model's `classes_`.

    Raises:
        ExportError: the names are not one for each class, or one is there twice.

    """
    codes = list(known)
    if is_label_encoder(given):
        return _by_code(_encoded(given), codes, type(given).__name__)
    if isinstance(given, Mapping):
        return _by_mapping(given, codes)
    names = [given] if isinstance(given, str) else [str(name) for name in given]
    check_names(names, codes)
    return tuple(names)


def check_names(names: list[str], known: Iterable[Any]) -> None:
    """Check names that are meant for the classes of a model, one by one.

    Raises:
        ExportError: there are too many or too few, one is there twice, or they are the model's own in another order.

    """
    own = [str(code) for code in known]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if len(names) != len(own) or twice:
        raise ExportError(
            f"classes needs {len(own)} different names, one for each of the model's classes ({listed(own)}), but got "
            f"{listed(names)}{f'; {quoted_list(twice)} is there more than once' if twice else ''}"
        )
    if names != own and sorted(names) == sorted(own):
        raise ExportError(
            f"classes are those of the model in another order; its own is {listed(own)}: leave classes out, or give "
            "them in that order"
        )


def read_class_names(given: str) -> Any:
    """Return what `--classes` names: `blues,jazz,rock`, a file of names, or a pickled label encoder.

    Files of names are text of one name a line, JSON, or an array that NumPy saved.

    Raises:
        ExportError: there is no such file, or it holds neither names nor a label encoder.

    """
    path = Path(given)
    if not _is_file(path):
        if "," in given:
            return [name.strip() for name in given.split(",")]
        raise ExportError(f"classes: there is no file {given}; name one, or give the names with commas between them")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{given} cannot be read: {error.strerror}; name another file") from error
    if path.suffix.lower() == ".npy":
        return _array(path)
    if path.suffix.lower() in _PICKLE_SUFFIXES or content.startswith(_PICKLED):
        return _unpickled(path)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ExportError(
            f"{given} is neither text in UTF-8 (byte {error.start}) nor a pickle; write one class name a line"
        ) from error
    if path.suffix.lower() == ".json":
        return _json(path, "\n".join(lines))
    names = [line.strip() for line in lines if line.strip()]
    if len(names) == 1:
        names = [name.strip() for name in names[0].split(",")]
    if not any(names):
        raise ExportError(f"{given} holds no class names; write one a line")
    return names


def is_label_encoder(value: Any) -> bool:
    """Return whether it turns names of classes into codes, and was fitted."""
    if isinstance(value, LabelEncoder | LabelBinarizer):
        return hasattr(value, "classes_")
    return isinstance(value, OrdinalEncoder) and len(getattr(value, "categories_", ())) == 1


def is_code(value: Any) -> bool:
    """Return whether a class is a whole number, and not a word."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return float(value).is_integer()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that are too long for a file
        return False


def _unpickled(path: Path) -> Any:
    from genrestack_export.finding.pickles import load_pickle

    return _checked(path, load_pickle(path))


def _array(path: Path) -> Any:
    """Read what `numpy.save` made of an encoder's `classes_`: an array of objects is a pickle."""
    try:
        return _checked(path, np.load(path, allow_pickle=True))
    except (OSError, ValueError, EOFError, ImportError, UnpicklingError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{path} is not an array that NumPy saved; write it with numpy.save") from error


def _json(path: Path, text: str) -> Any:
    try:
        return _checked(path, json.loads(text))
    except json.JSONDecodeError as error:
        raise ExportError(f"{path}, line {error.lineno}: this is not JSON; write a list of names") from error


def _checked(path: Path, loaded: Any) -> Any:
    if is_label_encoder(loaded) or isinstance(loaded, Mapping) or is_names(loaded):
        return loaded
    raise ExportError(
        f"{path} holds something else ({type(loaded).__name__}); a fitted LabelEncoder or a list of names is needed "
        "for classes"
    )


def is_names(value: Any) -> bool:
    """Return whether it is a list, tuple, array or index of texts."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        return False
    if getattr(value, "ndim", 1) != 1 or not len(value):
        return False
    return all(isinstance(item, str) for item in value)


def _encoded(encoder: Any) -> list[Any]:
    return list(encoder.categories_[0] if isinstance(encoder, OrdinalEncoder) else encoder.classes_)


def _by_code(names: list[Any], codes: list[Any], encoder: str) -> tuple[str, ...]:
    shown = [str(name) for name in names]
    own = [str(code) for code in codes]
    if own == shown or (not all(map(is_code, codes)) and set(own) <= set(shown)):
        # The model was fitted on the names themselves.
        return tuple(own)
    for code in codes:
        if not is_code(code) or not 0 <= int(code) < len(shown):
            raise ExportError(
                f"the {encoder} for the classes knows {counted(len(shown), 'name')} ({listed(shown)}), but the model "
                f"has a class {quoted(code)}; pass the encoder that the model's labels were made with"
            )
    return tuple(shown[int(code)] for code in codes)


def _by_mapping(given: Mapping[Any, Any], codes: list[Any]) -> tuple[str, ...]:
    for names in (given, {value: key for key, value in given.items() if is_code(value)}):
        by_text = {str(int(key)) if is_code(key) else str(key): str(name) for key, name in names.items()}
        wanted = [str(int(code)) if is_code(code) else str(code) for code in codes]
        if set(wanted) <= set(by_text):
            found = [by_text[code] for code in wanted]
            check_names(found, codes)
            return tuple(found)
    raise ExportError(f"classes name {listed(given)}, but the model's classes are {listed(codes)}; name each of them")
