"""Which versions are served, and which of them a request means."""

import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Final

from genrestack_bundle import ComposedSession, NeighborSearch, SearchingSession
from genrestack_common.text import listed, quoted
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, Model, Precision
from genrestack_server.errors import InvalidInput, NotFound, StillLoading

LONG_FIELDS: Final = ("features", "quantile_shares", "parts", "files")
"""What a list of models leaves out of their manifests."""
_FLOAT_BYTES: Final = 4
# Tag and length of a string field; a label of 128 bytes or more takes one byte more.
_LABEL_FRAME_BYTES: Final = 3
# A distance, two numbers of five bytes at most, tag and length of a name.
_NEIGHBOR_BYTES: Final = 21


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version of one model: verified and warm."""

    model: Model
    """The manifest, with `runtime` filled in; not to be changed."""
    session: ComposedSession | SearchingSession
    inline_max_rows: int = 0
    """Maximum number of rows that take less time than the event loop may stop for."""
    sums: bytes = b""
    """What stood in its SHA256SUMS; the same as long as the version is."""
    search: NeighborSearch | None = None
    """Finds the nearest training rows; None where the bundle has no such part."""

    @cached_property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @cached_property
    def version(self) -> int:
        """The version's number: 1, 2, 3 …."""
        return self.model.version

    @property
    def provider(self) -> str:
        """The execution provider that runs it."""
        return self.session.provider

    @property
    def precision(self) -> str:
        """`single` or `double`."""
        return Precision.Name(self.model.precision).removeprefix("PRECISION_").lower()

    @cached_property
    def summary(self) -> Model:
        """The manifest as a list of models has it; not to be changed."""
        summary = Model()
        summary.CopyFrom(self.model)
        for field in LONG_FIELDS:
            summary.ClearField(field)
        return summary

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of a row, in the order in which the model takes them."""
        return tuple(feature.name for feature in self.model.features)

    @cached_property
    def missing_features(self) -> frozenset[str]:
        """The columns in which a row may lack a value."""
        return frozenset(feature.name for feature in self.model.features if feature.accepts_missing)

    @cached_property
    def feature_positions(self) -> Mapping[str, int]:
        """Where each feature stands in a row."""
        return {name: position for position, name in enumerate(self.feature_names)}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the probability columns."""
        return tuple(self.model.classes)

    @cached_property
    def label_bytes(self) -> int:
        """Bytes of the longest class's name."""
        return max(len(name.encode()) for name in self.classes)

    @cached_property
    def bytes_a_row(self) -> tuple[int, int]:
        """Maximum bytes that answer one row: without the base estimators' probabilities, and with them."""
        label = self.label_bytes + _LABEL_FRAME_BYTES
        table = len(self.classes) * _FLOAT_BYTES
        parts = sum(part.kind == PART_KIND_BASE for part in self.model.parts)
        return label + table, label + table * (1 + parts)

    @cached_property
    def searching(self) -> "ServedModel | None":
        """The same version, each of its answers with the nearest training rows; None where it cannot find them.

        Its requests share batches with their like alone, so that others cost what they always do. They are never run
        on the event loop: how long a search takes is not measured.
        """
        if self.search is None or not isinstance(self.session, ComposedSession):
            return None
        return replace(self, session=SearchingSession(self.session, self.search), inline_max_rows=0)

    @cached_property
    def measures_novelty(self) -> bool:
        """Whether it knows which distance from the training rows is unusual."""
        return self.search is not None and self.model.HasField("novelty")

    @property
    def neighbor_count(self) -> int:
        """Nearest training rows that it finds for a row; 0 where it cannot."""
        return 0 if self.search is None else self.search.count

    @property
    def neighbor_bytes(self) -> int:
        """Maximum bytes that one nearest training row takes in an answer."""
        return _NEIGHBOR_BYTES + (0 if self.search is None else self.search.longest_name)

    @property
    def title(self) -> str:
        """`<name>/<version>`, as it stands in messages and health names."""
        return f"{self.name}/{self.version}"


