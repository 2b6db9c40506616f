"""Ask a running server for the labels of a few rows.

Start a server first, then run this beside it:

    genrestack serve models
    python examples/serve_and_predict.py localhost:50051
"""

import sys

from genrestack import Client, InvalidInput


def main(target: str) -> None:
    with Client(target) as client:
        client.wait_until_ready(60)
        model = client.model()
        counts = f"{len(model.classes)} classes apart by {len(model.feature_names)} features"
        print(f"{model.name}/{model.version} tells {counts}")

        # Rows of plain numbers, in the model's own order of features.
        rows = [[float(row)] * len(model.feature_names) for row in range(3)]
        answer = client.predict(rows, base=True)
        for row, label in enumerate(answer.labels):
            print(f"row {row}: {label} (p = {answer.probabilities[row].max():.3f})")
        for part, probabilities in answer.base.items():
            print(f"what {part} alone would say of row 0: {answer.classes[probabilities[0].argmax()]}")

        # A mistake is an exception that says where it is.
        try:
            client.predict([[0.5, 0.5]])
        except InvalidInput as error:
            print(f"refused: {error}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051")
