"""Where the SVC's probabilities come from, and what that does to the answers: `python -m benchmarks.calibration`.

On inner folds of the preset's search alone: log loss, calibration error and accuracy of the stack and of its SVC, and
the SVC's confidence when the same rows are fitted in another order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.metrics import log_loss

from benchmarks.contestants.prepared import REAL_TABLE
from benchmarks.inner_folds import ARTISTS, SEED, InnerFit, counts, difference, inner_fits, partition
from genrestack_training import resolve_settings
from genrestack_training.models.calibration_folds import CalibrationFolds
from tools.preset_search.partition import Partition

METHODS: Final = ("sigmoid", "temperature")
_BINS: Final = 15

Rows = npt.NDArray[np.float64]


@click.command()
@click.option("--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=REAL_TABLE,
              help="The 3-second GTZAN table; by default where the tests find it.")  # fmt: skip
@click.option("--artists", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=ARTISTS,
              help="CSV of its artists.")  # fmt: skip
@click.option("--unit", "units", type=click.Choice(["artist", "track"]), multiple=True, default=["artist"],
              show_default=True, help="What is kept whole; can be repeated.")  # fmt: skip
@click.option("--preset", default="best", show_default=True, help="The preset.")
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs of the network: to try.")
@click.option("--jobs", type=click.IntRange(min=1), help="Fits at once.")
def main(table: Path, artists: Path, units: Sequence[str], preset: str, epochs: int | None, jobs: int | None) -> None:
    """Print what each calibration reaches on inner folds."""
    click.echo("| kept whole | calibration | of | log loss | ECE | confidence | windows | songs |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for unit in units:
        cut = partition(table, artists, unit)
        made = {}
        for method in METHODS:
            settings = resolve_settings(preset, epochs=epochs, overrides={"svc": {"calibration": method}})
            made[method] = list(inner_fits(cut, artists, settings, jobs))
            for part in ("stack", "svc"):
                click.echo(f"| {unit} | {method} | {part} | {' | '.join(_reached(cut, made[method], part))} |")
        for level in ("windows", "songs"):
            ours, theirs = (
                [counts(cut, f.held, _answers(cut, f, "stack"), level) for f in made[m]] for m in METHODS[::-1]
            )
            above = difference(ours, theirs)[1]
            points = f"{100 * above.mean:+.1f} [{100 * above.low:+.1f}, {100 * above.high:+.1f}]"
            click.echo(f"\n{unit}, {level}: {METHODS[1]} above {METHODS[0]} by {points} points")
        for method in METHODS:
            click.echo(f"\n{unit}, {method}, SVC's confidence: {_by_order(cut, made[method][0])}")


def _answers(cut: Partition, fit: InnerFit, part: str) -> Rows:
    rows = fit.scaler.transform(cut.table.features[fit.held])
    model = fit.stack if part == "stack" else fit.stack.named_estimators_[part]
    return np.asarray(model.predict_proba(rows))


def _reached(cut: Partition, fits: Sequence[InnerFit], part: str) -> list[str]:
    answers = [_answers(cut, fit, part) for fit in fits]
    truth = [cut.codes[fit.held] for fit in fits]
    classes = range(len(cut.classes))
    loss = np.mean([log_loss(t, a, labels=classes) for t, a in zip(truth, answers, strict=True)])
    every, of = np.concatenate(answers), np.concatenate(truth)
    right = [
        np.mean(
            [
                c.right.sum() / c.asked.sum()
                for c in (counts(cut, f.held, a, level) for f, a in zip(fits, answers, strict=True))
            ]
        )
        for level in ("windows", "songs")
    ]
    return [f"{v:.3f}" for v in (loss, _ece(every, of), every.max(axis=1).mean(), *right)]


def _ece(answers: Rows, truth: Any) -> float:
    sure, right = answers.max(axis=1), answers.argmax(axis=1) == truth
    place = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    return float(
        sum(abs(right[place == b].mean() - sure[place == b].mean()) * np.mean(place == b) for b in np.unique(place))
    )


def _by_order(cut: Partition, fit: InnerFit) -> str:
    """Fit the SVC of one inner fold again, its rows in the table's order and shuffled."""
    rows = np.flatnonzero(~np.isin(cut.folds, (0, cut.folds[fit.held[0]])))
    asked = fit.scaler.transform(cut.table.features[fit.held])
    told = []
    for order in (rows, np.random.default_rng(SEED).permutation(rows)):
        svc = clone(fit.stack.named_estimators["svc"])
        if isinstance(svc.cv, CalibrationFolds):
            svc.set_params(cv=CalibrationFolds(svc.cv.n_splits, cut.tracks[order], SEED))
        answers = svc.fit(fit.scaler.transform(cut.table.features[order]), cut.codes[order]).predict_proba(asked)
        told.append(f"{answers.max(axis=1).mean():.3f}, ECE {_ece(answers, cut.codes[fit.held]):.3f}")
    return f"{told[0]} in the table's order; {told[1]} shuffled"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.calibration")
