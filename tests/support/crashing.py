"""A computation that brings its process down, as a decoder with a bug does; other processes have to import it."""

import os
from pathlib import Path

from genrestack_audio.table.journal import RecordingFeatures
from genrestack_audio.windows.windows import Windows

NOTHING = RecordingFeatures((), (), ())


def nothing_or_crash(path: Path, windows: Windows | None) -> RecordingFeatures:
    """Compute nothing, and end the process on a file whose name begins with `crash`."""
    if path.name.startswith("crash"):
        os._exit(1)
    return NOTHING
