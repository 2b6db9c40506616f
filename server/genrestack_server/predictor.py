"""The core that every front end calls: which model, then rows in, probabilities out."""

import time

from genrestack_bundle import Answer
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.calls import Call
from genrestack_server.checks import check_answer
from genrestack_server.errors import DeadlinePassedError
from genrestack_server.executor import Executor
from genrestack_server.gate import Gate
from genrestack_server.registry import Registry, ServedModel


class Predictor:
    """Admission, model look-up, execution."""

    def __init__(self, registry: Registry, executor: Executor, gate: Gate) -> None:
        self.registry = registry
        self.gate = gate
        self._executor = executor

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
            InvalidRequestError: the model has no finite answer for some row.

        """
        deadline = call.deadline
        if deadline is not None and time.monotonic() >= deadline:
            raise DeadlinePassedError("the deadline had already passed when the request arrived; allow more time")
        answer = await self._executor.run(served.session, rows, deadline, quick=len(rows) <= served.quick_rows)
        check_answer(answer.probabilities)
        return answer
