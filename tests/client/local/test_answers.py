"""`genrestack.load`: the client without a server gives what the same client is given over a port."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from client.asks import ASKS
from client.both_clients import Ask, Raised, assert_same, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from server.bundles.tiny import draw_rows
from support.samples.songs import write_recording

import genrestack
from genrestack import Client

EVERYTHING: dict[str, Ask] = {
    **ASKS,
    "one row": lambda c: c.predict(draw_rows(1)),
    "array": lambda c: c.predict(draw_rows(3), base=True),
    "large array": lambda c: c.predict(draw_rows(9000), base=True),
    "probabilities": lambda c: c.predict_proba(draw_rows(200)),
    "stream of large batches": lambda c: c.predict_stream([draw_rows(5), draw_rows(5000), draw_rows(5)]),
    "named version": lambda c: c.predict(draw_rows(1), model="tiny", version=2),
    "health": lambda c: [c.health(), c.health("tiny"), c.health("tiny", 2), c.health("tiny", 9), c.health("gone")],
    "far too large": lambda c: c.predict([[3e38, -3e38, 3e38, 1]]),
    "priority and id": lambda c: c.predict(draw_rows(1), priority="high", request_id="a"),
    "no such priority": lambda c: c.predict(draw_rows(1), priority="low"),  # type: ignore[arg-type] # as people do
    "a song": lambda c: c.classify_song("nowhere.wav"),
}


same = partial(assert_same, atol=0)
"""Compare deeply and exactly."""


@pytest.mark.parametrize("name", EVERYTHING)
def test_answers_and_errors_are_those_over_a_port(served: Client, loaded: Client, name: str) -> None:
    one, other = outcome(EVERYTHING[name], served), outcome(EVERYTHING[name], loaded)
    same(one, other)
    if name in {"no such model", "wrong width", "NaN"}:
        assert isinstance(other, Raised)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.integers(0, 10_000), st.sampled_from([1.0, 1e-6, 1e6, 1e30]))
def test_any_rows_have_the_same_bits(served: Client, loaded: Client, count: int, seed: int, scale: float) -> None:
    rows = draw_rows(count, seed) * np.float32(scale)
    same(outcome(lambda c: c.predict(rows, base=True), served), outcome(lambda c: c.predict(rows, base=True), loaded))


def test_a_fitted_stack_and_songs_have_the_same_bits(song_models: Path, song_server: str, tmp_path: Path) -> None:
    song = write_recording(tmp_path / "song.wav", "blip")
    with Client(song_server) as over_port, genrestack.load(song_models, threads=1) as here:
        same(over_port.models(), here.models())
        same(
            over_port.classify_song(song, model="songs", base=True, timeout=100),
            here.classify_song(song, model="songs", base=True, timeout=100),
        )
        same(outcome(lambda c: c.predict(draw_rows(1)), over_port), outcome(lambda c: c.predict(draw_rows(1)), here))
