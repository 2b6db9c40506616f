"""The training, from a table to a run, in the order of the notebook it came from."""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning

from genrestack_training.checks import check_seed, check_table, check_training_side
from genrestack_training.errors import TableError
from genrestack_training.evaluation import evaluate
from genrestack_training.fitting import FitStore, fit_stack
from genrestack_training.folder import plan_run_folder, run_name, save_run
from genrestack_training.grouping import Grouping, find_grouping
from genrestack_training.made import made_rows
from genrestack_training.presets import Overrides, resolve_settings
from genrestack_training.progress import Progress, Silent
from genrestack_training.run import Provenance, Run
from genrestack_training.settings import Settings
from genrestack_training.splits import Split, inner_folds, make_split
from genrestack_training.stack import build_scaler, build_stack
from genrestack_training.table import Table

LIBRARIES = ("numpy", "scikit-learn", "scipy")
NETWORK_LIBRARIES = ("keras", "scikeras", "tensorflow")


def train(
    table: Table,
    *,
    preset: str = "notebook",
    split: str = "random",
    artists: Mapping[str, str] | None = None,
    overrides: Overrides | None = None,
    epochs: int | None = None,
    seed: int = 42,
    name: str | None = None,
    runs_dir: str | Path | None = "runs",
    run_dir: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Split, scale, fit and evaluate, and write the run.

    Args:
        table: rows with labels.
        preset: a key of `PRESETS`.
        split: a key of `SPLITS`; "none" fits every row and gives no figures.
        artists: filename → artist or other group, as `read_groups` gives it; the split "artist" keeps these whole.
        overrides: section → key → value, laid over the preset.
        epochs: shortcut for the network's number of epochs.
        seed: one seed for the split and everything that draws random numbers; the same seed gives the same run.
        name: what the run and the model are called; the table's file name by default.
        runs_dir: the run goes to `runs_dir/name/<UTC time>`; None writes nothing.
        run_dir: the run's own folder, which must not exist yet; wins over `runs_dir`.
        jobs: fits at once; None: one for each CPU, if the work is long enough for that. Fits that finish are kept
            beside the run until it is written, so that the same call goes on after an interruption.
        progress: told of every fold and epoch.

    Raises:
        TableError: the table cannot be trained on.
        SettingsError: an unknown preset, split or setting, or a value that cannot be.
        RunError: the run cannot be written.

    """
    progress = progress or Silent()
    name = name or run_name(table.path)
    settings = resolve_settings(preset, overrides=overrides, epochs=epochs)
    check_seed(seed)
    labels = check_table(table, settings)
    grouping = _grouping(table, artists)
    folder = plan_run_folder(name, runs_dir=runs_dir, run_dir=run_dir)

    # Split: hold back rows that no estimator will see.
    sides = make_split(split, table, test_share=settings.split.test_share, seed=seed, grouping=grouping)
    training_rows, training_labels = table.features[sides.training], labels[sides.training]
    test_rows, test_labels = table.features[sides.test], labels[sides.test]
    check_training_side(training_labels, labels, settings)
    inner = inner_folds(settings.stack.folds_by, sides, labels, grouping, settings.stack.folds, seed)

    # Scale: learn the features' ranges from the training rows (or, as the notebook does, from all).
    scaler = build_scaler(settings, rows=len(training_rows))
    scale = (lambda rows: rows) if scaler is None else scaler.transform
    if scaler is not None:
        scaler.fit(table.features if settings.scaler.fit_on == "all" else training_rows)

    # Fit: every base estimator on all training rows and once a fold, then the meta-learner.
    stack = build_stack(settings, seed=seed, folds=inner)
    begun = time.monotonic()
    store = None if folder is None else FitStore(folder.parent / ".fits")
    with _notes_of_the_fit(settings) as notes:
        fit_stack(stack, scale(training_rows), training_labels, progress=progress, jobs=jobs, store=store)
    fit_seconds = time.monotonic() - begun

    # Evaluate: the stack and each base model, on the rows held back.
    evaluation = evaluate(stack, scale(test_rows), test_labels) if len(test_rows) else None
    for line in notes:
        progress.note(line)

    run = Run(
        name=name,
        stack=stack,
        scaler=scaler,
        feature_names=table.feature_names,
        classes=tuple(str(c) for c in stack.classes_),
        training_rows=training_rows,
        training_labels=training_labels,
        reference_rows=test_rows if evaluation else made_rows(training_rows, seed=seed),
        reference_labels=test_labels if evaluation else None,
        evaluation=evaluation,
        settings=settings,
        provenance=_provenance(table, sides, settings, preset, seed, fit_seconds, tuple(notes)),
    )
    if folder is not None:
        run = replace(run, path=save_run(run, folder))
    if store is not None:
        store.forget()
    return run


def _grouping(table: Table, artists: Mapping[str, str] | None) -> Grouping:
    try:
        return find_grouping(table, artists)
    except TableError as exc:
        raise TableError(f"{table.path}: {exc}") from None


@contextmanager
def _notes_of_the_fit(settings: Settings) -> Iterator[list[str]]:
    """Turn the warnings that a fit is known to give into plain lines; let any other through."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The `probability` parameter was deprecated", FutureWarning)
        yield notes
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        notes.append(
            f"The meta-learner stopped at its limit of {settings.meta.max_iter} iterations, not yet fully converged. "
            "The figures are of the model as it is; max_iter under [meta] in a settings file lets it go on.",
        )


def _provenance(
    table: Table,
    sides: Split,
    settings: Settings,
    preset: str,
    seed: int,
    fit_seconds: float,
    notes: tuple[str, ...],
) -> Provenance:
    libraries = LIBRARIES + (NETWORK_LIBRARIES if "mlp" in settings.stack.estimators else ())
    return Provenance(
        data_file=table.path.name,
        data_sha256=table.sha256,
        row_count=len(table.features),
        fitted_rows=len(sides.training),
        seed=seed,
        preset=preset,
        split=sides.name,
        split_meaning=sides.meaning,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        fit_seconds=fit_seconds,
        library_versions={name: version(name) for name in libraries},
        warnings=table.notes + notes,
    )
