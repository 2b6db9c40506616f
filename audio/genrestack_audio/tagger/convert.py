"""The tagger's checkpoint → ONNX, checked against the graph that lies beside the checkpoint.

The package that holds both is data here: it is found by its metadata and never imported, since its code asks for
libraries of years ago.
"""

import os
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from genrestack_audio.errors import AudioError
from genrestack_audio.tagger.recipe import FRAMES, MELS
from genrestack_common.files import write_whole
from genrestack_common.stderr import stderr_held_back

_PACKAGE: Final = "musicnn"
_CHECKPOINT: Final = "musicnn/MSD_musicnn"
_INSTALL: Final = "pip install --no-deps musicnn==0.1.0"
_TOLERANCE: Final = 1e-5
_ANSWER, _MEL, _TRAINING = "model/Sigmoid", "model/Placeholder", "model/Placeholder_2"


def convert(output: Path) -> float:
    """Convert the checkpoint of the installed package, and write it to `output`, all of it or nothing.

    Returns:
        How far the graph's answers are from those of the checkpoint's own graph, at most.

    Raises:
        AudioError: the package or a library is missing, its content is another, the answers differ, or the file
            cannot be written.

    """
    folder = find_checkpoint()
    for library in ("tensorflow", "onnx", "onnxruntime"):
        if find_spec(library) is None:
            raise AudioError('the conversion needs: pip install "genrestack[train]"')
    # TensorFlow reports its instruction sets and missing GPUs, the first of it before its log level is read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_held_back():
        import tensorflow as tf  # noqa: F401
    from genrestack_audio.tagger.network import build

    # The names of its files begin with a dot: the prefix ends with the folder's own slash.
    prefix = f"{folder}/"
    content = build(_variables(prefix)).SerializeToString(deterministic=True)
    difference = _difference(content, prefix)
    # Written so that NaN is refused, too.
    if not difference <= _TOLERANCE:
        raise AudioError(f"the converted tagger differs from the original by {difference:.1e}; it is not written")
    try:
        write_whole(output, content)
    except OSError as error:
        raise AudioError(f"{output}: cannot be written: {error.strerror}; name another file with --output") from error
    return difference


def find_checkpoint() -> Path:
    """Return the folder of the checkpoint in the installed package.

    Raises:
        AudioError: the package is not installed, or has no checkpoint.

    """
    try:
        folder = Path(str(metadata.distribution(_PACKAGE).locate_file(_CHECKPOINT)))
    except metadata.PackageNotFoundError as error:
        raise AudioError(f"{_PACKAGE} is not installed; it holds the tagger: {_INSTALL}") from error
    if not (folder / ".index").is_file():
        raise AudioError(f"the installed {_PACKAGE} holds no checkpoint; install the release that does: {_INSTALL}")
    return folder


def _variables(prefix: str) -> Callable[[str], np.ndarray]:
    from tensorflow.compat.v1.train import NewCheckpointReader

    reader = NewCheckpointReader(prefix)

    def read(name: str) -> np.ndarray:
        if not reader.has_tensor(name):
            raise AudioError(
                f"the checkpoint of {_PACKAGE} has no variable {name}; install another release: {_INSTALL}"
            )
        return np.asarray(reader.get_tensor(name))

    return read


def _difference(content: bytes, prefix: str) -> float:
    """Return the largest difference of an answer to some made patches."""
    import onnxruntime

    patches = np.random.default_rng(0).uniform(0, 4, size=(4, FRAMES, MELS)).astype(np.float32)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {session.get_inputs()[0].name: patches})
    return float(np.abs(answers - original_answers(prefix, patches)).max())


def original_answers(prefix: str, patches: np.ndarray) -> np.ndarray:
    """Run the graph that lies beside a checkpoint: float32, shape (n, 187, 96) → (n, 50)."""
    import tensorflow as tf

    meta = tf.compat.v1.MetaGraphDef()
    meta.ParseFromString(Path(f"{prefix}.meta").read_bytes())
    graph = tf.compat.v1.GraphDef()
    # The rest trains; today's TensorFlow refuses some of that.
    graph.node.extend(_needed(meta.graph_def))
    read = _variables(prefix)
    variables = {f"{node.name}/read:0": read(node.name) for node in graph.node if node.op == "VariableV2"}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        feed = {f"{_MEL}:0": patches, f"{_TRAINING}:0": False, **variables}
        return np.asarray(session.run(f"{_ANSWER}:0", feed))


def _needed(graph: Any) -> Iterator[Any]:
    """Yield the nodes that the answer depends on."""
    nodes = {node.name: node for node in graph.node}
    found, left = set(), [_ANSWER]
    while left:
        name = left.pop().removeprefix("^").partition(":")[0]
        if name not in found:
            found.add(name)
            left.extend(nodes[name].input)
            yield nodes[name]
