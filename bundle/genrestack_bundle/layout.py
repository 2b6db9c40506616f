"""Names and limits of the files in a bundle: `models/<name>/<version>/…`."""

import re
from pathlib import Path

from genrestack_bundle.errors import BundleError

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
GOLDEN = "golden.npz"
REPORT = "report.html"
METRICS = "metrics.json"

MAX_MANIFEST_BYTES = 16 * 2**20
MAX_GOLDEN_BYTES = 64 * 2**20
# A protobuf message, and so an ONNX graph, ends at 2 GiB.
MAX_FILE_BYTES = 2**31 - 1

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_safe_name(name: str) -> bool:
    """Tell whether a name can be a file or folder of its own everywhere: letters, digits, `.`, `_`, `-`."""
    return _SAFE_NAME.fullmatch(name) is not None


def check_model_name(name: str) -> None:
    """Refuse a model name that cannot be a folder.

    Raises:
        BundleError: the name is empty, too long, or holds other characters.

    """
    if not is_safe_name(name):
        raise BundleError(
            f"{name!r} cannot name a model: use letters, digits, '.', '_' and '-', starting with a letter or digit, "
            "at most 100 of them"
        )


def list_versions(model_dir: Path) -> list[int]:
    """Versions of one model, ascending; anything that is not a folder named 1, 2, 3 … is ignored."""
    if not model_dir.is_dir():
        return []
    return sorted(int(p.name) for p in model_dir.iterdir() if _VERSION.fullmatch(p.name) and p.is_dir())


def list_models(models_dir: Path) -> list[str]:
    """Names of the models in a repository that have at least one version folder, in alphabetical order."""
    if not models_dir.is_dir():
        return []
    return sorted(p.name for p in models_dir.iterdir() if is_safe_name(p.name) and list_versions(p))
