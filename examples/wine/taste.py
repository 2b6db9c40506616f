"""Taste the bottles that training never saw, blind, and say how it went."""

import sys

import pandas as pd

from genrestack import Client


def main(target: str) -> None:
    bottles = pd.read_csv("wine/table.csv")
    with Client(target) as client:
        client.wait_until_ready(60)
        answer = client.predict(bottles.drop(columns="label"), model="wine")

    tasting = bottles.assign(said=answer.labels, sure=answer.probabilities.max(axis=1)).sort_values("sure")
    for bottle in tasting.to_dict("records"):
        glass = f"{bottle['alcohol']:.1f} % alcohol, colour {bottle['color_intensity']:4.1f}, hue {bottle['hue']:.2f}"
        verdict = "" if bottle["said"] == bottle["label"] else f"… no, it was a {bottle['label']}"
        print(f"  {glass}  →  {bottle['said']:10} {bottle['sure']:4.0%}  {verdict}".rstrip())

    right = int((tasting["said"] == tasting["label"]).sum())
    print(f"\n{right} of {len(tasting)} bottles named right, blind. Salute!")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051")
