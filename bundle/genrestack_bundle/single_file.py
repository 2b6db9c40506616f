"""One ONNX file of a whole model, for onnxruntime without us."""

import json
from pathlib import Path

from genrestack_bundle.errors import BundleError
from genrestack_bundle.reader import open_bundle
from genrestack_common.files import write_whole
from genrestack_proto.onnx.onnx_pb2 import ModelProto


def write_onnx(bundle: str | Path, file: str | Path) -> Path:
    """Write a bundle's composed graph as one ONNX file, with what a caller has to know in its metadata.

    It takes `features`, float32 (n, f), and answers `class_index`, int64 (n,), `probabilities`, float32 (n, k), and
    `probabilities.<part>` for each base estimator. Metadata are text; `classes`, `feature_names` and `parts` are JSON.

    Args:
        bundle: the bundle's folder, `models/<name>/<version>`.
        file: what to write; a file that is there is replaced once the new one is whole.

    Returns:
        the file.

    Raises:
        BundleError: the bundle cannot be used, or the file cannot be written.

    """
    found, target = open_bundle(Path(bundle)), Path(file)
    model = ModelProto.FromString(found.compose())
    about = found.model
    metadata = {
        "model": about.name,
        "version": str(about.version),
        "classes": json.dumps(list(about.classes), ensure_ascii=False),
        "feature_names": json.dumps([feature.name for feature in about.features], ensure_ascii=False),
        "parts": json.dumps(list(found.part_names), ensure_ascii=False),
        "opset": str(about.opset),
        "producer": "genrestack",
    }
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    try:
        write_whole(target, model.SerializeToString())
    except OSError as error:
        raise BundleError(
            f"the ONNX file {target} cannot be written ({error.strerror}); choose another place for it"
        ) from error
    return target
