"""A run on disk: `runs/<name>/<UTC time>/`, written aside and renamed, and read back."""

import json
import pickle
import re
import struct
import tempfile
import warnings
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import joblib
import numpy as np
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import InconsistentVersionWarning

from genrestack_common.files import UnreadableFileError, read_text
from genrestack_training.config.presets import resolve_settings
from genrestack_training.data.limits import check_fits
from genrestack_training.errors import RunError, TableError, TrainingError
from genrestack_training.evaluation.predictions import Predictions, from_arrays, to_arrays
from genrestack_training.folders.private import trusted_file, trusted_folder
from genrestack_training.folders.unfinished import partial_folder, publish, unfinished, unfinished_path
from genrestack_training.models.stack import Scaler
from genrestack_training.run.json_codec import to_json
from genrestack_training.run.run import Run
from genrestack_training.run.run_record import FORMAT, RunRecord

FILES = ("stack.joblib", "scaler.joblib", "reference.npz", "answers.npz", "metrics.json", "report.html")
# What unpickling bytes that are not, or no longer, a pickle of these libraries has been seen to raise.
DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_MAX_RECORD_BYTES = 256 * 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RunWarning(UserWarning):
    """A run can be read, but perhaps not as it was written."""


def plan_run_folder(name: str, *, runs_dir: str | Path | None, run_dir: str | Path | None) -> Path | None:
    """Choose the folder that a run will be written to, and find out now whether that can be done.

    Args:
        name: what the run is called.
        runs_dir: the run goes to `runs_dir/name/<UTC time>`.
        run_dir: the run's own folder; wins over `runs_dir`.

    Returns:
        A folder that does not exist yet, in one that does; None if neither is given.

    Raises:
        RunError: the name cannot be a folder, the folder is there already, or its parent cannot be written.

    """
    if not _NAME.fullmatch(name):
        raise RunError(
            f"{name!r} cannot name a run: use letters, digits, '.', '_' and '-', starting with a letter or digit, "
            "100 at most; choose a name with --name",
        )
    if run_dir is None and runs_dir is None:
        return None
    folder = Path(run_dir) if run_dir is not None else _next_folder(Path(runs_dir or "") / name)
    _refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()
    except OSError as exc:
        raise RunError(f"cannot write into {folder.parent}: {exc.strerror}; choose another folder with --run") from exc
    return folder


def run_name(table: Path) -> str:
    """Return the run's name for a table: the file's name up to the first dot, other characters as hyphens."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", table.name.split(".")[0]).strip("-_")[:100] or "model"


def write_run(run: Run, folder: Path, unfinished_in: Path | None = None, *, report: str | None = None) -> Path:
    """Write a run into a folder that appears whole or not at all, and return its path.

    Args:
        run: what to write.
        folder: must not exist yet.
        unfinished_in: the unfinished folder to write it in, beside `folder`; None: one of its own.
        report: the HTML of its report; None leaves it to `write_report` or an export.

    Raises:
        RunError: the disk is full, or the folder cannot be written; nothing is left behind.

    """
    _refuse_existing(folder)
    place = unfinished_path(folder.parent, folder.name) if unfinished_in is None else unfinished_in
    try:
        with unfinished(place), partial_folder(place) as written:
            _write_files(run, written, report)
            publish(written, folder)
    except OSError as exc:
        raise RunError(
            f"could not write the run to {folder}: {exc.strerror or 'no space left'}; free some space on that disk, "
            "or choose another folder with --run",
        ) from exc
    return folder


def load_run(path: str | Path) -> Run:
    """Read a run back. This unpickles the run's estimators, which runs code: open only runs that you trust.

    Args:
        path: the run's folder, or one with several runs in it, of which the latest is taken.

    Raises:
        RunError: the folder is not a whole run (the message names what is missing or broken), or the folder or a pickle
            in it belongs to neither this user nor root, may be written to by others, or is a link.

    Warns:
        RunWarning: scikit-learn is not of the version that wrote the run.

    """
    folder = find_run(path)
    record = read_record(folder)
    arrays = _read_arrays(folder)
    with trusted_folder(folder) as opened:
        stack = _unpickled(opened, folder / "stack.joblib", StackingClassifier)
        scaler = _unpickled(opened, folder / "scaler.joblib", *get_args(Scaler), type(None))
    try:
        return Run(
            name=record.name,
            stack=stack,
            scaler=scaler,
            feature_names=record.feature_names,
            classes=record.classes,
            training_rows=arrays["training_rows"],
            training_labels=arrays["training_labels"],
            reference_rows=arrays["rows"],
            reference_labels=arrays.get("labels"),
            evaluation=record.evaluation,
            comparisons=record.comparisons,
            cross_validation=record.cross_validation,
            insight=record.insight,
            settings=resolve_settings(overrides=record.settings),
            provenance=record.provenance,
            path=folder,
            training_names=arrays.get("training_names"),
            training_groups=arrays.get("training_groups"),
            group_unit=str(arrays.get("group_unit", "row")),
        )
    except (KeyError, TypeError, AttributeError, TrainingError) as exc:
        raise RunError(
            f"{folder / 'metrics.json'} or reference.npz does not hold what a run holds; train again"
        ) from exc


def read_record(path: str | Path) -> RunRecord:
    """Read the facts of a run, and nothing that would run code.

    Args:
        path: as `load_run` takes it.

    Raises:
        RunError: the folder is not a whole run.

    """
    folder = find_run(path)
    try:
        return RunRecord.from_json(_read_record_file(folder))
    except (KeyError, TypeError, AttributeError) as exc:
        raise RunError(f"{folder / 'metrics.json'} does not hold what a run holds; train again") from exc


def load_predictions(path: str | Path) -> dict[str, Predictions]:
    """Read what a run's figures were made of: the answers to every row held out, by "evaluation", "folds", ….

    Args:
        path: as `load_run` takes it.

    Raises:
        RunError: the folder is not a whole run.

    """
    folder = find_run(path)
    arrays = _read_arrays(folder, "answers.npz")
    try:
        return from_arrays(arrays)
    except (KeyError, ValueError) as exc:
        raise RunError(f"{folder / 'answers.npz'} does not hold what a run holds; train again") from exc


def _refuse_existing(folder: Path) -> None:
    if folder.exists():
        raise RunError(f"{folder} is there already; name a folder that does not exist yet")


def _next_folder(parent: Path) -> Path:
    """Return a folder named by the time, to the second, that does not exist yet."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (now if count == 1 else f"{now}-{count}" for count in range(1, 1000))
    return next(parent / name for name in names if not (parent / name).exists())


