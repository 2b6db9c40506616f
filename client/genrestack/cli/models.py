"""`genrestack models`: what a server serves."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import indent
from typing import TYPE_CHECKING

import click

from genrestack.cli.connection import Connection, connection_options
from genrestack.cli.options import timeout_option
from genrestack.cli.terminal import json_text, plain_console, show_boxed, show_lines
from genrestack.display.accuracy import accuracy_text
from genrestack_common.text import counted, listed, printable

if TYPE_CHECKING:
    from genrestack.model_info import ModelInfo, ParityInfo


@click.command(
    short_help="List the models a server answers for.",
    epilog="Example: genrestack models --server localhost:50051 --json",
)
@connection_options
@timeout_option(10.0, "How long to wait for the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known, as JSON.")
def models(connection: Connection, timeout: float, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List the models a server answers for."""
    with connection.client(timeout) as client:
        found = client.models()
        if as_json:
            # The list itself leaves features and parts out. One at a time: how long each is, the server decides.
            _print_json(client.model(model.name, model.version) for model in found)
            return
    if found:
        _show(found)
    else:
        advice = "train one into its folder: genrestack train TABLE --models DIR"
        click.echo(f"{printable(connection.server)} serves no model yet; {advice}")


def _print_json(found: "Iterable[ModelInfo]") -> None:
    separator = "[\n"
    for model in found:
        click.echo(separator + indent(json_text(model.to_dict(), indent=2), "  "), nl=False)
        separator = ",\n"
    click.echo("[]" if separator.startswith("[") else "\n]")


def _show(found: "Sequence[ModelInfo]") -> None:
    for number, model in enumerate(found):
        if number:
            click.echo()
        console = plain_console()
        console.print(_title(model), style="bold", markup=False)
        accuracy = accuracy_text(model.metrics, model.provenance.split)
        show_boxed(f"accuracy {accuracy}" if accuracy else "accuracy not measured")
        for fact in _facts(model):
            show_lines(f"  {printable(fact)}", hanging="    ")


def _title(model: "ModelInfo") -> str:
    return f"{printable(model.name)}/{model.version}{' (default)' if model.default else ''}"


def _facts(model: "ModelInfo") -> "Iterator[str]":
    yield f"{len(model.classes):,} class{'' if len(model.classes) == 1 else 'es'}: {listed(model.classes)}"
    yield f"{model.precision} precision, {_provider_text(model)}"
    if model.served_parity.rows:
        yield f"verified here: {parity_text(model.served_parity)}"
    if model.extractor is not None:
        yield f"features of songs: {model.extractor.kind}, by the tagger {model.extractor.sha256[:12]}…"
    made = model.provenance
    if made.created:
        data = f" (data {made.data_sha256[:8]})" if made.data_sha256 else ""
        # A pickle does not say how many rows it was fitted on.
        rows = f" of {counted(made.row_count, 'row')}" if made.row_count else ""
        yield f"made {made.created[:10]}{rows}{data}"


def _provider_text(model: "ModelInfo") -> str:
    """Return which execution provider runs, with its options and threads."""
    name = model.provider.removesuffix("ExecutionProvider")
    options = [f"{option}={value}" for option, value in model.provider_options.items()]
    threads = "1 thread" if model.threads == 1 else f"{model.threads} threads"
    nodes = model.nodes_by_provider
    # All on one provider is what the name says already.
    placed = [f"{each.removesuffix('ExecutionProvider')} {count} nodes" for each, count in nodes.items()]
    native = [f"{part} native ({instructions})" for part, instructions in model.native_parts.items()]
    return ", ".join([name, threads, *options, *(placed if len(placed) > 1 else ()), *native])


def parity_text(parity: "ParityInfo") -> str:
    """Return a parity check in a few words."""
    if not parity.rows:
        return "-"
    return f"{parity.labels_agreed:,} of {parity.rows:,} labels, |Δp| ≤ {parity.max_abs_difference:.1e}"
