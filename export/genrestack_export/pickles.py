"""Somebody's own pickled stack and scaler."""

import lzma
import pickle
import re
import struct
import zlib
from pathlib import Path
from typing import Any

from genrestack_export.errors import ExportError

# What bytes that are not a whole pickle are known to raise, in pickle itself and in joblib's decompressors.
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    ImportError,
    OverflowError,
    AssertionError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


def load_pickle(path: Path) -> Any:
    """Load an object written by joblib or pickle. This runs whatever code the file asks for.

    Raises:
        ExportError: the file is missing, is not a pickle, or needs a module or class that is not installed here.

    """
    import joblib

    try:
        return joblib.load(path)
    except FileNotFoundError as error:
        raise ExportError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or 'not a file'}; name the pickle's file") from error
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{path} needs the Python module {error.name!r}, which is not installed here; install it and try again"
        ) from error
    except AttributeError as error:
        raise ExportError(
            f"{path} was written with other library versions, or needs code of its own{_missing_dependency(error)}; "
            "load it with the versions it was written with, or import that code and call genrestack_export.export_stack"
        ) from error
    except _DAMAGE as error:
        raise ExportError(f"{path} is not a pickle of an estimator; write it with joblib.dump") from error


def _missing_dependency(error: AttributeError) -> str:
    """Return the name that the pickle refers to; the unpickler's message prints whole modules."""
    found = re.search(r"attribute '([^']+)'", str(error))
    return f" ({found[1]!r})" if found else ""
