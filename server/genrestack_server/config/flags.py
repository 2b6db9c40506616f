"""The flags of `genrestack serve`, made from the settings, and their help in sections.

The settings are imported when a flag is asked for: listing the commands must stay quick.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from genrestack_common.settings import Setting

_METAVARS: Final = {int: "N", float: "NUMBER"}


class SettingsCommand(click.Command):
    """A command that has every setting as a flag, grouped in its help."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Make the flags when they are first asked for."""
        if not any(param.name == "port" for param in self.params):
            self.params = [*map(_parameter, _settings().values()), *self.params]
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, section by section."""
        from genrestack_server.config.server_config import SECTIONS

        records: dict[str, list[tuple[str, str]]] = {title: [] for title in SECTIONS.values()}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                setting = _settings().get(param.name or "")
                records.setdefault("Settings" if setting is None else SECTIONS[setting.section], []).append(record)
        for title, rows in records.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def given(ctx: click.Context) -> dict[str, Any]:
    """Return what the command line itself sets."""
    source = click.core.ParameterSource.COMMANDLINE
    return {name: ctx.params[name] for name in _settings() if ctx.get_parameter_source(name) is source}


def _settings() -> "dict[str, Setting]":
    from genrestack_common.settings import settings_of
    from genrestack_server.config.server_config import ServerConfig

    return dict(settings_of(ServerConfig))


def _reader(setting: "Setting") -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return setting.of_text(text)
        except ValueError as error:
            raise click.BadParameter(f"it {error}") from None

    return read


def _parameter(setting: "Setting") -> click.Parameter:
    if setting.argument:
        return click.Argument(
            [setting.name], type=_reader(setting), required=False, metavar=f"[{setting.metavar}]",
            shell_complete=_offers(setting),
        )  # fmt: skip
    text = f"{setting.about}  [{_default(setting)}]"
    if setting.kind is bool:
        flags = f"{setting.option}/--no-{setting.option.removeprefix('--')}"
        return click.Option([flags, setting.name], default=None, help=text)
    if setting.kind is tuple:
        return click.Option([setting.option, setting.name], multiple=True, metavar=setting.metavar, help=text)
    metavar = setting.metavar or "|".join(setting.choices) or _METAVARS[setting.kind]
    return click.Option(
        [setting.option, setting.name], type=_reader(setting), metavar=metavar, help=text,
        shell_complete=_offers(setting),
    )  # fmt: skip


def _offers(setting: "Setting") -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Make what a shell asks for words to complete with: choices, or files."""

    def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG001 - click's
        from click.shell_completion import CompletionItem

        if setting.metavar in {"FILE", "DIR"}:
            return [CompletionItem(incomplete, type=setting.metavar.lower())]
        return [CompletionItem(choice) for choice in setting.choices if choice.startswith(incomplete)]

    return offer


def _default(setting: "Setting") -> str:
    if setting.default is None:
        return f"default: {setting.unset}"
    if setting.kind is bool:
        return f"default: {'on' if setting.default else 'off'}"
    return (
        f"default: {', '.join(setting.default) or 'none'}" if setting.kind is tuple else f"default: {setting.default}"
    )
