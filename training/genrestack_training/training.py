"""The training, from a table to a run, in the order of the notebook it came from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from genrestack_training.config.presets import Overrides, resolve_settings
from genrestack_training.config.settings import Settings
from genrestack_training.data.extractor import extractor_warnings
from genrestack_training.data.groups.grouping import Grouping, find_grouping
from genrestack_training.data.groups.warnings import grouping_warnings, label_warnings
from genrestack_training.data.leakage import leakage_warnings
from genrestack_training.data.missing import without_missing
from genrestack_training.data.splits import make_split
from genrestack_training.data.table import Table, select
from genrestack_training.data.validation import check_folds, check_seed, check_table
from genrestack_training.errors import TableError
from genrestack_training.evaluation.introspection import introspect
from genrestack_training.experiments import FittedSplit, TrainingData, plan_experiments, run_experiments
from genrestack_training.fit_plan import FitPlan, plan_fit, reference_rows
from genrestack_training.fitting import FitStore, check_backend, open_backend
from genrestack_training.fitting.progress import NullProgress, Progress
from genrestack_training.folders.unfinished import unfinished, unfinished_path
from genrestack_training.models.calibration import resolve_calibration
from genrestack_training.models.gain import behind_gain, resolve_gain
from genrestack_training.run.run import Provenance, Run
from genrestack_training.run.run_record import RunRecord
from genrestack_training.run.storage import plan_run_folder, run_name, write_run

LIBRARIES = ("numpy", "scikit-learn", "scipy")
NETWORK_LIBRARIES = ("keras", "scikeras", "tensorflow")


def train(
    table: Table,
    *,
    preset: str = "notebook",
    split: str = "random",
    holdout: str | None = None,
    artists: Mapping[str, str] | None = None,
    folds: int | None = None,
    compare: Sequence[str] | None = None,
    overrides: Overrides | None = None,
    epochs: int | None = None,
    missing: str | None = None,
    normalize_gain: str | None = None,
    seed: int = 42,
    name: str | None = None,
    runs_dir: str | Path | None = "runs",
    run_dir: str | Path | None = None,
    jobs: int | None = None,
    backend: str = "local",
    ray_address: str | None = None,
    progress: Progress | None = None,
    before_fits: Callable[[FitPlan], None] | None = None,
    report: bool = True,
) -> Run:
    """Split, scale, fit and evaluate, and write the run.

    Args:
        table: rows with labels.
        preset: a key of `PRESETS`.
        split: a key of `SPLITS`; "none" fits every row and gives no figures.
        holdout: the collection that the split "collection" holds out: a table's name, without its ending.
        artists: filename → artist or other group, as `read_groups` gives it; the split "artist" keeps these whole.
        folds: cross-validate as well, over that many folds of what the split keeps whole (artists, or else recordings,
            where the split keeps nothing whole); a grouped split then holds out the first of them.
        compare: other splits to fit and evaluate beside it; None: after a random split of a table that knows better,
            each grouped split there can be. An empty list fits nothing more.
        overrides: section → key → value, laid over the preset.
        epochs: shortcut for the network's number of epochs.
        missing: what becomes of missing values, in place of the settings: "error", "drop" or "median".
        normalize_gain: whether recordings' gain is divided out, in place of the settings: "off", "on", or "auto" where
            the table has the columns for it.
        seed: one seed for the split and everything that draws random numbers; the same seed gives the same run.
        name: what the run and the model are called; the table's file name by default.
        runs_dir: the run goes to `runs_dir/name/<UTC time>`; None writes nothing.
        run_dir: the run's own folder, which must not exist yet; wins over `runs_dir`.
        jobs: fits at once; None: one for each CPU, if the work is long enough for that. Fits that finish are kept
            in the run's unfinished folder until it is written, so that the same call goes on after an interruption.
        backend: "local", or "ray" for a Ray cluster, whose tasks have one thread each.
        ray_address: HOST:PORT of the Ray cluster; None: what RAY_ADDRESS says, else one of this machine alone, started
            for this training.
        progress: told of every fold and epoch.
        before_fits: called with what will be fitted; what it raises ends the training before anything is.
        report: whether to draw the run's report; an export that follows draws one that has its parity check as well.

    Raises:
        TableError: the table cannot be trained on.
        SettingsError: an unknown preset, split or setting, or a value that cannot be.
        RunError: the run cannot be written.
        ClusterError: the Ray cluster cannot be reached, or has lost a fit too often.

    """
    progress = progress or NullProgress()
    name = name or run_name(table.path)
    settings = resolve_settings(
        preset, overrides=overrides, epochs=epochs, missing=missing, normalize_gain=normalize_gain
    )
    check_seed(seed)
    check_folds(folds)
    check_backend(backend, ray_address)
    table, settings = _selected(table, settings)
    read, table = table, without_missing(table, settings.table.missing)
    for line in table.notes[len(read.notes) :]:
        progress.note(line)
    settings, gain_notes = resolve_gain(settings, table.feature_names)
    settings, calibration_notes = resolve_calibration(settings)
    setting_notes = (*gain_notes, *calibration_notes)
    labels = check_table(table, settings)
    data = TrainingData(table, labels, _grouping(table, artists), settings, seed)

    # Split: hold out rows that no estimator will see; for other figures, in other ways.
    share = settings.split.test_share if folds is None else 1 / folds
    share = settings.split.test_share if split == "random" else share
    sides = make_split(split, table, test_share=share, seed=seed, grouping=data.grouping, holdout=holdout)
    plan = plan_experiments(data, sides, folds=folds, compare=compare)
    folder = plan_run_folder(name, runs_dir=runs_dir, run_dir=run_dir)
    doubts = _table_warnings(data, split)
    for line in doubts:
        progress.note(f"warning: {line}")
    for line in setting_notes:
        progress.note(line)

    if before_fits is not None:
        before_fits(plan_fit(data, sides))
    # Named without the time, so that the same command finds the finished fits again.
    place = None if folder is None else unfinished_path(folder.parent, name if run_dir is None else folder.name)
    with _fit_store(place) as store:
        # Scale, fit, and evaluate on the rows held out: the model that is exported, then those for the other figures.
        with open_backend(backend, jobs=jobs, ray_address=ray_address) as engine:
            results = run_experiments(data, plan, progress, engine=engine, jobs=jobs, store=store)
        for line in (*plan.notes, *results.notes):
            progress.note(line)

        notes = (*doubts, *setting_notes, *plan.notes, *results.notes)
        run = _run(name, data, results.main, _provenance(data, results.main, preset, notes))
        run = replace(
            run,
            evaluation=results.evaluation,
            comparisons=results.comparisons,
            cross_validation=results.cross_validation,
            predictions=results.predictions,
        )
        if folder is not None:
            run = replace(run, path=write_run(run, folder, place, report=_report_html(run) if report else None))
        if store is not None:
            store.remove_used()
    return run


def _selected(table: Table, settings: Settings) -> tuple[Table, Settings]:
    """Return the table with the columns that were chosen, and settings that say which; reading may have chosen them."""
    choice, read = settings.table, replace(table.selection, missing=settings.table.missing)
    if not choice.drop and not choice.features:
        return table, replace(settings, table=read)
    return table if choice == read else select(table, choice), settings


def save_run(run: Run, folder: Path) -> Path:
    """Write a run with its report into a folder that appears whole or not at all, and return its path.

    Args:
        run: what to write.
        folder: must not exist yet.

    Raises:
        RunError: the disk is full, or the folder cannot be written; nothing is left behind.

    """
    return write_run(run, folder, report=_report_html(run))


def _report_html(run: Run) -> str:
    # Drawing takes libraries that a training does not need.
    from genrestack_training.report.run_report import report_html

    return report_html(RunRecord.from_run(run))


@contextmanager
def _fit_store(place: Path | None) -> Iterator[FitStore | None]:
    """Open the store of a run that will be written; None keeps nothing."""
    if place is None:
        yield None
        return
    with unfinished(place):
        yield FitStore(place)


def _grouping(table: Table, artists: Mapping[str, str] | None) -> Grouping:
    try:
        return find_grouping(table, artists)
    except TableError as exc:
        raise TableError(f"{table.path}: {exc}") from None


def _table_warnings(data: TrainingData, split: str) -> tuple[str, ...]:
    """Return what of the table makes the metrics doubtful, one plain line each."""
    lines = (
        *label_warnings(data.labels),
        *leakage_warnings(data.table, data.labels, data.grouping, split),
        *grouping_warnings(data.table, data.labels, data.grouping, split),
        *extractor_warnings(data.table.extractor),
    )
    return tuple(f"{line}." for line in lines)


def _run(name: str, data: TrainingData, main: FittedSplit, provenance: Provenance) -> Run:
    table, sides = data.table, main.split
    training, reference = table.features[sides.training], reference_rows(data, sides)
    return Run(
        name=name,
        stack=main.stack,
        scaler=main.scaler,
        feature_names=table.feature_names,
        classes=tuple(str(c) for c in main.stack.classes_),
        training_rows=training,
        training_labels=data.labels[sides.training],
        training_names=None if data.grouping.tracks is None else data.grouping.tracks[sides.training],
        training_groups=data.grouping.groups(data.grouping.honest_unit)[sides.training],
        group_unit=data.grouping.honest_unit,
        reference_rows=reference,
        reference_labels=data.labels[sides.test] if len(sides.test) else None,
        evaluation=None,
        settings=data.settings,
        provenance=provenance,
        insight=introspect(
            main.stack, table.feature_names, *(behind_gain(main.scaler, r) for r in (training, reference))
        ),
    )


def _provenance(data: TrainingData, main: FittedSplit, preset: str, notes: tuple[str, ...]) -> Provenance:
    table, settings, sides = data.table, data.settings, main.split
    libraries = LIBRARIES + (NETWORK_LIBRARIES if "mlp" in settings.stack.estimators else ())
    return Provenance(
        data_file=table.path.name,
        data_sha256=table.sha256,
        row_count=len(table.features),
        fitted_rows=len(sides.training),
        seed=data.seed,
        preset=preset,
        split=sides.name,
        split_meaning=sides.meaning,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        fit_seconds=main.seconds,
        library_versions={name: version(name) for name in libraries},
        warnings=table.notes + notes,
        extractor=table.extractor,
    )
