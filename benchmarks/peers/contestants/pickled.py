"""The pickle that people would serve: `python -m benchmarks.peers.contestants.pickled RUN FILE`.

A `Pipeline` of the fitted scaler and the fitted stack, its network in scikeras's own wrapper: nothing in it needs
GenreStack to be loaded.
"""

import sys
from pathlib import Path
from typing import Any


def plain(estimator: Any) -> Any:
    """Remove our wrapper from a network; anything else is left as it is."""
    from scikeras.wrappers import KerasClassifier

    from genrestack_training.models.mlp import StackableKerasClassifier

    if not isinstance(estimator, StackableKerasClassifier):
        return estimator
    bare = KerasClassifier.__new__(KerasClassifier)
    # The function that builds a network is ours; a fitted one does not need it.
    bare.__dict__ = {**estimator.__dict__, "model": None}
    return bare


def make_pipeline(run: Any) -> Any:
    """Make the pipeline of a run."""
    from sklearn.pipeline import Pipeline

    stack = run.stack
    stack.estimators = [(name, plain(estimator)) for name, estimator in stack.estimators]
    stack.estimators_ = [plain(estimator) for estimator in stack.estimators_]
    for name, estimator in zip(dict(stack.estimators), stack.estimators_, strict=True):
        stack.named_estimators_[name] = estimator
    return Pipeline([*([("scaler", run.scaler)] if run.scaler is not None else []), ("stack", stack)])


def main() -> None:
    """Pickle the stack of a run."""
    import joblib

    from genrestack_training import load_run

    file = Path(sys.argv[2])
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".writing")
    joblib.dump(make_pipeline(load_run(sys.argv[1])), aside)
    aside.replace(file)


if __name__ == "__main__":
    main()
