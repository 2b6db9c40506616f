"""`genrestack.load`: the client without a server gives what the same client is given over a port."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from client.both_clients import Ask, Raised, assert_same, outcome
from client.local.conftest import FRAME
from hypothesis import given, settings
from hypothesis import strategies as st
from server.bundles.tiny import FEATURES, draw_rows
from support.samples.songs import write_recording

import genrestack
from genrestack import Client

ASKS: dict[str, Ask] = {
    "one row": lambda c: c.predict(draw_rows(1)),
    "array": lambda c: c.predict(draw_rows(3), base=True),
    "large array": lambda c: c.predict(draw_rows(9000), base=True),
    "frame in another order": lambda c: c.predict(FRAME.iloc[:, ::-1]),
    "dicts": lambda c: c.predict([dict.fromkeys(FEATURES, 0.5)]),
    "probabilities": lambda c: c.predict_proba(draw_rows(200)),
    "stream": lambda c: c.predict_stream(np.array_split(draw_rows(300), 29), base=True),
    "stream of large batches": lambda c: c.predict_stream([draw_rows(5), draw_rows(5000), draw_rows(5)]),
    "stream with errors": lambda c: c.predict_stream(
        [draw_rows(2), [["x"] * 4], draw_rows(2)[:, 1:], draw_rows(2)], on_error="return"
    ),
    "stream that raises": lambda c: c.predict_stream([draw_rows(2), draw_rows(2)[:, 1:]]),
    "named version": lambda c: c.predict(draw_rows(1), model="tiny", version=2),
    "models": lambda c: c.models(),
    "model": lambda c: c.model("tiny"),
    "health": lambda c: [c.health(), c.health("tiny"), c.health("tiny", 2), c.health("tiny", 9), c.health("gone")],
    "ready": lambda c: c.wait_until_ready(10, model="tiny"),
    "no such model": lambda c: c.predict(draw_rows(1), model="gone"),
    "no such version": lambda c: c.model("tiny", 9),
    "wrong width": lambda c: c.predict(draw_rows(3)[:, 1:]),
    "wrong name": lambda c: c.predict(FRAME.rename(columns={"rms": "loud"})),
    "NaN": lambda c: c.predict([[1, 2, float("nan"), 4]]),
    "far too large": lambda c: c.predict([[3e38, -3e38, 3e38, 1]]),
    "priority and id": lambda c: c.predict(draw_rows(1), priority="high", request_id="a"),
    "no such priority": lambda c: c.predict(draw_rows(1), priority="low"),  # type: ignore[arg-type] # as people do
    "version 0": lambda c: c.predict(draw_rows(1), version=0),
    "timeout 0": lambda c: c.models(timeout=0),
    "a song": lambda c: c.classify_song("nowhere.wav"),
}


same = partial(assert_same, atol=0)
"""Compare deeply and exactly."""


@pytest.mark.parametrize("name", ASKS)
def test_answers_and_errors_are_those_over_a_port(served: Client, loaded: Client, name: str) -> None:
    one, other = outcome(ASKS[name], served), outcome(ASKS[name], loaded)
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
