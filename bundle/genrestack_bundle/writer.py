"""Write a bundle: it appears whole under the next version, or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from genrestack_bundle import golden as golden_rows
from genrestack_bundle import manifest
from genrestack_bundle.errors import BundleError
from genrestack_bundle.golden import Golden
from genrestack_bundle.integrity import sha256
from genrestack_bundle.layout import FORMAT, GOLDEN, MANIFEST, SUMS, check_model_name, is_safe_name, next_version
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
        model: the manifest; format, version, files and the parts' sha256 are filled in here.
        graphs: each part's serialised ONNX model, by file name.
        golden: the golden rows.
        extra: further files, by name: the report and the metrics.

    Returns:
        `models_dir/<name>/<version>`.

    Raises:
        BundleError: the name cannot be a folder's, or the files cannot be written; nothing is left behind.

    """
    check_model_name(model.name)
    contents = {part.file: graphs[part.file] for part in model.parts}
    contents |= {GOLDEN: golden_rows.pack(golden), **(extra or {})}
    for name in contents:
        if not is_safe_name(name):
            raise BundleError(f"{name!r} is not a file name a bundle may hold; use letters, digits, '.', '_' and '-'")
    filled = Model()
    filled.CopyFrom(model)
    filled.format = FORMAT
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


def _advice(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "Free some space, or choose another folder with --models"
    return "Make a writable folder of it, or choose another folder with --models"


def _write(model_dir: Path, model: Model, contents: Mapping[str, bytes]) -> Path:
    new = not model_dir.exists()
    model_dir.mkdir(parents=True, exist_ok=True)
    try:
        return _write_aside(model_dir, model, contents)
    except BaseException:
        if new:
            # Goes only while it is empty, so another writer's version stays.
            with suppress(OSError):
                model_dir.rmdir()
        raise


def _write_aside(model_dir: Path, model: Model, contents: Mapping[str, bytes]) -> Path:
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=model_dir))
    try:
        for name, data in contents.items():
            _write_file(aside / name, data)
        while True:
            model.version = next_version(model_dir)
            packed = manifest.pack(model)
            _write_file(aside / MANIFEST, packed)
            _write_file(aside / SUMS, manifest.pack_sums(packed))
            aside.chmod(0o755)
            _sync(aside)
            target = model_dir / str(model.version)
            try:
                # Renaming onto a folder with files in it fails, so two writers never share a version.
                aside.rename(target)
            except OSError:
                if target.exists():
                    continue
                raise
            _sync(model_dir)
            return target
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_file(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
