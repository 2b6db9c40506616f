"""From a recording to the 57 features of the published GTZAN tables, and from folders of recordings to a table.

`read_segments("song.mp3")` gives window after window while the file is being read; `extract` and `extract_windows`
take samples that are in memory already.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import FEATURE_NAMES, RATE
from genrestack_audio.features.compiled import prepare
from genrestack_audio.tagger.recipe import TAG_NAMES

if TYPE_CHECKING:
    from genrestack_audio.decode.sound import Sound, open_sound
    from genrestack_audio.extractors.window_features import WindowFeatures, window_features
    from genrestack_audio.windows.segments import (
        Segment,
        extract,
        extract_windows,
        named,
        read_segments,
        stream_segments,
        whole_segment,
    )
    from genrestack_audio.windows.windows import Windows

__all__ = [
    "FEATURE_NAMES",
    "RATE",
    "TAG_NAMES",
    "AudioError",
    "Segment",
    "Sound",
    "WindowFeatures",
    "Windows",
    "extract",
    "extract_windows",
    "named",
    "open_sound",
    "read_segments",
    "stream_segments",
    "whole_segment",
    "window_features",
]

_LAZY = {
    "Segment": "windows.segments",
    "Sound": "decode.sound",
    "WindowFeatures": "extractors.window_features",
    "Windows": "windows.windows",
    "extract": "windows.segments",
    "extract_windows": "windows.segments",
    "named": "windows.segments",
    "open_sound": "decode.sound",
    "read_segments": "windows.segments",
    "stream_segments": "windows.segments",
    "whole_segment": "windows.segments",
    "window_features": "extractors.window_features",
}


def __getattr__(name: str) -> Any:
    """Import what needs librosa when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _LAZY[name] == "windows.segments":
        prepare()
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
