"""Ask a running server through the Open Inference Protocol, with NVIDIA's tritonclient and no line of ours.

Start a server first, then run this beside it:

    genrestack serve models
    pip install "tritonclient[grpc]"
    python examples/open_inference.py localhost:50051
"""

import sys
from queue import Queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def features(rows: "np.ndarray[Any, np.dtype[np.float64]]") -> "list[triton.InferInput]":
    tensor = triton.InferInput("features", list(rows.shape), "FP64")
    return [tensor.set_data_from_numpy(rows)]


def main(target: str) -> None:
    with triton.InferenceServerClient(target) as client:
        name = client.get_model_repository_index().models[0].name
        model = client.get_model_metadata(name)
        columns = model.inputs[0].shape[1]
        print(f"{name} takes {columns} features and answers {', '.join(output.name for output in model.outputs)}")

        # Label, class index and probabilities come unasked, the base estimators' probabilities when they are named.
        rows = np.zeros((3, columns))
        answer = client.infer(name, features(rows))
        print(f"labels: {[label.decode() for label in answer.as_numpy('label')]}")
        base = model.outputs[-1].name
        answer = client.infer(name, features(rows), outputs=[triton.InferRequestedOutput(base)])
        print(f"{base} of row 0: {answer.as_numpy(base)[0].round(3)}")

        # A stream carries many requests; one that fails does not end it.
        answers: Queue[tuple[Any, Any]] = Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number, value in enumerate((0.0, np.nan, 1.0)):
            client.async_stream_infer(name, features(np.full((1, columns), value)), request_id=str(number))
        for number in range(3):
            result, error = answers.get()
            print(f"item {number}: {error.message() if error else result.as_numpy('label')[0].decode()}")
        client.stop_stream()

        try:
            client.infer(name, features(np.zeros((1, 2))))
        except InferenceServerException as error:
            print(f"refused: {error.message()}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051")
