"""Stream a table larger than memory: batches out, answers back in order, a bounded number of them under way.

Start a server, then name a table and a file for the answers (pandas has to be installed):

    genrestack serve models
    python examples/stream_large_table.py huge.csv answers.csv localhost:50051
"""

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from genrestack import Client

BATCH_ROWS = 256


def batches(table: str, features: list[str]) -> Iterator[pd.DataFrame]:
    """Read the table piece by piece; the client takes the next piece only when there is room for it."""
    with pd.read_csv(table, usecols=features, chunksize=BATCH_ROWS) as pieces:
        yield from pieces


def main(table: str, answers: str, target: str) -> None:
    began, rows = time.monotonic(), 0
    with Client(target) as client, Path(answers).open("w", newline="", encoding="utf-8") as file:
        model = client.model()
        writer = csv.writer(file)
        writer.writerow(["row", "predicted", "probability"])
        # The version is named, so that one and the same answers the whole table.
        stream = client.predict_stream(
            batches(table, list(model.feature_names)), model=model.name, version=model.version
        )
        for prediction in stream:
            best = prediction.probabilities.max(axis=1)
            for label, probability in zip(prediction.labels, best, strict=True):
                writer.writerow([rows, label, f"{probability:.4f}"])
                rows += 1
    print(f"{rows} rows in {time.monotonic() - began:.1f} s; the answers are in {answers}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/stream_large_table.py TABLE ANSWERS [HOST:PORT]")
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "localhost:50051")
