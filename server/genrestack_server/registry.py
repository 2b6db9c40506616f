"""Which versions are served, and which of them a request means."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from genrestack_bundle import ComposedSession
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, Model
from genrestack_server.errors import InvalidRequestError, LoadingError, ModelNotFoundError
from genrestack_server.text import listed, shown

_FLOAT_BYTES: Final = 4
# Tag and length of a string field; a label of 128 bytes or more takes one byte more.
_LABEL_FRAME_BYTES: Final = 3


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version of one model: verified, proven and warm."""

    model: Model
    """The manifest, with `runtime` filled in; not to be changed."""
    session: ComposedSession
    quick_rows: int = 0
    """So many rows take less than the event loop may stop for."""

    @cached_property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @cached_property
    def version(self) -> int:
        """The version's number: 1, 2, 3 …."""
        return self.model.version

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of a row, in the order in which the model takes them."""
        return tuple(feature.name for feature in self.model.features)

    @cached_property
    def feature_positions(self) -> Mapping[str, int]:
        """Where each feature stands in a row."""
        return {name: position for position, name in enumerate(self.feature_names)}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the probability columns."""
        return tuple(self.model.classes)

    @cached_property
    def bytes_a_row(self) -> tuple[int, int]:
        """At most so many bytes answer one row: without the base estimators' probabilities, and with them."""
        label = max(len(name.encode()) for name in self.classes) + _LABEL_FRAME_BYTES
        table = len(self.classes) * _FLOAT_BYTES
        parts = sum(part.kind == PART_KIND_BASE for part in self.model.parts)
        return label + table, label + table * (1 + parts)

    @property
    def title(self) -> str:
        """`<name>/<version>`, as it stands in messages and health names."""
        return f"{self.name}/{self.version}"


class Registry:
    """The versions that are ready.

    Every change swaps one table for another, and a request keeps the `ServedModel` it was given, so that it ends on
    the version it began with.
    """

    def __init__(self, default_model: str | None = None) -> None:
        self.loading = True
        """Whether models named at start are still being loaded."""
        self._default = default_model
        self._table: Mapping[str, Mapping[int, ServedModel]] = {}

    def add(self, served: ServedModel) -> None:
        """Serve a version from now on."""
        versions = {**self._table.get(served.name, {}), served.version: served}
        table = {**self._table, served.name: dict(sorted(versions.items()))}
        self._table = dict(sorted(table.items()))

    def ready(self) -> list[ServedModel]:
        """Every version that is ready, by name and then version."""
        return [served for versions in self._table.values() for served in versions.values()]

    def is_default_version(self, served: ServedModel) -> bool:
        """Tell whether a version is the one that answers when none is named."""
        return self._newest(self._table.get(served.name, {})) is served

    def find(self, name: str, version: int) -> ServedModel:
        """Find the version a request means: "" is the default model, 0 its newest version.

        Raises:
            ModelNotFoundError: there is no such model or version.
            LoadingError: it may yet come; models are still being loaded.
            InvalidRequestError: no model is named, several are served and none of them is the default.

        """
        versions = self._versions(name)
        served = versions.get(version) if version else self._newest(versions)
        if served is not None:
            return served
        self._refuse_while_loading()
        known = listed(str(number) for number in versions)
        which = next(iter(versions.values())).name
        raise ModelNotFoundError(f"model {which!r} has no version {version} here; served: {known} (0 means the newest)")

    def _versions(self, name: str) -> Mapping[int, ServedModel]:
        table = self._table
        name = name or self._default or ""
        if name in table:
            return table[name]
        self._refuse_while_loading()
        if not table:
            raise ModelNotFoundError("no model is served here; the server was started without one")
        if name:
            raise ModelNotFoundError(f"there is no model {shown(name)} here; served: {listed(table)}")
        if len(table) > 1:
            raise InvalidRequestError.of(
                "model", f"several models are served and none is the default; name one: {listed(table)}"
            )
        return next(iter(table.values()))

    def _refuse_while_loading(self) -> None:
        if self.loading:
            raise LoadingError("the server is still loading its models; try again in a few seconds")

    @staticmethod
    def _newest(versions: Mapping[int, ServedModel]) -> ServedModel | None:
        return versions[max(versions)] if versions else None
