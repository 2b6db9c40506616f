"""What can go wrong on the way from a table to a run, named by meaning.

    TrainingError (ValueError)
    ├── TableError      the file or its contents; MissingColumnsError where it lacks what was named
    ├── SettingsError   a preset, a setting or an option
    ├── RunError        a run's folder, when it is written or read
    ├── ClusterError    the Ray cluster that was to fit
    └── ServedError     a model that was to be evaluated

Every message names the culprit and says what to do next.
"""


class TrainingError(ValueError):
    """Base of everything this package raises for a person to read."""


class TableError(TrainingError):
    """The file is not a table, or the table cannot be trained on."""


class MissingColumnsError(TableError):
    """The table lacks columns that were named as features."""

    def __init__(self, message: str, columns: tuple[str, ...]) -> None:
        super().__init__(message)
        self.columns = columns


class SettingsError(TrainingError):
    """A preset, a hyperparameter or an option is not one of those that exist."""


class RunError(TrainingError):
    """A run's folder cannot be written, or is not a whole run."""


class ClusterError(TrainingError):
    """The Ray cluster cannot be reached, does not fit this program, or has lost a fit for good."""


class ServedError(TrainingError):
    """The model that is to be evaluated cannot be asked, or does not fit the table."""
