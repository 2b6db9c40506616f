"""What `genrestack doctor` reports of recordings: which kinds of files can be read.

A row is subject, `ok`, `note` or `problem`, what was found, and what to do about it.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from genrestack_audio.decode.ffmpeg import has_ffmpeg

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
