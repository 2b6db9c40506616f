"""Options for the settings of a table: flags and environment variables, over the settings file."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import click

from genrestack_common.settings import settings_of
from genrestack_training.config.settings import TableSettings

PREFIX: Final = "GENRESTACK_TRAIN_"


def table_option(name: str) -> Callable[[Any], Any]:
    """Return the option of a setting of `[table]`; its value is None where neither flag nor variable gives it."""
    setting = settings_of(TableSettings)[name]

    def read(text: str) -> Any:
        try:
            return setting.of_text(text)
        except ValueError as error:
            raise click.BadParameter(f"it {error}") from None

    return click.option(
        setting.option, name, type=read, metavar="COL,COL", envvar=PREFIX + name.upper(), show_envvar=True,
        help=setting.about,
    )  # fmt: skip


def table_settings(given: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]]) -> TableSettings:
    """Return what was chosen of a table: by flags and variables, else in the settings file.

    Args:
        given: value by setting; None where there is none.
        overrides: sections of the settings file.

    """
    in_file = settings_of(TableSettings)
    read = {name: in_file[name].of_toml(value) for name, value in overrides.get("table", {}).items()}
    return TableSettings(**{**read, **{name: value for name, value in given.items() if value is not None}})


def with_table(overrides: Mapping[str, Mapping[str, Any]], choice: TableSettings) -> dict[str, Mapping[str, Any]]:
    """Return overrides that say what was chosen of the table."""
    return {**overrides, "table": asdict(choice)}
