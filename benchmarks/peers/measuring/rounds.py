"""All contestants in turns, round by round."""

from collections.abc import Sequence
from typing import Final

import click
import numpy as np

from benchmarks.peers.contestants.roster import REFERENCE, Contestant, Files
from benchmarks.peers.load.messages import Probabilities
from benchmarks.peers.measuring.budget import Budget
from benchmarks.peers.measuring.contestant_run import ContestantRun, PeerFailed, Tool, measure_contestant, started
from benchmarks.peers.measuring.results import Result, Values, compared, values_of

# What text may do to a probability.
_SAME: Final = 1e-6


def measure_all(who: Sequence[Contestant], files: Files, budget: Budget, tool: Tool) -> list[Result]:
    """Run every contestant once in each round; one that fails is left out of the rounds that follow.

    Raises:
        PeerFailed: the reference, with which all answers are compared, failed.

    """
    turns: dict[str, list[ContestantRun]] = {each.key: [] for each in who}
    answers: dict[str, Probabilities] = {}
    failures: dict[str, str] = {}
    for number in range(budget.rounds):
        for each in who:
            if each.key in failures:
                continue
            click.echo(f"round {number + 1} of {budget.rounds}: {each.name} …", err=True)
            try:
                with started(each, files, tool) as running:
                    if number == 0:
                        answers[each.key] = running.answers()
                        check_agreement(each, answers)
                    turns[each.key].append(measure_contestant(running, budget.blocks))
            except PeerFailed as error:
                if each.key == REFERENCE:
                    raise
                click.echo(str(error), err=True)
                failures[each.key] = str(error)
    return [_result(each, turns[each.key], answers, failures.get(each.key, ""), tool) for each in who]


def check_agreement(who: Contestant, answers: dict[str, Probabilities]) -> None:
    """Raise `PeerFailed` where a server answers otherwise by HTTP than by gRPC."""
    if who.beside in answers and not np.allclose(answers[who.key], answers[who.beside], rtol=0, atol=_SAME):
        raise PeerFailed(f"{who.name}: it answers otherwise than by gRPC")


def _result(
    who: Contestant, turns: Sequence[ContestantRun], answers: dict[str, Probabilities], failure: str, tool: Tool
) -> Result:
    environment = tool(who.environment)
    values: Values = {}
    if not failure:
        size = environment.installed_mb()
        installed = {} if size is None else {"installed": size}
        values = {**values_of(turns), **installed, **compared(answers[who.key], answers[REFERENCE])}
    by_round = () if failure else tuple(values_of([turn]) for turn in turns)
    versions = environment.versions(who.named)
    return Result(who.key, who.name, who.how, who.ours, versions, values, by_round, failure, who.beside)
