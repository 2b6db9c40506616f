"""The model repository on disk: which models it holds, and what to say when it holds none."""

import logging
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from genrestack_bundle import BundleError, list_models, list_repository, list_versions
from genrestack_common.text import listed
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import RepositoryError, StartError

_log = logging.getLogger(__name__)

_MANIFEST = "manifest.json"
_MAKE_ONE = "`genrestack train TABLE` makes one"


class Versions(tuple[int, ...]):
    """The versions of a model, ascending; whether one is among them takes as long in a million as in ten."""

    __slots__ = ()

    def __contains__(self, version: object) -> bool:
        """Return whether a number is among them."""
        place = bisect_left(self, version) if isinstance(version, int) else len(self)
        return place < len(self) and self[place] == version


def look(models_dir: Path) -> dict[str, Versions | None]:
    """Versions of every model in a repository, ascending; None where a model's folder cannot be read just now.

    Raises:
        RepositoryError: the repository itself is missing or cannot be read.

    """
    if not _is_folder(models_dir):
        raise RepositoryError(f"there is no model repository at {models_dir}")
    try:
        found = list_repository(models_dir)
    except BundleError as error:
        raise RepositoryError(str(error)) from error
    return {name: versions if versions is None else Versions(versions) for name, versions in found.items()}


def find_models(models_dir: Path) -> list[str]:
    """Names of the models in a repository, in alphabetical order.

    Raises:
        RepositoryError: the folder is missing, unreadable, empty, or something other than a repository; the message
            says what.

    """
    if not _is_folder(models_dir) and not models_dir.exists():
        raise RepositoryError(f"there is no model repository at {models_dir}; {_MAKE_ONE}, or name another folder")
    if not _is_folder(models_dir):
        raise RepositoryError(f"{models_dir} is a file; name the folder that holds <name>/<version>/ folders")
    if names := _names(models_dir):
        return names
    raise RepositoryError(_why_none(models_dir))


def models_at_start(config: ServerConfig) -> list[str]:
    """Return the models that a server loads when it starts.

    Raises:
        RepositoryError: there is nothing to serve (unless `allow_empty`).
        StartError: a model named in the configuration is not in the repository.

    """
    try:
        found = find_models(config.models_dir)
    except RepositoryError as error:
        if not config.allow_empty:
            raise
        _log.warning("nothing is served: %s", error)
        return []
    if config.repository_mode == "explicit":
        require_models(config.load_models, found, config.models_dir, "model to load", "--load-model")
        return list(dict.fromkeys(config.load_models))
    require_models([config.default_model or found[0]], found, config.models_dir, "default model", "--default-model")
    return found


def require_models(names: Sequence[str], found: Sequence[str], models_dir: Path, what: str, option: str) -> None:
    """Raise an error that names the first model which is not in the repository.

    Raises:
        StartError: there is one.

    """
    for name in names:
        if name not in found:
            raise StartError(
                f"the {what} {name!r} is not in {models_dir}: {listed(found)}; name one of these with {option}"
            )


def versions_of(model_dir: Path) -> Versions:
    """Versions of one model, ascending.

    Raises:
        RepositoryError: the folder cannot be read.

    """
    try:
        return Versions(list_versions(model_dir))
    except BundleError as error:
        raise RepositoryError(str(error)) from error


class Trouble:
    """A repository that cannot be read just now, said once."""

    def __init__(self) -> None:
        self._said = ""

    def begins(self, what: str) -> None:
        """Log it, unless it was logged already."""
        if what != self._said:
            _log.warning(
                "%s; still serving the loaded models; new versions are not picked up until this is fixed", what
            )
        self._said = what

    def ends(self) -> None:
        """Log that it is over, if there was any."""
        if self._said:
            _log.info("the model repository can be read again")
        self._said = ""


def _names(models_dir: Path) -> list[str]:
    try:
        return list_models(models_dir)
    except BundleError as error:
        raise RepositoryError(str(error)) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise RepositoryError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _why_none(models_dir: Path) -> str:
    whole = models_dir.resolve()
    if (whole / _MANIFEST).is_file():
        return f"{models_dir} is a single bundle; serve its repository: genrestack serve {whole.parent.parent}"
    if versions_of(whole):
        return f"{models_dir} is the folder of one model; serve its repository: genrestack serve {whole.parent}"
    return f"{models_dir} holds no <name>/<version>/ folders, so there is nothing to serve; {_MAKE_ONE}"
