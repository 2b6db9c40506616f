"""The core that every front end calls: which model, then rows in, probabilities out."""

import time

from genrestack_bundle import Answer
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.call import Call
from genrestack_server.errors import DeadlinePassedError
from genrestack_server.inference.admission import Gate
from genrestack_server.inference.batcher import Batcher
from genrestack_server.models.registry import Registry, ServedModel


class Predictor:
    """Admission, model look-up, execution."""

    def __init__(self, registry: Registry, batcher: Batcher, gate: Gate) -> None:
        self.registry = registry
        self.gate = gate
        self._batcher = batcher

    @property
    def queue_rows(self) -> int:
        """Rows that wait to be computed, of all models together."""
        return self._batcher.waiting_rows

    def find(self, model: str, version: int) -> ServedModel:
        """Find the version a request means; see `Registry.find`."""
        return self.registry.find(model, version)

    async def predict(self, served: ServedModel, rows: FloatMatrix, call: Call) -> Answer:
        """Answer checked rows, float32 of shape (n, f).

        Args:
            served: the version that answers.
            rows: finite, contiguous, in the model's column order.
            call: the request these rows came with: when nobody waits any more, and how urgent it is.

        Raises:
            DeadlinePassedError: nobody waits for the answer any more.
            QueueFullError: too many rows wait already.
            InvalidRequestError: the model has no finite answer for some row.

        """
        if call.deadline is not None and time.monotonic() >= call.deadline:
            raise DeadlinePassedError("the deadline had already passed when the request arrived; allow more time")
        return await self._batcher.run(served, rows, call)
