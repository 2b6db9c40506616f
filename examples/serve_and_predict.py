"""Ask a running server about ten pieces that its model has never heard.

    $ genrestack demo
    $ genrestack serve demo/models &
    $ python examples/serve_and_predict.py

Plain Python and the bare client are enough: `pip install genrestack`.
"""

import csv
import sys
from pathlib import Path

from genrestack import Client, InvalidInput

TABLE = Path("demo/unseen.csv")


def main(target: str) -> None:
    with TABLE.open(newline="", encoding="utf-8") as file:
        pieces = list(csv.DictReader(file))[:10]

    with Client(target) as client:
        client.wait_until_ready(60)
        model = client.model()
        features = model.feature_names
        print(f"{model.name}/{model.version} tells {len(model.classes)} styles apart by {len(features)} features\n")

        # A row is a list of numbers in the model's order; an array, a DataFrame or dicts by name will do as well.
        rows = [[float(piece[name]) for name in features] for piece in pieces]
        answer = client.predict(rows, base=True)

        for piece, label, probabilities in zip(pieces, answer.labels, answer.probabilities, strict=True):
            sure = float(probabilities.max())
            mark = "✓" if label == piece["label"] else f"✗ it is {piece['label']}"
            print(f"  {label:14} {'█' * round(20 * sure):20} {sure:4.0%}  {mark}")

        # What the parts of the stack said of the row that the whole was least sure of.
        doubtful = int(answer.probabilities.max(axis=1).argmin())
        votes = [f"{part} {answer.classes[said[doubtful].argmax()]}" for part, said in answer.base.items()]
        print(f"\nleast sure of {pieces[doubtful]['filename']}: {', '.join(votes)}")

        # A mistake is an exception that says where it is.
        try:
            client.predict([[0.5, 0.5]])
        except InvalidInput as error:
            print(f"refused, as it should be: {error}")

    right = sum(label == piece["label"] for piece, label in zip(pieces, answer.labels, strict=True))
    print(f"{right} of {len(pieces)} right, on music that no training saw")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051")