class VersionState(StrEnum):
    """What becomes of a version that is known."""

    LOADING = "loading"
    """It is being verified, composed and warmed up."""
    READY = "ready"
    """It answers."""
    UNLOADING = "unloading"
    """It takes no new requests; those it has are being answered."""
    UNAVAILABLE = "unavailable"
    """It is not served; the reason says why."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version that is known: served, or lying in the repository."""

    name: str
    version: int
    state: VersionState
    reason: str = ""
    """Why it is not served, or why its folder, changed since, was not taken up; empty if there is nothing to say."""


@dataclass(frozen=True, eq=False)
class IndexSnapshot:
    """What was known of all versions at one moment; it holds no model, and may be read in any thread."""

    served: frozenset[tuple[str, int]]
    leaving: frozenset[tuple[str, int]]
    notes: Mapping[str, Mapping[int, IndexEntry]]
    on_disk: Mapping[str, tuple[Collection[int], str]]
    """Versions whose folders lie in the repository, by model, and what there is to say of those without a note."""

    def __len__(self) -> int:
        """About how many versions are known."""
        return (
            len(self.served)
            + sum(map(len, self.notes.values()))
            + sum(len(there) for there, _ in self.on_disk.values())
        )

    def entries(self) -> list[IndexEntry]:
        """Every version, ready or not, by name and then version."""
        entries = {
            (name, version): IndexEntry(name, version, VersionState.UNAVAILABLE, reason)
            for name, (versions, reason) in self.on_disk.items()
            for version in versions
        }
        entries |= {(name, version): note for name, notes in self.notes.items() for version, note in notes.items()}
        entries |= {title: IndexEntry(*title, VersionState.UNLOADING) for title in self.leaving}
        for name, version in self.served:
            set_state = self.notes.get(name, {}).get(version)
            entries[name, version] = IndexEntry(
                name, version, VersionState.READY, "" if set_state is None else set_state.reason
            )
        return [entries[title] for title in sorted(entries)]


