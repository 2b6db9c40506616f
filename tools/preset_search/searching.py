"""Search, and write down every trial."""

import csv
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from tools.preset_search.choice import Choice, Search, Side, Trial
from tools.preset_search.fits import Fits
from tools.preset_search.partition import Partition


def search(partitions: Sequence[Partition], cache: Path, record: Path, seed: int, fold: int) -> None:
    """Search the training sides of one outer fold of each partition; write `trials.csv` and `choice.json`."""
    sides = [Side(Fits(partition, cache, seed), fold) for partition in partitions]
    searching = Search(sides, _say)
    choice = searching.choose()
    record.mkdir(parents=True, exist_ok=True)
    _write_trials(record / "trials.csv", searching.trials)
    facts = {"seed": seed, "fold": fold, "choice": _plain(choice)}
    (record / "choice.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _write_trials(path: Path, trials: Iterable[Trial]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["unit", "fold", "stage", "candidate", "windows", "songs", "log_loss"])
        for t in trials:
            writer.writerow([t.unit, t.fold, t.stage, t.candidate, *_texts(t)])


def _texts(trial: Trial) -> list[str]:
    return [f"{value:.4f}" for value in (trial.score.windows, trial.score.songs, trial.score.log_loss)]


def _plain(choice: Choice) -> dict[str, str]:
    return {f.name: str(getattr(choice, f.name)) for f in fields(Choice)}


def _say(trial: Trial) -> None:
    found = " ".join(_texts(trial))
    print(
        f"{time.strftime('%H:%M:%S')} {trial.unit} {trial.fold} {trial.stage:16} {found} {trial.candidate}", flush=True
    )
