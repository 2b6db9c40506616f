"""A DataFrame in, a DataFrame out: columns are matched by name, in whatever order they stand.

$ genrestack demo
$ genrestack serve demo/models &
$ python examples/dataframe.py
"""

import sys

import pandas as pd

from genrestack import Client

TABLE, ANSWERS = "demo/unseen.csv", "demo/answers.csv"


def answered(frame: pd.DataFrame, client: Client) -> pd.DataFrame:
    """Put a label and its probability beside every row."""
    # The model's columns are taken by name; `filename` and `label` are left out.
    prediction = client.predict(frame)
    return frame.assign(predicted=prediction.labels, probability=prediction.probabilities.max(axis=1))


def main(target: str) -> None:
    table = pd.read_csv(TABLE)
    with Client(target) as client:
        # Turned round, to show that it does not matter.
        frame = answered(table[table.columns[::-1]], client)
    frame.to_csv(ANSWERS, index=False)

    missed = frame[frame["predicted"] != frame["label"]].sort_values("probability", ascending=False)
    print(f"{len(frame)} rows, {len(missed)} missed. The surest mistakes:\n")
    print(missed[["filename", "predicted", "probability"]].head(3).round(2).to_string(index=False))

    right = (frame["predicted"] == frame["label"]).groupby(frame["label"]).mean().sort_values()
    print("\nhow often each style was known:\n")
    for style, share in right.items():
        print(f"  {style:14} {'█' * round(20 * share):20} {share:4.0%}")
    print(f"\nevery answer is in {ANSWERS}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051")