def _write_files(run: Run, folder: Path, report: str | None) -> None:
    joblib.dump(run.stack, folder / "stack.joblib")
    joblib.dump(run.scaler, folder / "scaler.joblib")
    arrays = {"rows": run.reference_rows, "training_rows": run.training_rows, "training_labels": run.training_labels}
    if run.reference_labels is not None:
        arrays["labels"] = run.reference_labels
    if run.training_names is not None:
        arrays["training_names"] = run.training_names
    if run.training_groups is not None:
        arrays |= {"training_groups": run.training_groups, "group_unit": np.array(run.group_unit)}
    np.savez_compressed(folder / "reference.npz", allow_pickle=False, **arrays)
    (folder / "metrics.json").write_text(_json(run), encoding="utf-8")
    np.savez_compressed(folder / "answers.npz", allow_pickle=False, **to_arrays(run.predictions))
    if report is not None:
        (folder / "report.html").write_text(report, encoding="utf-8")


def _json(run: Run) -> str:
    # Long lists of numbers stand on one line each: easier to read, and half the size.
    text = json.dumps(to_json(RunRecord.from_run(run)), indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def find_run(path: str | Path) -> Path:
    """Return the folder itself if it is a run, else the latest run in it.

    Raises:
        RunError: there is no whole run.

    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"there is no run {path}; name the folder that a training has written")
    runs = sorted(p.parent for p in path.glob("*/metrics.json") if not p.parent.name.startswith("."))
    folder = runs[-1] if runs and not (path / "metrics.json").exists() else path
    missing = [name for name in FILES if not (folder / name).is_file() and name != "report.html"]
    if missing:
        raise RunError(
            f"{folder} is not a whole run: it has no {' and no '.join(missing)}; name a run's folder, or train again"
        )
    return folder


def _read_record_file(folder: Path) -> dict[str, Any]:
    file = folder / "metrics.json"
    try:
        values = json.loads(read_text(file, _MAX_RECORD_BYTES))
    except UnreadableFileError as exc:
        raise RunError(str(exc)) from exc
    except (ValueError, RecursionError) as exc:
        raise RunError(f"{file} is broken: it is not JSON; train again") from exc
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise RunError(f"{file} is not of a run in format {FORMAT}; train again with this version")
    return values


def _read_arrays(folder: Path, name: str = "reference.npz") -> dict[str, np.ndarray]:
    file = folder / name
    try:
        # Opened here: numpy leaves a file open that turns out not to be an archive.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            # No more than this is unpacked of an entry, whatever is packed in it.
            size = sum(entry.file_size for entry in arrays.zip.infolist())
            check_fits(f"{file} says that it holds {size:,} bytes", size, "train again, or use a machine with more")
            return {name: arrays[name] for name in arrays.files}
    except TableError as exc:
        raise RunError(str(exc)) from exc
    except (MemoryError, ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as exc:
        raise RunError(f"{file} is broken; train again") from exc


def _unpickled(folder: int, file: Path, *kinds: type) -> Any:
    with warnings.catch_warnings(record=True) as caught, trusted_file(folder, file) as stream:
        warnings.simplefilter("always", InconsistentVersionWarning)
        try:
            loaded = joblib.load(stream)
        except ModuleNotFoundError:
            raise
        except DAMAGED as exc:
            raise RunError(
                f"{file} cannot be unpickled: it is damaged, or of other library versions; train again"
            ) from exc
    if not isinstance(loaded, kinds):
        raise RunError(f"{file} holds a {type(loaded).__name__} and not what a run has there; train again")
    found = [w.message for w in caught if isinstance(w.message, InconsistentVersionWarning)]
    if found:
        warnings.warn(
            f"{file} was written with scikit-learn {found[0].original_sklearn_version}, and this is "
            f"{found[0].current_sklearn_version}: its answers may differ; train again to be sure",
            RunWarning,
            stacklevel=3,
        )
    return loaded
