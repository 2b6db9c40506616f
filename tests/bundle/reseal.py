"""Alter a bundle and seal it again, so that what refuses it is the check behind the hashes."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

Manifest = dict[str, Any]
MEMBERS = (
    "SHA256SUMS",
    "golden.npz",
    "knn.onnx",
    "manifest.json",
    "meta.onnx",
    "metrics.json",
    "scaler.onnx",
    "svc.onnx",
)
"""Every file of the exported digits."""


def read(bundle: Path) -> Manifest:
    manifest: Manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def reseal(bundle: Path, edit: Callable[[Manifest], object] = lambda _: None) -> None:
    """Bring sizes and hashes up to date with the files, then edit the manifest and seal that."""
    manifest = read(bundle)
    for file in manifest["files"]:
        data = (bundle / file["path"]).read_bytes()
        file |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": str(len(data))}
        for part in manifest["parts"]:
            if part["file"] == file["path"]:
                part["sha256"] = file["sha256"]
    edit(manifest)
    reseal_text(bundle, json.dumps(manifest).encode())


def reseal_text(bundle: Path, manifest: bytes) -> None:
    """Put these bytes in the manifest's place."""
    (bundle / "manifest.json").write_bytes(manifest)
    (bundle / "SHA256SUMS").write_text(f"{hashlib.sha256(manifest).hexdigest()}  manifest.json\n", encoding="ascii")


def replace(bundle: Path, name: str, data: bytes) -> None:
    """Replace one file, sealed."""
    (bundle / name).write_bytes(data)
    reseal(bundle)


def change_graph(bundle: Path, name: str, change: Callable[[onnx.ModelProto], object]) -> None:
    """Change one part's ONNX model, sealed."""
    model = onnx.load_model_from_string((bundle / name).read_bytes())
    change(model)
    replace(bundle, name, model.SerializeToString())
