"""Names and limits of the files in a bundle: `models/<name>/<version>/…`."""

import os
import re
from pathlib import Path

from genrestack_bundle.errors import BundleError

FORMAT = 2
"""The newest format of a bundle; `manifest.format_of` says which one a bundle is written in."""
FORMATS = (1, 2)
"""Formats that are read."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
GOLDEN = "golden.npz"
REPORT = "report.html"
METRICS = "metrics.json"

MAX_MANIFEST_BYTES = 16 * 2**20
MAX_GOLDEN_BYTES = 64 * 2**20
# A protobuf message, and so an ONNX graph, ends at 2 GiB.
MAX_FILE_BYTES = 2**31 - 1
# All graphs together are joined into one message, which has to leave room for what joins them.
MAX_GRAPHS_BYTES = 2**31 - 2**24
MAX_BUNDLE_BYTES = 2**32
MAX_FILES = 1000
# An export writes 64 at most.
MAX_GOLDEN_ROWS = 10_000
MAX_NODES = 100_000
# An operator has a dozen: its inputs and outputs, and the attributes with what is in them.
MAX_GRAPH_FIELDS = 20 * MAX_NODES

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_safe_name(name: str) -> bool:
    """Return whether a name can be a file or folder of its own everywhere: letters, digits, `.`, `_`, `-`."""
    return _SAFE_NAME.fullmatch(name) is not None


def check_model_name(name: str) -> None:
    """Reject a model name that cannot be a folder.

    Raises:
        BundleError: the name is empty, too long, or holds other characters.

    """
    if not is_safe_name(name):
        raise BundleError(
            f"{name[:101]!r} cannot name a model: use letters, digits, '.', '_' and '-', starting with a letter or "
            "digit, at most 100 of them"
        )


def check_case(models_dir: Path, name: str) -> None:
    """Reject a new model's name that on many file systems would be the folder of a model there is.

    Raises:
        BundleError: naming that model.

    """
    try:
        others = list_models(models_dir)
    except BundleError:
        return
    twins = [] if name in others else [other for other in others if other.lower() == name.lower()]
    if twins:
        raise BundleError(
            f"there is a model {twins[0]!r} below {models_dir}, from which {name!r} differs by case alone; "
            "export under that name, or under one that differs by more"
        )


def is_version(name: str) -> bool:
    """Return whether a folder's name is a version: 1, 2, 3 …, at most nine digits, no leading zero."""
    return _VERSION.fullmatch(name) is not None


def list_versions(model_dir: Path) -> list[int]:
    """Versions of one model, ascending; anything that is not a folder named 1, 2, 3 … is ignored.

    Raises:
        BundleError: the folder is there and cannot be read.

    """
    return sorted(int(entry.name) for entry in _entries(model_dir) if is_version(entry.name) and _is_folder(entry))


def list_models(models_dir: Path) -> list[str]:
    """Names of the models in a repository that have at least one version folder, in alphabetical order.

    A model's folder that cannot be read counts as one, so that whoever asks for its versions hears of it.

    Raises:
        BundleError: the repository is there and cannot be read.

    """
    return list(list_repository(models_dir))


def list_repository(models_dir: Path) -> dict[str, list[int] | None]:
    """Versions of every model in a repository, as `list_versions` and `list_models` give them; None: not readable.

    Raises:
        BundleError: the repository is there and cannot be read.

    """
    names = sorted(entry.name for entry in _entries(models_dir) if is_safe_name(entry.name))
    found = {name: _versions_if_readable(models_dir / name) for name in names}
    return {name: versions for name, versions in found.items() if versions is None or versions}


def _versions_if_readable(model_dir: Path) -> list[int] | None:
    try:
        return list_versions(model_dir)
    except BundleError:
        return None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to where nobody may look
        return False


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BundleError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error


def next_version(model_dir: Path) -> int:
    """Return the version after every name in the folder that reads as one, whatever it is the name of.

    Raises:
        BundleError: no higher version fits.

    """
    version = max((int(p.name) for p in model_dir.iterdir() if is_version(p.name)), default=0) + 1
    if not is_version(str(version)):
        raise BundleError(f"{model_dir} has no version number left after {version - 1}; export under another name")
    return version
