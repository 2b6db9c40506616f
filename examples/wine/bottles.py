"""Write scikit-learn's wine table as two: bottles to train on, and every fifth, to be tasted blind."""

from pathlib import Path

from sklearn.datasets import load_wine

FOLDER = Path("wine")
GRAPES = ("Barolo", "Grignolino", "Barbera")


def main() -> None:
    data, grape = load_wine(return_X_y=True, as_frame=True)
    bottles = data.assign(label=[GRAPES[number] for number in grape])
    aside = bottles.index % 5 == 0

    FOLDER.mkdir(exist_ok=True)
    bottles[~aside].to_csv(FOLDER / "cellar.csv", index=False)
    bottles[aside].to_csv(FOLDER / "table.csv", index=False)
    print(f"{(~aside).sum()} bottles in {FOLDER / 'cellar.csv'}, {aside.sum()} on {FOLDER / 'table.csv'}")
    print("a column for each number, one called label: that is all a table has to be")


if __name__ == "__main__":
    main()
