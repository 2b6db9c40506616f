"""Somebody's own pickled model, and what it means when it cannot be read."""

import importlib.metadata
import importlib.util
import lzma
import pickle
import re
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from genrestack_common.text import quoted
from genrestack_export.errors import ExportError
from genrestack_export.finding.own_code import keras_objects

# What bytes that are not a whole pickle are known to raise, in pickle itself and in joblib's decompressors.
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    OverflowError,
    AssertionError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
# Where damaged bytes are noticed; what is raised anywhere else comes from an object that is being rebuilt.
_READERS = (
    "pickle", "joblib", "numpy.lib", "numpy.core", "numpy._core", "gzip", "bz2", "lzma", "zlib", "zipfile",
    "_compression", "compression", "encodings", "codecs", "io", "copyreg", "genrestack_export",
)  # fmt: skip
_KERAS = ("keras", "scikeras", "tensorflow")
# How Keras says that it does not know a layer, a loss or a function.
_UNKNOWN_TO_KERAS = re.compile(
    r"(?:Could not locate (?:class|function|object) |Unknown (?:layer|object|(?:loss|activation|metric) function)"
    r":? |Cannot deserialize object of type |Could not interpret [\w ]+ identifier: )['`\"]?([\w>.]+)"
)
# How a pickle begins, of protocol 2 or later.
_PICKLE = b"\x80"
_LZ4 = b"\x04\x22\x4d\x18"
_NETWORKS = {b"\x89HDF": "HDF5", b"PK\x03\x04": "a zip archive"}


def load_pickle(path: Path, code: Mapping[str, Any] | None = None) -> Any:
    """Load an object written by joblib or pickle. This runs whatever code the file asks for.

    Args:
        path: the file.
        code: what `own_code` yields, if the pickle needs somebody's own functions, layers or losses.

    Raises:
        ExportError: the file is missing, is not a pickle, or needs a module, class or function that is not here.

    """
    _check_file(path)
    own = code or {}
    # Keras takes seconds to import: only where there is code for it, or where a pickle has brought it in.
    keras = "keras" in sys.modules or (bool(own) and importlib.util.find_spec("keras") is not None)
    try:
        try:
            return _load(path, own, keras=keras)
        except Exception:  # what a pickle raises is up to its classes: tried once more where Keras has come in
            if keras or "keras" not in sys.modules:
                raise
            return _load(path, own, keras=True)
    except MemoryError:
        raise
    except Exception as error:
        raise ExportError(f"{path} {_reason(error, given=code is not None)}") from error


def _load(path: Path, own: Mapping[str, Any], *, keras: bool) -> Any:
    if not keras:
        return _load_all(path)
    with keras_objects(own):
        return _load_all(path)


def _load_all(path: Path) -> Any:
    """Load the object of a file; or a tuple of all, where several were dumped one after the other."""
    import joblib

    objects: list[Any] = []
    with path.open("rb") as file:
        while not objects or file.peek(1).startswith(_PICKLE):
            compressed = not file.peek(1).startswith(_PICKLE)
            objects.append(joblib.load(path if compressed else file))
            if compressed:
                break
    return objects[0] if len(objects) == 1 else tuple(objects)


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError as error:
        raise ExportError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or 'not a file'}; name the pickle's file") from error
    if start == _LZ4 and importlib.util.find_spec("lz4") is None:
        raise ExportError(f"{path} is compressed by LZ4, which is not installed here; install the package lz4")
    if start in _NETWORKS and path.suffix in {".keras", ".h5", ".hdf5"}:
        raise ExportError(
            f"{path} is a network saved by Keras ({_NETWORKS[start]}), not a pickle; export the fitted stack or "
            "KerasClassifier that it is part of, written with joblib.dump"
        )


def _reason(error: Exception, *, given: bool) -> str:
    """Return what is wrong, and what to do: the rest of a sentence that begins with the file's name."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name)
    if missing := _missing_name(error):
        return _missing_attribute(*missing, given=given)
    if isinstance(error, NameError) and error.name:
        return (
            f"holds a function that uses {quoted(error.name)}, which is not defined here; import or define it in a "
            "file and name that with --code FILE.py"
        )
    module = _raised_in(error)
    top = module.split(".")[0]
    if top in _KERAS and (unknown := _unknown_to_keras(error)):
        return (
            f"holds a network that needs {quoted(unknown)}, a layer or function of somebody's own; name the file "
            f"that defines it with --code FILE.py{', which the file named there does not do' if given else ''}"
        )
    if isinstance(error, _DAMAGE) and (not module or _begins(module, _READERS)):
        return "is not a pickle of an estimator; write it with joblib.dump"
    return (
        f"was read, but what {quoted(top)} wrote into it cannot be rebuilt ({type(error).__name__}{_installed(top)}); "
        "it was probably written with other library versions: load it with those, or fit and write it again with these"
    )


def _missing_module(name: str) -> str:
    top = name.split(".", maxsplit=1)[0]
    if top != name and importlib.util.find_spec(top) is not None:
        return (
            f"was written with other library versions: it needs {quoted(name)}, which {quoted(top)} does not have here"
            f"{_installed(top, ' ({})')}; load it with the versions it was written with, or write it again with these"
        )
    return (
        f"needs the Python module {quoted(name)}, which is not installed here; install it, or if it is a file of yours "
        "name that with --code FILE.py"
    )


def _missing_attribute(module: str, name: str, *, given: bool) -> str:
    if module == "__main__":
        way = (
            "the file named with --code does not define it"
            if given
            else "name a file that defines it with --code FILE.py"
        )
        return f"needs {quoted(name)} of the notebook or script that wrote it (__main__); {way}"
    top = module.split(".", maxsplit=1)[0]
    return (
        f"was written with other library versions, or needs code of its own ({quoted(name)} of {quoted(module)}"
        f"{_installed(top, ', here {}')}); load it with the versions it was written with, or name a file that defines "
        "it with --code FILE.py"
    )


def _missing_name(error: BaseException) -> tuple[str, str] | None:
    """Return module and name of what an unpickler looked for in vain."""
    if not isinstance(error, AttributeError):
        return None
    for one in _chain(error):
        owner, name = getattr(one, "obj", None), getattr(one, "name", None)
        if isinstance(owner, ModuleType) and name:
            return owner.__name__, str(name)
    found = re.search(r"attribute '([^']+)' on <module '([^']+)'", str(error))
    return (found[2], found[1]) if found else None


def _unknown_to_keras(error: BaseException) -> str | None:
    """Return the name that Keras does not know: the innermost of those in an error's text."""
    for one in _chain(error):
        if found := _UNKNOWN_TO_KERAS.findall(str(one)):
            return str(found[-1]).rpartition(">")[2]
        # An activation of somebody's own, where Keras keeps to itself what it missed.
        if found := re.findall(r"'class_name': 'function', 'config': '(\w+)'", str(one)):
            return str(found[-1])
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


def _raised_in(error: BaseException) -> str:
    """Return the name of the module that raised an error."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return name


def _begins(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _installed(top: str, form: str = ", here {}") -> str:
    """Return the installed version of a package, in a form; or nothing if it is not known."""
    distributions = importlib.metadata.packages_distributions().get(top)
    if not distributions:
        return ""
    return form.format(f"{distributions[0]} {importlib.metadata.version(distributions[0])}")
