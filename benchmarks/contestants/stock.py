"""The way without us: each part converted by itself with stock converters, and five sessions with numpy in between."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from genrestack_training import Run

_OPSET = 18


def convert_parts(run: "Run", folder: Path) -> None:
    """Convert the scaler, every base estimator and the meta-learner of a run, each into a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    features, stack = len(run.feature_names), run.stack
    columns = len(run.classes) * len(stack.estimators_) + (features if stack.passthrough else 0)
    parts = [("0-scaler", run.scaler, features)]
    names = [name for name, _ in stack.estimators]
    parts += [(f"{i}-{n}", e, features) for i, (n, e) in enumerate(zip(names, stack.estimators_, strict=True), 1)]
    parts.append(("9-meta", stack.final_estimator_, columns))
    for name, estimator, width in parts:
        convert = _network if hasattr(estimator, "model_") else _estimator
        (folder / f"{name}.onnx").write_bytes(convert(estimator, width).SerializeToString())


def _estimator(estimator: Any, width: int) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    inputs = [("rows", FloatTensorType([None, width]))]
    return convert_sklearn(estimator, initial_types=inputs, options=options, target_opset=_OPSET)


def _network(estimator: Any, width: int) -> Any:
    import tensorflow as tf
    import tf2onnx

    network = estimator.model_
    signature = (tf.TensorSpec((None, width), tf.float32, name="rows"),)
    function = tf.function(lambda rows: network(rows, training=False), input_signature=signature)
    return tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET)[0]


class StockSessions:
    """One onnxruntime session a part, and the stacking in numpy."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        # Also run where onnxruntime is and GenreStack is not. Telemetry is off only if the import finds it so.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Five pools of spinning threads would fight for the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        # Numbered in the order of the stack: 0-scaler, 1-…, 9-meta.
        sessions = {
            file.stem.split("-", 1)[1]: ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            for file in sorted(folder.glob("*.onnx"))
        }
        self._scaler, self._meta = sessions.pop("scaler"), sessions.pop("meta")
        self._base = sessions

    def answer(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Answer raw rows of shape (n, f)."""
        scaled = self._scaler.run(None, {"rows": rows})[0]
        # The probabilities are each session's last output.
        columns = [session.run(None, {"rows": scaled})[-1] for session in self._base.values()]
        if sum(column.shape[1] for column in columns) < self._meta.get_inputs()[0].shape[1]:
            columns.append(scaled)
        return np.asarray(self._meta.run(None, {"rows": np.concatenate(columns, axis=1)})[-1])

    def answer_part(self, name: str, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Answer raw rows of shape (n, f) by one base estimator alone."""
        scaled = self._scaler.run(None, {"rows": rows})[0]
        return np.asarray(self._base[name].run(None, {"rows": scaled})[-1])
