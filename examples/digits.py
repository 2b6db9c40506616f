"""A table of something else: scikit-learn's handwritten digits, 64 features that no recording has.

Nothing is tied to music: a column for each feature and one called label will do.

    python examples/digits.py digits.csv unseen.csv
    genrestack train digits.csv --preset demo --name digits
    genrestack serve models
    genrestack predict unseen.csv --model digits --limit 5
"""

import sys

from sklearn.datasets import load_digits

UNSEEN_ROWS = 97
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def main(table: str, unseen: str) -> None:
    data, target = load_digits(return_X_y=True, as_frame=True)
    rows = data.assign(label=[WORDS[digit] for digit in target])
    rows[:-UNSEEN_ROWS].to_csv(table, index=False)
    rows[-UNSEEN_ROWS:].to_csv(unseen, index=False)
    print(f"{len(rows) - UNSEEN_ROWS} rows to train on in {table}, {UNSEEN_ROWS} to ask about in {unseen}")
    print(f"next: genrestack train {table} --preset demo --name digits")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/digits.py TABLE UNSEEN")
    main(sys.argv[1], sys.argv[2])
