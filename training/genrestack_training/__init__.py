"""Feature table → evaluated, fitted stack (a run)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrestack_training.display import terminal_progress
    from genrestack_training.errors import ClusterError, RunError, SettingsError, TableError, TrainingError
    from genrestack_training.figures import ClassReport, Evaluation, Figure
    from genrestack_training.fit_plan import FitPlan
    from genrestack_training.folder import RunWarning, load_answers, load_run, save_run
    from genrestack_training.grouping import Grouping, find_grouping, track_of
    from genrestack_training.groups import read_groups
    from genrestack_training.presets import PRESETS, read_overrides, resolve_settings
    from genrestack_training.progress import Progress, Step
    from genrestack_training.recipe import train
    from genrestack_training.run import Provenance, Run
    from genrestack_training.settings import BACKENDS, SPLIT_NAMES, Settings
    from genrestack_training.splits import SPLITS
    from genrestack_training.stack import build_scaler, build_stack
    from genrestack_training.summary import render, report_text
    from genrestack_training.table import Table, load_table

# Public name → module; scikit-learn and pandas are imported when a name that needs them is first asked for.
_HOME = {
    "FitPlan": "fit_plan",
    "Grouping": "grouping",
    "PRESETS": "presets",
    "SPLITS": "splits",
    "SPLIT_NAMES": "settings",
    "BACKENDS": "settings",
    "ClassReport": "figures",
    "ClusterError": "errors",
    "Evaluation": "figures",
    "Figure": "figures",
    "Progress": "progress",
    "Provenance": "run",
    "Run": "run",
    "RunError": "errors",
    "RunWarning": "folder",
    "Settings": "settings",
    "SettingsError": "errors",
    "Step": "progress",
    "Table": "table",
    "TableError": "errors",
    "TrainingError": "errors",
    "build_scaler": "stack",
    "build_stack": "stack",
    "find_grouping": "grouping",
    "load_answers": "folder",
    "load_run": "folder",
    "load_table": "table",
    "read_groups": "groups",
    "read_overrides": "presets",
    "render": "summary",
    "report_text": "summary",
    "resolve_settings": "presets",
    "save_run": "folder",
    "terminal_progress": "display",
    "track_of": "grouping",
    "train": "recipe",
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
    "load_answers",
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
