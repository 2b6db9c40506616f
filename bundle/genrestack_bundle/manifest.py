"""manifest.json: the `Model` message in its JSON form."""

import math
from pathlib import Path

from google.protobuf import json_format

from genrestack_bundle.errors import BundleError
from genrestack_bundle.integrity import read_bounded, sha256
from genrestack_bundle.layout import (
    FORMATS,
    MANIFEST,
    MAX_BUNDLE_BYTES,
    MAX_FILES,
    MAX_GRAPHS_BYTES,
    MAX_MANIFEST_BYTES,
    SUMS,
)
from genrestack_common.extractors import Extractor
from genrestack_proto.v1.model_pb2 import (
    PART_KIND_BASE,
    PART_KIND_META,
    PART_KIND_NEIGHBORS,
    PART_KIND_SCALER,
    Model,
)

_KINDS = {PART_KIND_SCALER, PART_KIND_BASE, PART_KIND_META, PART_KIND_NEIGHBORS}
# No export allows more; a manifest that does was not written by one.
_LOOSEST = 1e-3
# Two bytes of JSON take up to 200 once they are objects, and each of them some microseconds.
_MAX_OBJECTS = 2**18
# Names are quoted in messages, and travel with every answer.
_MAX_NAME = 1000
MAX_SUMS_BYTES = 1024


def format_of(model: Model) -> int:
    """Return the format a model has to be written in: 2 where a server that reads 1 alone would not answer the same.

    That is where there is no meta-learner, a feature may be missing, nearest training rows can be asked for, or
    `model.format` says so.
    """
    kinds = {part.kind for part in model.parts}
    accepts = any(feature.accepts_missing for feature in model.features)
    return max(model.format, 2 if accepts or PART_KIND_META not in kinds or PART_KIND_NEIGHBORS in kinds else 1)


def pack(model: Model) -> bytes:
    """Write a manifest."""
    text = json_format.MessageToJson(model, preserving_proto_field_name=True, indent=2, ensure_ascii=False)
    return (text + "\n").encode()


def pack_sums(manifest: bytes) -> bytes:
    """Write SHA256SUMS, in the form `sha256sum --check` reads."""
    return f"{sha256(manifest)}  {MANIFEST}\n".encode()


def read_sums(folder: Path) -> bytes:
    """Return what stands in SHA256SUMS: it names the manifest's sha256, and that every file's.

    Raises:
        BundleError: it is missing, unreadable or too large.

    """
    return read_bounded(folder, SUMS, MAX_SUMS_BYTES)


def is_sealed(folder: Path) -> bool:
    """Return whether SHA256SUMS exists and matches the manifest.

    Raises:
        BundleError: one of the two is missing or unreadable.

    """
    return read_sums(folder) == pack_sums(read_bounded(folder, MANIFEST, MAX_MANIFEST_BYTES))


def read_manifest(folder: Path, called: Path | None = None) -> Model:
    """Read and check the manifest of the bundle in `folder`; the folders' names win over the manifest's.

    Args:
        folder: where the files lie.
        called: the path whose last two names are the model's and the version's; None: `folder`.

    Raises:
        BundleError: the manifest is missing, altered, unreadable, of another format, or contradicts itself.

    """
    data = read_bounded(folder, MANIFEST, MAX_MANIFEST_BYTES)
    if read_sums(folder) != pack_sums(data):
        raise BundleError(f"{MANIFEST} was altered after the export ({SUMS} differs); export the model again")
    if data.count(b"{") + data.count(b"[") > _MAX_OBJECTS:
        raise BundleError(f"{MANIFEST} lists more than {_MAX_OBJECTS} things; export the model again")
    model = Model()
    try:
        json_format.Parse(data, model, ignore_unknown_fields=True, max_recursion_depth=20)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not a manifest; export the model again") from error
    _check(model)
    called = called or folder
    model.name, model.version = called.parent.name, int(called.name)
    return model


def _check(model: Model) -> None:
    if model.format not in FORMATS:
        readable = " and ".join(map(str, FORMATS))
        raise BundleError(
            f"{MANIFEST} has format {model.format}, this version reads {readable}; export the model again"
        )
    files = {file.path: file for file in model.files}
    sizes = {file.path: file.size_bytes for file in model.files}
    parts = [part.file for part in model.parts]
    graph_bytes = sum(sizes.get(part, 0) for part in parts)
    kinds = [part.kind for part in model.parts]
    base = [part.name for part in model.parts if part.kind == PART_KIND_BASE]
    names = [*(feature.name for feature in model.features), *model.classes, *(part.name for part in model.parts)]
    tolerances = [model.parity.tolerance, *(part.tolerance for part in model.parity.parts)]
    faults = {
        f"more than {MAX_FILES} files": len(model.files) > MAX_FILES,
        f"files of more than {MAX_BUNDLE_BYTES} bytes in all": sum(sizes.values()) > MAX_BUNDLE_BYTES,
        f"graphs of more than {MAX_GRAPHS_BYTES} bytes in all": graph_bytes > MAX_GRAPHS_BYTES,
        "no features": not model.features,
        "fewer than two classes": len(model.classes) < 2,
        "two features of one name": len({f.name for f in model.features}) < len(model.features),
        "two classes of one name": len(set(model.classes)) < len(model.classes),
        "two parts in one file": len(set(parts)) < len(parts),
        "two base estimators of one name": len(set(base)) < len(base),
        "two files of one name": len(files) < len(model.files),
        f"a name of more than {_MAX_NAME} characters": any(len(name) > _MAX_NAME for name in names),
        "a part of no kind": any(kind not in _KINDS for kind in kinds),
        "no base estimator": not base,
        "more than one meta-learner": kinds.count(PART_KIND_META) > 1,
        # A model that is not a stack is one base part.
        "several base estimators and no meta-learner": len(base) > 1 and PART_KIND_META not in kinds,
        "no meta-learner, which format 1 needs": model.format == 1 and PART_KIND_META not in kinds,
        f"what format {model.format} does not have": format_of(model) > model.format,
        "an extractor of no kind, or without the sha256 of its tagger": not _identified(model),
        "a novelty that nothing measures": model.HasField("novelty") and not _measurable(model),
        "more than one neighbours part": kinds.count(PART_KIND_NEIGHBORS) > 1,
        "more than one scaler, or one that is not first": PART_KIND_SCALER in kinds[1:],
        "a tolerance that verifies nothing": not all(0 <= tolerance <= _LOOSEST for tolerance in tolerances),
        "a part without its file": any(
            part.file not in files or files[part.file].sha256 != part.sha256 for part in model.parts
        ),
    }
    for fault, found in faults.items():
        if found:
            raise BundleError(f"{MANIFEST} lists {fault}; export the model again")


def _identified(model: Model) -> bool:
    if not model.HasField("extractor"):
        return True
    try:
        Extractor.parse(f"{model.extractor.kind} {model.extractor.sha256}")
    except ValueError:
        return False
    return True


def _measurable(model: Model) -> bool:
    searched = any(part.kind == PART_KIND_NEIGHBORS for part in model.parts)
    return searched and 0 < model.novelty.threshold < math.inf
