"""Which recordings a table is made of, and what each of them is labelled."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genrestack_audio.errors import AudioError
from genrestack_audio.table.folder_level import check_level

_COMMON = (".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".wav")
_RARE = (".aac", ".m4a", ".m4b", ".mka", ".mp4", ".mpc", ".ra", ".snd", ".tta", ".w64", ".webm", ".wma", ".wv")
EXTENSIONS = frozenset((*_COMMON, *_RARE))
"""Files of a folder with these extensions are taken to be recordings; a file that is named is always taken."""


@dataclass(frozen=True)
class Clip:
    """A recording that is to become rows of a table."""

    path: Path
    inside: Path
    """Relative to the folder it was found in; the bare name of a file that was named."""
    label: str | None
    stem: str
    """What its rows are called, before the number of the segment."""


def find_clips(paths: Sequence[Path], labels: Mapping[str, str] | None, *, labelled: bool = True) -> list[Clip]:
    """List the recordings in `paths`, in order of their names.

    The label of a recording is what `labels` says. Without labels it is the name of the first folder below the path
    that was named; or of the path itself, if that is one of several and holds recordings beside its folders.

    Args:
        paths: files and folders.
        labels: file name → label, or None.
        labelled: if False, no label is looked for.

    Raises:
        AudioError: there is no recording, one has no label, or genre folders lie deeper than the paths say.

    """
    clips: list[Clip] = []
    inside_of: dict[Path, list[Path]] = {}
    for root in paths:
        found = list(_recordings(root))
        if not found:
            raise AudioError(f"{root}: has no recordings; files that end in .wav, .flac, .mp3, .m4a or the like count")
        inside_of[root] = [path.relative_to(root) if path != root else Path(path.name) for path in found]
        is_genre = len(paths) > 1 and root.is_dir() and any(path.parent == root for path in found)
        genre = root.resolve().name if is_genre else None
        for path, inside in zip(found, inside_of[root], strict=True):
            label = _label(path, inside, labels, genre) if labelled else None
            clips.append(Clip(path, inside, label, path.stem))
    if labelled and labels is None:
        one_label = len({clip.label for clip in clips}) == 1
        for root, inside_root in inside_of.items():
            check_level(root, inside_root, one_label=one_label)
    return _unique_stems(_deduplicate(clips))


def _recordings(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    elif root.is_dir():
        yield from sorted(path for path in root.rglob("*") if _is_recording(path, root))
    else:
        raise AudioError(f"{root}: there is no such file or folder; check the path")


def _is_recording(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return not hidden and path.suffix.lower() in EXTENSIONS and not path.is_dir()


def _label(path: Path, inside: Path, labels: Mapping[str, str] | None, genre: str | None) -> str:
    if labels is not None:
        for key in (inside.as_posix(), path.name, path.stem):
            if key in labels:
                return labels[key]
        raise AudioError(f"{path}: is not in the labels file; add a line with {path.name} and its label, or remove it")
    if genre is not None:
        return genre
    if len(inside.parts) > 1:
        return inside.parts[0]
    raise AudioError(
        f"{path}: lies in no genre folder; put recordings into one folder for each genre, name a file with labels "
        "(--labels), or leave labels out (--no-labels)"
    )


def _deduplicate(clips: Iterable[Clip]) -> list[Clip]:
    """Drop repeats of a recording that several paths lead to."""
    return list({clip.path.resolve(): clip for clip in reversed(list(clips))}.values())[::-1]


def _unique_stems(clips: list[Clip]) -> list[Clip]:
    """Distinguish recordings of the same name by their folders, and by their extensions where that is not enough."""
    for longer in (_with_folders, _with_extension):
        counts = Counter(clip.stem for clip in clips)
        clips = [replace(clip, stem=longer(clip)) if counts[clip.stem] > 1 else clip for clip in clips]
    counts = Counter(clip.stem for clip in clips)
    for clip in clips:
        if counts[clip.stem] > 1:
            raise AudioError(f"{clip.path}: its rows would be called {clip.stem} like another's; rename one of the two")
    return clips


def _with_folders(clip: Clip) -> str:
    folders = clip.inside.parent.parts or (clip.path.resolve().parent.name,)
    return ".".join((*folders, clip.path.stem))


def _with_extension(clip: Clip) -> str:
    return f"{clip.stem}.{clip.path.suffix.lstrip('.').lower()}"
