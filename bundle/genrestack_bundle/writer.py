"""Write a bundle: it appears whole under the next version, or not at all."""

import errno
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from genrestack_bundle import golden as golden_rows
from genrestack_bundle import manifest
from genrestack_bundle.errors import BundleError
from genrestack_bundle.golden import Golden
from genrestack_bundle.integrity import sha256
from genrestack_bundle.layout import (
    GOLDEN,
    MANIFEST,
    SUMS,
    check_case,
    check_model_name,
    is_safe_name,
    next_version,
)
from genrestack_bundle.unfinished import unfinished_folder
from genrestack_common.folders import flush, write_flushed
from genrestack_proto.v1.model_pb2 import File, Model


def write_bundle(
    models_dir: Path,
    model: Model,
    graphs: Mapping[str, bytes],
    golden: Golden,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a bundle as the next version of `model.name` in the repository `models_dir`.

    Args:
        models_dir: the model repository; made if it is not there.
        model: the manifest; version, files and the parts' sha256 are filled in here, and the
            format unless it asks for a newer one than it needs.
        graphs: each part's serialised ONNX model, by file name.
        golden: the golden rows.
        extra: further files, by name: the report and the metrics.

    Returns:
        `models_dir/<name>/<version>`.

    Raises:
        BundleError: the name cannot be a folder's, or differs from another model's by case alone, or the files cannot
            be written; nothing is left behind.

    """
    check_model_name(model.name)
    check_case(models_dir, model.name)
    contents = {part.file: graphs[part.file] for part in model.parts}
    contents |= {GOLDEN: golden_rows.pack(golden), **(extra or {})}
    _check_file_names(list(contents))
    filled = Model()
    filled.CopyFrom(model)
    filled.format = manifest.format_of(filled)
    for part in filled.parts:
        part.sha256 = sha256(contents[part.file])
    del filled.files[:]
    filled.files.extend(
        File(path=name, sha256=sha256(data), size_bytes=len(data)) for name, data in sorted(contents.items())
    )
    try:
        return _write(models_dir / model.name, filled, contents)
    except OSError as error:
        raise BundleError(
            f"the bundle could not be written below {models_dir} ({error.strerror}); nothing was left behind. "
            f"{_advice(error)}, and export again"
        ) from error


def _check_file_names(names: Sequence[str]) -> None:
    taken = {MANIFEST.lower(), SUMS.lower()}
    for name in names:
        if not is_safe_name(name):
            raise BundleError(
                f"{name[:101]!r} is not a file name a bundle may hold; use letters, digits, '.', '_' and '-'"
            )
        if name.lower() in taken:
            raise BundleError(f"the bundle's file {name!r} differs from another by case at most; choose another name")
        taken.add(name.lower())


def _advice(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "Free some space, or choose another folder with --models"
    return "Make a writable folder of it, or choose another folder with --models"


def _write(model_dir: Path, model: Model, contents: Mapping[str, bytes]) -> Path:
    new = _make(model_dir)
    try:
        return _write_aside(model_dir, model, contents)
    except BaseException:
        if new:
            # Goes only while it is empty, so another writer's version stays.
            with suppress(OSError):
                model_dir.rmdir()
        raise


def _write_aside(model_dir: Path, model: Model, contents: Mapping[str, bytes]) -> Path:
    with unfinished_folder(model_dir) as unfinished:
        aside = unfinished.path
        for name, data in contents.items():
            write_flushed(aside / name, data)
        while True:
            model.version = next_version(model_dir)
            packed = manifest.pack(model)
            write_flushed(aside / MANIFEST, packed)
            unfinished.seal(manifest.pack_sums(packed))
            aside.chmod(0o755)
            flush(aside)
            target = model_dir / str(model.version)
            try:
                # Renaming onto a folder with files in it fails, so two writers never share a version.
                aside.rename(target)
            except OSError:
                if target.exists():
                    continue
                raise
            flush(model_dir)
            return target


def _make(folder: Path) -> bool:
    """Create a folder and those above it, flushed to disk; return whether it was new."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        # Some folders may be written and not read.
        with suppress(PermissionError):
            flush(each.parent)
    return bool(missing)
