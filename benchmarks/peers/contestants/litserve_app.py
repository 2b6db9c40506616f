"""The pickle behind LitServe: `python -m benchmarks.peers.contestants.litserve_app PORT WORKERS BATCH WAIT_S`.

Runs in LitServe's environment.
"""

import sys
from typing import Any

import litserve
import numpy as np
from fastapi import Request, Response

from benchmarks.peers.contestants.unpickled import load_given, probabilities


class Stack(litserve.LitAPI):  # type: ignore[misc]  # LitServe is not followed by mypy
    """Requests and answers are JSON: `{"rows": …}` and `{"probabilities": …}`."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's form
        """Load the pickle."""
        self._pipeline = load_given()
        self._sizes: list[int] = []

    def decode_request(self, request: Request) -> Any:
        """Return the rows of a request; its type is what makes LitServe read JSON."""
        return np.asarray(request["rows"], np.float64)

    def batch(self, inputs: Any) -> Any:
        """Join requests of any number of rows."""
        self._sizes = [len(rows) for rows in inputs]
        return np.concatenate(inputs)

    def predict(self, rows: Any) -> Any:
        """Answer a batch."""
        return probabilities(self._pipeline, rows)

    def unbatch(self, output: Any) -> Any:
        """Part the answers again."""
        return np.split(output, np.cumsum(self._sizes)[:-1])

    def encode_response(self, output: Any) -> Response:
        """Write an answer."""
        return {"probabilities": output.tolist()}


def main() -> None:
    """Serve until told to stop."""
    port, workers, batch = map(int, sys.argv[1:4])
    server = litserve.LitServer(
        Stack(max_batch_size=batch, batch_timeout=float(sys.argv[4])), accelerator="cpu", workers_per_device=workers,
        fast_queue=True,
    )  # fmt: skip
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
