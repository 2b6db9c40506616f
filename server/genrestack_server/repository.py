"""The model repository on disk: which models it holds, and what to say when it holds none."""

from pathlib import Path

from genrestack_bundle import BundleError, list_models, list_versions
from genrestack_server.errors import RepositoryError

_MANIFEST = "manifest.json"
_MAKE_ONE = "`genrestack train TABLE` makes one"


def find_models(models_dir: Path) -> list[str]:
    """Names of the models in a repository, in alphabetical order.

    Raises:
        RepositoryError: the folder is missing, unreadable, empty, or something other than a repository; the message
            says what.

    """
    if not models_dir.exists():
        raise RepositoryError(f"there is no model repository at {models_dir}; {_MAKE_ONE}, or name another folder")
    if not models_dir.is_dir():
        raise RepositoryError(f"{models_dir} is a file; name the folder that holds <name>/<version>/ folders")
    if names := list_models(models_dir):
        return names
    raise RepositoryError(_why_none(models_dir))


def versions_of(model_dir: Path) -> list[int]:
    """Versions of one model, ascending.

    Raises:
        RepositoryError: the folder cannot be read.

    """
    try:
        return list_versions(model_dir)
    except BundleError as error:
        raise RepositoryError(str(error)) from error


def _why_none(models_dir: Path) -> str:
    whole = models_dir.resolve()
    if (whole / _MANIFEST).is_file():
        return f"{models_dir} is a single bundle; serve its repository: genrestack serve {whole.parent.parent}"
    if versions_of(whole):
        return f"{models_dir} is the folder of one model; serve its repository: genrestack serve {whole.parent}"
    return f"{models_dir} holds no <name>/<version>/ folders, so there is nothing to serve; {_MAKE_ONE}"
