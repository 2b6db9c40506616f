"""Feature table → evaluated, fitted stack (a run)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrestack_training.config.presets import PRESETS, read_overrides, resolve_settings
    from genrestack_training.config.settings import BACKENDS, SPLIT_NAMES, Settings
    from genrestack_training.data.groups.file import read_groups
    from genrestack_training.data.groups.grouping import Grouping, find_grouping, track_of
    from genrestack_training.data.splits import SPLITS
    from genrestack_training.data.table import Table, load_table
    from genrestack_training.errors import ClusterError, RunError, SettingsError, TableError, TrainingError
    from genrestack_training.evaluation.results import ClassReport, Evaluation, Figure
    from genrestack_training.fit_plan import FitPlan
    from genrestack_training.fitting.progress import Progress, Step
    from genrestack_training.models.stack import build_scaler, build_stack
    from genrestack_training.report.console import render, report_text
    from genrestack_training.report.progress_bar import terminal_progress
    from genrestack_training.run.run import Provenance, Run
    from genrestack_training.run.storage import RunWarning, load_predictions, load_run
    from genrestack_training.training import save_run, train

# Public name → module; scikit-learn and pandas are imported when a name that needs them is first asked for.
_HOME = {
    "FitPlan": "fit_plan",
    "Grouping": "data.groups.grouping",
    "PRESETS": "config.presets",
    "SPLITS": "data.splits",
    "SPLIT_NAMES": "config.settings",
    "BACKENDS": "config.settings",
    "ClassReport": "evaluation.results",
    "ClusterError": "errors",
    "Evaluation": "evaluation.results",
    "Figure": "evaluation.results",
    "Progress": "fitting.progress",
    "Provenance": "run.run",
    "Run": "run.run",
    "RunError": "errors",
    "RunWarning": "run.storage",
    "Settings": "config.settings",
    "SettingsError": "errors",
    "Step": "fitting.progress",
    "Table": "data.table",
    "TableError": "errors",
    "TrainingError": "errors",
    "build_scaler": "models.stack",
    "build_stack": "models.stack",
    "find_grouping": "data.groups.grouping",
    "load_predictions": "run.storage",
    "load_run": "run.storage",
    "load_table": "data.table",
    "read_groups": "data.groups.file",
    "read_overrides": "config.presets",
    "render": "report.console",
    "report_text": "report.console",
    "resolve_settings": "config.presets",
    "save_run": "training",
    "terminal_progress": "report.progress_bar",
    "track_of": "data.groups.grouping",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


__all__ = [
    "BACKENDS",
    "PRESETS",
    "SPLITS",
    "SPLIT_NAMES",
    "ClassReport",
    "ClusterError",
    "Evaluation",
    "Figure",
    "FitPlan",
    "Grouping",
    "Progress",
    "Provenance",
    "Run",
    "RunError",
    "RunWarning",
    "Settings",
    "SettingsError",
    "Step",
    "Table",
    "TableError",
    "TrainingError",
    "build_scaler",
    "build_stack",
    "find_grouping",
    "load_predictions",
    "load_run",
    "load_table",
    "read_groups",
    "read_overrides",
    "render",
    "report_text",
    "resolve_settings",
    "save_run",
    "terminal_progress",
    "track_of",
    "train",
]
