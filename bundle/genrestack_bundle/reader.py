"""Open a bundle: an untrusted folder until every file in it is what the manifest says."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from genrestack_bundle import golden as golden_rows
from genrestack_bundle.errors import BundleError
from genrestack_bundle.golden import Golden
from genrestack_bundle.graphs.checks import check_graph
from genrestack_bundle.integrity import read_verified, verify
from genrestack_bundle.layout import GOLDEN, MANIFEST, MAX_FILE_BYTES, MAX_GOLDEN_BYTES, SUMS, is_safe_name, is_version
from genrestack_bundle.manifest import is_sealed, read_manifest, read_sums
from genrestack_bundle.runtime.compose import compose
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_NEIGHBORS, Model


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, in memory."""

    path: Path
    model: Model
    """The manifest; name and version are the folders'."""
    graphs: Mapping[str, bytes]
    """Each part's ONNX model, by file name."""
    golden: Golden
    sums: bytes
    """What stood in SHA256SUMS: as long as it is the same, so is everything else."""

    @property
    def part_names(self) -> tuple[str, ...]:
        """The base estimators' names, in the order of the stack."""
        return tuple(part.name for part in self.model.parts if part.kind == PART_KIND_BASE)

    def compose(self) -> bytes:
        """Join the parts into one graph; see `genrestack_bundle.runtime.compose`."""
        return compose(self.model, self.graphs)


def open_bundle(path: Path) -> Bundle:
    """Read the bundle in `path`, `models/<name>/<version>`, and verify every file in it.

    Raises:
        BundleError: a file is missing, altered, too large or unsafe; the message names it.

    """
    if not _is_folder(path):
        raise BundleError(f"there is no bundle at {path}; `genrestack export` makes one")
    # A relative path may not name the model's folder.
    path = path.absolute()
    if not is_version(path.name):
        raise BundleError(f"{path} is not a version of a model: a bundle's folder is named 1, 2, 3 …")
    # The version's folder may be a link that is swapped; every file is read from the one it leads to now.
    folder = path.resolve()
    # First: if a newer one is written meanwhile, it is found to differ, and never the other way round.
    sums = read_sums(folder)
    model = read_manifest(folder, path)
    contents = _read(folder, model)
    if GOLDEN not in contents:
        raise BundleError(f"{GOLDEN} is not in the manifest, so nothing can be verified; export the model again")
    golden = golden_rows.unpack(contents[GOLDEN])
    bundle = Bundle(path, model, {part.file: contents[part.file] for part in model.parts}, golden, sums)
    _check_golden(bundle)
    for part in model.parts:
        check_graph(part.file, bundle.graphs[part.file], opset=model.opset, ml_opset=model.ml_opset)
    return bundle


def _read(folder: Path, model: Model) -> dict[str, bytes]:
    """Verify every file; return those that are needed."""
    needed = {GOLDEN: MAX_GOLDEN_BYTES} | dict.fromkeys((part.file for part in model.parts), MAX_FILE_BYTES)
    contents = {}
    for file in model.files:
        if file.path in needed:
            contents[file.path] = read_verified(
                folder, file.path, size=file.size_bytes, digest=file.sha256, limit=needed[file.path]
            )
        else:
            verify(folder, file.path, size=file.size_bytes, digest=file.sha256, limit=MAX_FILE_BYTES)
    return contents


def still_missing(path: Path) -> str:
    """Return what the folder of a version that is being copied still lacks, by sizes and SHA256SUMS; "" if nothing.

    "" says nothing of what the files hold: whatever else is wrong, `open_bundle` says.
    """
    for name in (MANIFEST, SUMS):
        if _size(path / name) == 0:
            return f"{name} is missing"
    try:
        if not is_sealed(path):
            return f"{MANIFEST} and {SUMS} do not belong together"
        files = _announced(path, read_sums(path))
    except BundleError:
        return ""
    for name, announced in files:
        if is_safe_name(name) and (size := _size(path / name)) < announced:
            return f"{name} has {size:,} of {announced:,} bytes" if size else f"{name} is missing"
    return ""


@lru_cache(maxsize=8)
def _announced(path: Path, sums: bytes) -> tuple[tuple[str, int], ...]:  # noqa: ARG001 - tells versions apart
    """Name and size of each file; a folder is looked at many times while it is copied, its manifest is read once."""
    return tuple((file.path, file.size_bytes) for file in read_manifest(path).files)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _check_golden(bundle: Bundle) -> None:
    model, golden = bundle.model, bundle.golden
    shapes = (golden.rows.shape[1], golden.probabilities.shape[1])
    names = set(golden.parts) == set(bundle.part_names) == {part.name for part in model.parity.parts}
    if shapes != (len(model.features), len(model.classes)) or not names:
        raise BundleError(f"{GOLDEN} is of another model than the manifest; export the model again")
    if (golden.neighbors is not None) != any(part.kind == PART_KIND_NEIGHBORS for part in model.parts):
        raise BundleError(f"{GOLDEN} is of another model than the manifest; export the model again")
    accepts = np.array([feature.accepts_missing for feature in model.features])
    if np.isnan(golden.rows[:, ~accepts]).any():
        raise BundleError(f"{GOLDEN} holds values that are not finite numbers; export the model again")
