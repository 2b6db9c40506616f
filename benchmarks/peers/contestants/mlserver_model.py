"""MLServer's scikit-learn runtime with the one row repaired; runs in MLServer's environment."""

from mlserver.utils import get_model_uri
from mlserver_sklearn import SKLearnModel

from benchmarks.peers.contestants.unpickled import load, probabilities


class Stack(SKLearnModel):  # type: ignore[misc]  # MLServer is not followed by mypy
    """The runtime as it is, with another loader."""

    async def load(self) -> bool:
        """Load the pickle."""
        self._model = _InDouble(load(await get_model_uri(self._settings)))
        return True


class _InDouble:
    """The pipeline as the runtime calls it; rows come in single precision, which is how they travel."""

    def __init__(self, pipeline: object) -> None:
        self._pipeline = pipeline

    def predict_proba(self, rows: object) -> object:
        return probabilities(self._pipeline, rows)  # type: ignore[arg-type]  # what the runtime decoded
