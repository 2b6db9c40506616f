"""What `genrestack doctor` reports of recordings: which kinds of files can be read.

A row is subject, `ok`, `note` or `problem`, what was found, and what to do about it.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from genrestack_audio.decode.ffmpeg import has_ffmpeg
from genrestack_audio.errors import AudioError
from genrestack_audio.tagger.tagger import HOW_TO, VARIABLE, default_path, find_tagger

Row = tuple[str, str, str, str]
_INSTALL = "pip install --force-reinstall soundfile; or the system's library: apt install libsndfile1"


def findings(models_dir: Path | None) -> Iterator[Row]:
    """Check what recordings are read with; `models_dir` is for others."""
    del models_dir
    if find_spec("soundfile") is None:
        return
    yield _libsndfile()
    if has_ffmpeg():
        yield "ffmpeg", "ok", "is there, for m4a, aac, opus and what else libsndfile does not read", ""
    else:
        text = "is not installed: wav, flac, ogg and mp3 are read without it, other kinds are not"
        yield "ffmpeg", "note", text, "apt install ffmpeg, if there are other kinds"
    yield from _tagger()


def _tagger() -> Iterator[Row]:
    """Check the converted tagger, if one is there or named: without one, `--kind tags` is all that is missing."""
    path = default_path()
    if not path.exists():
        if os.environ.get(VARIABLE):
            found = f"is not at {path}, where {VARIABLE} says"
            yield "tagger", "problem", found, f"unset {VARIABLE}, or make it: {HOW_TO}"
        return
    if find_spec("onnxruntime") is None:
        yield "tagger", "note", f"{path} is there, and nothing to run it with", 'pip install "genrestack[tags]"'
        return
    try:
        _, sha256 = find_tagger(path)
    except AudioError as error:
        # Messages of this package end with what to do.
        found, _, advice = str(error).partition("; ")
        yield "tagger", "problem", found, advice
    else:
        yield "tagger", "ok", f"{path} runs, SHA-256 {sha256[:12]}…, for --kind tags", ""


def _libsndfile() -> Row:
    try:
        import soundfile
    except OSError:
        return "libsndfile", "problem", "cannot be loaded, so no song can be read", _INSTALL
    kinds = soundfile.available_formats()
    missing = sorted({"WAV", "FLAC", "OGG", "MP3"} - set(kinds))
    if missing:
        return "libsndfile", "note", f"{soundfile.__libsndfile_version__} does not read {', '.join(missing)}", _INSTALL
    return "libsndfile", "ok", f"{soundfile.__libsndfile_version__} reads wav, flac, ogg and mp3", ""
