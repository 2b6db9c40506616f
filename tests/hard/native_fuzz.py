"""Ask the native neighbours about drawn points of drawn shapes: `python -m hard.native_fuzz LIBRARY SEED COUNT`.

Run under sanitizers by `test_native.py`: what they find ends the process.
"""

import sys
from pathlib import Path

import numpy as np
from bundle.native.reference import Case, rows_of, scattered, whole

from genrestack_bundle.native.library import instruction_sets


def main(library: str, seed: str, count: str) -> None:
    """Compare every answer with numpy's, for every instruction set."""
    path = Path(library)
    sets = instruction_sets(path)
    for number in range(int(count)):
        rng = np.random.default_rng([int(seed), number])
        case = draw(rng)
        rows = rows_of(rng, case.points, int(rng.integers(0, 40)))
        if len(rows) and number % 5 == 0:
            rows.flat[rng.integers(0, rows.size, 3)] = rng.choice(np.array([np.nan, np.inf, -np.inf, 1e308, 5e-324]), 3)
        check(case, rows, path, sets)
    print(f"{count} cases, {', '.join(sets)}")


def draw(rng: np.random.Generator) -> Case:
    """Draw points, few or many, that tie or not, of any size of number, and what to ask of them."""
    count = _one_of(rng, (1, 40), (1, 700), (700, 5000))
    features = _one_of(rng, (1, 20), (50, 70), (1, 300))
    neighbors = _one_of(rng, (1, min(count, 30)), (1, count), (count, count))
    points = (whole if rng.random() < 0.5 else scattered)(rng, count, features)
    points *= 2.0 ** int(rng.choice([0, 0, 0, -1060, -520, 300, 900]))
    return Case(points, rng.integers(0, 4, count), neighbors, int(rng.integers(1, 3)), bool(rng.random() < 0.5))


def _one_of(rng: np.random.Generator, *ranges: tuple[int, int]) -> int:
    low, high = ranges[int(rng.integers(0, len(ranges)))]
    return int(rng.integers(low, high + 1))


def check(case: Case, rows: np.ndarray, library: Path, sets: tuple[str, ...]) -> None:
    """Raise where an instruction set answers otherwise than the others, or than numpy."""
    answers = []
    for name in sets:
        with case.index(name, library=library) as index:
            answers.append(index.predict_proba(rows))
    assert len({answer.tobytes() for answer in answers}) == 1
    expected, decided = case.answer(rows), case.decided(rows)
    np.testing.assert_allclose(answers[0][decided], expected[decided], rtol=0, atol=1e-8)


if __name__ == "__main__":
    main(*sys.argv[1:])
