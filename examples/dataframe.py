"""A DataFrame in, a DataFrame out: the columns are matched by name, in whatever order they stand.

Start a server, then give this a table of features (pandas has to be installed):

    genrestack serve models
    python examples/dataframe.py table.csv answers.csv localhost:50051
"""

import sys

import pandas as pd

from genrestack import Client


def answered(frame: pd.DataFrame, client: Client) -> pd.DataFrame:
    """Put a label and its probability beside every row."""
    features = frame[list(client.model().feature_names)]
    prediction = client.predict(features)
    return frame.assign(predicted=prediction.labels, probability=prediction.probabilities.max(axis=1))


def main(table: str, answers: str, target: str) -> None:
    with Client(target) as client:
        frame = answered(pd.read_csv(table), client)
    frame.to_csv(answers, index=False)
    print(frame["predicted"].value_counts().to_string())
    print(f"all {len(frame)} answers are in {answers}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/dataframe.py TABLE ANSWERS [HOST:PORT]")
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "localhost:50051")
