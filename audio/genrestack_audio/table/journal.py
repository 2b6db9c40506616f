"""What has been computed so far, kept beside the table until that is whole: an interrupted build resumes from it."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrestack_audio.errors import AudioError

_FORM = 1
"""Counts up when features come out differently or lines are written differently."""


@dataclass(frozen=True)
class RecordingFeatures:
    """The rows of one recording."""

    lengths: tuple[int, ...]
    """Samples in each window."""
    rows: tuple[tuple[float, ...], ...]
    """Features of each window."""
    notes: tuple[str, ...]


class Journal:
    """Results by recording, in a file of one JSON line each."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self._settings = {"form": _FORM, **settings}
        self._results: dict[str, RecordingFeatures] = {}
        self._read()

    def get(self, recording: Path) -> RecordingFeatures | None:
        """Return the features of a recording; None if there are none, or the file has changed since or is gone."""
        try:
            return self._results.get(_key(recording))
        except OSError:
            return None

    def add(self, recording: Path, result: RecordingFeatures) -> None:
        """Write a result: it is on disk before this returns.

        Raises:
            AudioError: it cannot be written.

        """
        try:
            self._append(recording, result)
        except OSError as error:
            raise AudioError(f"{self.path}: cannot be written: {error.strerror}; make room and start again") from error

    def _append(self, recording: Path, result: RecordingFeatures) -> None:
        key = _key(recording)
        line = {"file": key, "lengths": result.lengths, "rows": result.rows, "notes": result.notes}
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            if new:
                file.write(json.dumps(self._settings) + "\n")
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._results[key] = result

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise AudioError(f"{self.path}: cannot be read: {error.strerror}; delete it to start over") from error
        lines = list(_lines(content))
        if not lines:
            self.remove()
            return
        if lines[0] != self._settings:
            raise AudioError(
                f"{self.path}: is what was computed with other settings ({_worded(lines[0])}); give those again to go "
                "on, or delete it to start over"
            )
        for line in lines[1:]:
            rows = tuple(tuple(row) for row in line["rows"])
            self._results[line["file"]] = RecordingFeatures(tuple(line["lengths"]), rows, tuple(line["notes"]))
        # What stands after the last whole line was being written when the machine stopped.
        if not content.endswith(b"\n"):
            os.truncate(self.path, content.rfind(b"\n") + 1)


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _key(recording: Path) -> str:
    state = recording.stat()
    return f"{state.st_size}:{state.st_mtime_ns}:{os.fsencode(recording.resolve()).hex()}"


def _worded(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if name not in {"form", "columns"})
