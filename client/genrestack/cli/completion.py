"""`genrestack completion`: the script by which a shell completes this command."""

from typing import Final

import click

_VARIABLE: Final = "_GENRESTACK_COMPLETE"
_INSTALL: Final = {
    "bash": "echo 'eval \"$(genrestack completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(genrestack completion zsh)\"' >> ~/.zshrc   # below the line with compinit",
    "fish": "genrestack completion fish > ~/.config/fish/completions/genrestack.fish",
}


@click.command(
    short_help="Print the script that has a shell complete this command.",
    epilog='Example: eval "$(genrestack completion bash)"',
)
@click.argument("shell", type=click.Choice(list(_INSTALL)))
def completion(shell: str) -> None:
    """Print the script that has SHELL complete commands, options and files of genrestack.

    \b
    For good:
      bash   echo 'eval "$(genrestack completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(genrestack completion zsh)"' >> ~/.zshrc
      fish   genrestack completion fish > ~/.config/fish/completions/genrestack.fish

    Then start a new shell. For bash this takes version 4.4 or newer; for zsh, compinit before it.
    """  # noqa: D301 - click's mark for "do not wrap"
    click.echo(f"# Completion of genrestack for {shell}. For good, then start a new shell:\n#   {_INSTALL[shell]}")
    click.echo(_script(shell))


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    from genrestack.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this click has no completion for {shell}; pip install --upgrade click")
    script = kind(cli, {}, "genrestack", _VARIABLE)
    # Not source(): for bash that starts another one to ask for its version.
    return script.source_template % script.source_vars()
