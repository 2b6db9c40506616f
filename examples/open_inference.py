"""Ask through the Open Inference Protocol, with NVIDIA's tritonclient and no line of ours.

$ genrestack demo
$ genrestack serve demo/models &
$ pip install "tritonclient[grpc]"
$ python examples/open_inference.py
"""

import csv
import sys
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

TABLE = Path("demo/unseen.csv")


def features(rows: "np.ndarray[Any, np.dtype[np.float64]]") -> "list[triton.InferInput]":
    tensor = triton.InferInput("features", list(rows.shape), "FP64")
    return [tensor.set_data_from_numpy(rows)]


def read_rows(columns: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Read three rows; this protocol has no names of features, so the columns stand in the model's own order."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    # filename, length, the features, label: as `genrestack features` writes it.
    return np.array([row[2 : 2 + columns] for row in table[1:4]], dtype=np.float64)


def main(target: str) -> None:
    with triton.InferenceServerClient(target) as client:
        name = client.get_model_repository_index().models[0].name
        model = client.get_model_metadata(name)
        columns = model.inputs[0].shape[1]
        print(f"{name} takes {columns} features and answers {', '.join(output.name for output in model.outputs)}")

        # A stream carries many requests; one that fails does not end it.
        rows = read_rows(columns)
        answers: Queue[tuple[Any, Any]] = Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number, row in enumerate((rows[0], np.full(columns, np.nan), rows[2])):
            client.async_stream_infer(name, features(row[None]), request_id=str(number))
        for number in range(3):
            result, error = answers.get()
            print(f"item {number}: {error.message() if error else result.as_numpy('label')[0].decode()}")
        client.stop_stream()

        try:
            client.infer(name, features(np.zeros((1, 2))))
        except InferenceServerException as error:
            print(f"refused: {error.message()}")

        # Label, class index and probabilities come unasked, the base estimators' probabilities when they are named.
        answer = client.infer(name, features(rows))
        labels, probabilities = answer.as_numpy("label"), answer.as_numpy("probabilities")
        base = model.outputs[-1].name
        part = client.infer(name, features(rows), outputs=[triton.InferRequestedOutput(base)]).as_numpy(base)

    print(f"\nthe same answers for everybody's tools ({base} beside the stack):")
    for label, whole, alone in zip(labels, probabilities, part, strict=True):
        print(f"  {label.decode():14} {'█' * round(20 * whole.max()):20} {whole.max():4.0%}   {alone.max():4.0%}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051")
