"""From a recording to the 57 features of the published GTZAN tables, and from folders of recordings to a table.

`read_segments("song.mp3")` gives window after window while the file is being read; `extract` and `extract_windows`
take samples that are in memory already.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genrestack_audio.columns import FEATURE_NAMES, RATE
from genrestack_audio.compiled import prepare
from genrestack_audio.errors import AudioError

if TYPE_CHECKING:
    from genrestack_audio.segments import (
        Segment,
        extract,
        extract_windows,
        named,
        read_segments,
        stream_segments,
        whole_segment,
    )
    from genrestack_audio.sound import Sound, open_sound
    from genrestack_audio.windows import Windows

__all__ = [
    "FEATURE_NAMES",
    "RATE",
    "AudioError",
    "Segment",
    "Sound",
    "Windows",
    "extract",
    "extract_windows",
    "named",
    "open_sound",
    "read_segments",
    "stream_segments",
    "whole_segment",
]

_LAZY = {
    "Segment": "segments",
    "Sound": "sound",
    "Windows": "windows",
    "extract": "segments",
    "extract_windows": "segments",
    "named": "segments",
    "open_sound": "sound",
    "read_segments": "segments",
    "stream_segments": "segments",
    "whole_segment": "segments",
}


def __getattr__(name: str) -> Any:
    """Import what needs librosa when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _LAZY[name] == "segments":
        prepare()
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
