"""Stream a table larger than memory: batches out, answers back in order, a bounded number of them under way.

    $ genrestack demo
    $ genrestack serve demo/models &
    $ python examples/stream_large_table.py 400

The number says how often to read the demo's 240 rows over: 400 times are 96,000 rows, which never lie in memory.
"""

import csv
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from genrestack import Client

TABLE, ANSWERS = "demo/unseen.csv", Path("demo/streamed.csv")
BATCH_ROWS = 256


def batches(times: int, features: list[str]) -> Iterator[pd.DataFrame]:
    """Read the table piece by piece; the client takes the next piece only when there is room for it."""
    for _ in range(times):
        with pd.read_csv(TABLE, usecols=features, chunksize=BATCH_ROWS) as pieces:
            yield from pieces


def main(times: int, target: str) -> None:
    began, rows, heard = time.monotonic(), 0, Counter[str]()
    with Client(target) as client, ANSWERS.open("w", newline="", encoding="utf-8") as file:
        model = client.model()
        writer = csv.writer(file)
        writer.writerow(["row", "predicted", "probability"])
        # The version is named, so that one and the same answers the whole table.
        stream = client.predict_stream(
            batches(times, list(model.feature_names)), model=model.name, version=model.version
        )
        for prediction in stream:
            best = prediction.probabilities.max(axis=1)
            for label, probability in zip(prediction.labels, best, strict=True):
                writer.writerow([rows, label, f"{probability:.4f}"])
                rows += 1
            heard.update(prediction.labels)
    seconds = time.monotonic() - began

    most = max(heard.values())
    for style, count in heard.most_common():
        print(f"  {style:14} {'█' * round(30 * count / most):30} {count:7,}")
    print(f"\n{rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} a second; the answers are in {ANSWERS}")


if __name__ == "__main__":
    times_over = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    main(times_over, sys.argv[2] if len(sys.argv) > 2 else "localhost:50051")