class Registry:
    """The versions that are ready, and what is known of the others. Belongs to one event loop.

    Every change swaps one table for another, and a request keeps the `ServedModel` it was given, so that it ends on
    the version it began with.
    """

    def __init__(self, default_model: str | None = None) -> None:
        self._loading = True
        self._default = default_model
        self._table: Mapping[str, Mapping[int, ServedModel]] = {}
        self._notes: dict[str, dict[int, IndexEntry]] = {}
        self._on_disk: dict[str, tuple[Collection[int], str]] = {}
        self._snapshot: IndexSnapshot | None = None
        self._leaving: dict[tuple[str, int], weakref.ref[ServedModel]] = {}

    @property
    def loading(self) -> bool:
        """Whether models named at start are still being loaded."""
        return self._loading

    def finish_loading(self) -> None:
        """From now on, what is not in the table is not served."""
        self._loading = False

    def add(self, served: ServedModel) -> None:
        """Serve a version from now on, in the place of one of the same number."""
        self._set(served.name, {**self._table.get(served.name, {}), served.version: served})
        self.clear_state(served.name, served.version)

    def remove(self, name: str, version: int) -> ServedModel:
        """Serve a version no longer; requests that hold it end on it."""
        served = self._table[name][version]
        self._set(name, {number: other for number, other in self._table[name].items() if number != version})
        self._leaving[name, version] = weakref.ref(served)
        return served

    def set_state(self, name: str, version: int, state: VersionState, reason: str = "") -> None:
        """Keep in mind, for the index, what there is to say of a version."""
        notes, entry = self._notes.setdefault(name, {}), IndexEntry(name, version, state, reason)
        if notes.get(version) != entry:
            notes[version] = entry
            self._snapshot = None

    def clear_state(self, name: str, version: int) -> None:
        """Keep nothing in mind of a version."""
        notes = self._notes.get(name, {})
        if notes.pop(version, None) is not None:
            self._snapshot = None
        if not notes:
            self._notes.pop(name, None)

    def with_state(self, name: str) -> Sequence[int]:
        """Versions of a model of which there is something to say."""
        return list(self._notes.get(name, ()))

    def models_with_state(self) -> set[str]:
        """Models of which there is something to say."""
        return {*self._notes, *self._on_disk}

    def set_on_disk(self, name: str, versions: Collection[int], reason: str = "") -> None:
        """Keep in mind, for the index, whose folders lie in the repository, and why those that are not served are not.

        Costs the same however many they are; of those with a note the note is said.
        """
        if versions and self._on_disk.get(name) != (versions, reason):
            self._on_disk[name] = versions, reason
            self._snapshot = None
        elif not versions and self._on_disk.pop(name, None) is not None:
            self._snapshot = None

    def versions(self, name: str) -> Mapping[int, ServedModel]:
        """Versions of a model that are ready, by number; none if there is no such model."""
        return self._table.get(name, {})

    def names(self) -> list[str]:
        """Models of which a version is ready, in alphabetical order."""
        return list(self._table)

    def ready(self) -> list[ServedModel]:
        """Every version that is ready, by name and then version."""
        return [served for versions in self._table.values() for served in versions.values()]

    def index(self) -> list[IndexEntry]:
        """Every version that is known, ready or not, by name and then version."""
        return self.snapshot().entries()

    def snapshot(self) -> IndexSnapshot:
        """Return what is known of all versions; the same object as long as nothing of it changes."""
        left = {title: held for title, held in self._leaving.items() if held() is not None}
        if self._snapshot is None or len(left) != len(self._leaving):
            self._leaving = left
            self._snapshot = IndexSnapshot(
                frozenset((name, version) for name, versions in self._table.items() for version in versions),
                frozenset(left),
                {name: dict(notes) for name, notes in self._notes.items()},
                dict(self._on_disk),
            )
        return self._snapshot

    def _set(self, name: str, versions: Mapping[int, ServedModel]) -> None:
        table = {**self._table, name: dict(sorted(versions.items()))}
        self._table = {model: table[model] for model in sorted(table) if table[model]}
        self._snapshot = None

    def is_default_version(self, served: ServedModel) -> bool:
        """Return whether a version is the one that answers when none is named."""
        return self._newest(self._table.get(served.name, {})) is served

    def find(self, name: str, version: int) -> ServedModel:
        """Find the version a request means: "" is the default model, 0 its newest version.

        Raises:
            NotFound: there is no such model or version.
            StillLoading: it may yet come; models are still being loaded.
            InvalidInput: no model is named, several are served and none of them is the default.

        """
        versions = self._versions(name)
        served = versions.get(version) if version else self._newest(versions)
        if served is not None:
            return served
        self._refuse_while_loading()
        known = listed(str(number) for number in versions)
        which = next(iter(versions.values())).name
        raise NotFound(f"model {which!r} has no version {version} here; served: {known} (0 means the newest)")

    def _versions(self, name: str) -> Mapping[int, ServedModel]:
        table = self._table
        name = name or self._default or ""
        if name in table:
            return table[name]
        self._refuse_while_loading()
        if not table:
            raise NotFound("no model is served here")
        if name:
            raise NotFound(f"there is no model {quoted(name)} here; served: {listed(table)}")
        if len(table) > 1:
            raise InvalidInput.of(
                "model", f"several models are served and none is the default; name one: {listed(table)}"
            )
        return next(iter(table.values()))

    def _refuse_while_loading(self) -> None:
        if self._loading:
            raise StillLoading("the server is still loading its models; try again in a few seconds")

    @staticmethod
    def _newest(versions: Mapping[int, ServedModel]) -> ServedModel | None:
        return versions[max(versions)] if versions else None
