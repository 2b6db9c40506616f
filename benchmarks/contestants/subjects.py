"""The contestants of the benchmarks in process: each makes a function from raw rows to class probabilities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Answer = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


@dataclass(frozen=True)
class Subject:
    """Something that answers rows of shape (n, f) with probabilities of shape (n, k)."""

    answer: Answer
    dtype: Any
    """What it takes its rows as."""


def make(spec: Mapping[str, Any]) -> Subject:
    """Make the contestant that a spec, as the functions of `contest` write it, describes."""
    return {"composed": _composed, "unsliced": _unsliced, "original": _original, "stock": _stock}[spec["kind"]](spec)


def _composed(spec: Mapping[str, Any]) -> Subject:
    from genrestack_bundle import verified_session

    bundle = open_only_bundle(Path(spec["repository"]))
    # As a server loads it: with native operators where they are there.
    session = verified_session(bundle, provider="cpu", threads=int(spec["threads"])).session
    return Subject(lambda rows: session.run(rows).probabilities, np.float32)


def _unsliced(spec: Mapping[str, Any]) -> Subject:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = int(spec["threads"])
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    bundle = open_only_bundle(Path(spec["repository"]))
    session = ort.InferenceSession(bundle.compose(), options, providers=["CPUExecutionProvider"])
    # All of its outputs, as the composed session gives them.
    names = [output.name for output in session.get_outputs()]
    place = names.index("probabilities")
    return Subject(lambda rows: np.asarray(session.run(names, {"features": rows})[place]), np.float32)


def open_only_bundle(repository: Path) -> Any:
    """Open the newest version of the one model in a repository."""
    from genrestack_bundle import list_models, list_versions, open_bundle

    (name,) = list_models(repository)
    return open_bundle(repository / name / str(list_versions(repository / name)[-1]))


def _original(spec: Mapping[str, Any]) -> Subject:
    from genrestack_training import load_run

    run = load_run(spec["run"])
    if spec["direct"]:
        run.stack.estimators_ = [_Direct(e.model_) if hasattr(e, "model_") else e for e in run.stack.estimators_]
    estimator = run.stack.named_estimators_[spec["part"]] if spec["part"] else run.stack
    return Subject(lambda rows: np.asarray(estimator.predict_proba(run.scaled(rows))), np.float64)


class _Direct:
    """A Keras network called as a function, without what `predict()` sets up for each call."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def predict_proba(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return np.asarray(self._network(rows.astype(np.float32), training=False))


def _stock(spec: Mapping[str, Any]) -> Subject:
    from benchmarks.contestants.stock import StockSessions

    sessions = StockSessions(Path(spec["folder"]), threads=int(spec["threads"]))
    part = spec["part"]
    return Subject((lambda rows: sessions.answer_part(part, rows)) if part else sessions.answer, np.float32)
