import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from librosa.beat import beat_track

from genrestack_audio import RATE, open_sound
from tools.synth import STYLES, Style, render, write_wav
from tools.synth.arrange import arrange
from tools.synth.dice import Dice


def test_the_dice_fall_the_same_way_on_every_numpy() -> None:
    dice = Dice("synth-waltz", 7)
    assert dice.between(0.0, 1.0) == 0.0398761581068664
    assert dice.choose("abcdefgh") == "b"
    assert dice.fork("drums").noise(2).tolist() == [0.09597204892390487, 0.714286360117558]


@pytest.mark.parametrize("style", STYLES)
def test_a_song_is_sound_and_the_same_each_time(style: str) -> None:
    song = render(style, 2.5, seed=3)
    assert song.dtype == np.float32
    assert song.shape == (round(2.5 * RATE),)
    assert 0.02 < np.abs(song).max() < 1.0
    np.testing.assert_array_equal(np.round(song * 32768), song * 32768)
    np.testing.assert_array_equal(song, render(STYLES[style], 2.5, seed=3))
    assert not np.array_equal(song, render(style, 2.5, seed=4))


@pytest.mark.parametrize("style", STYLES.values(), ids=lambda style: style.name)
def test_every_pattern_can_be_played_and_no_section_is_silent(style: Style) -> None:
    patterns = [pattern for players in (style.parts, style.drums) for player in players for pattern in player.patterns]
    assert all(set(pattern) <= set("Xxo-.") and set(pattern) & set("Xxo") for pattern in patterns)
    assert max(part.presence for part in style.parts) == 1.0


@pytest.mark.parametrize("style", ["synth-chip", "synth-riff", "synth-techno", "synth-waltz"])
def test_the_tempo_that_is_heard_is_the_one_that_was_set(style: str) -> None:
    seed = 3
    set_one = arrange(STYLES[style], 20.0, Dice(style, seed).fork("score")).tempo
    heard = beat_track(y=render(style, 20.0, seed=seed), sr=RATE)[0].item()
    assert heard == pytest.approx(set_one, rel=0.04)


def test_another_rate_plays_the_same_song() -> None:
    low, high = (np.abs(np.fft.rfft(render("synth-picking", 4.0, rate, seed=1))) for rate in (RATE, 2 * RATE))
    bands = [band[: 4 * 2000].reshape(-1, 40).sum(axis=1) for band in (low, high)]
    assert np.corrcoef(*bands)[0, 1] > 0.95


def test_a_wav_holds_the_song_exactly(tmp_path: Path) -> None:
    song = render("synth-drone", 4.0, seed=2)
    write_wav(tmp_path / "song.wav", song, RATE)
    with open_sound(tmp_path / "song.wav") as sound:
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks())), song)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("waltz", 1.0), "there are synth-breaks, synth-chip"),
        (("synth-chip", 0.0), "choose 0.1 to 600 s"),
        (("synth-chip", float("nan")), "choose 0.1 to 600 s"),
        (("synth-chip", 1.0, 100), "choose 8000 to 96000 Hz"),
        (("synth-chip", 1.0, RATE, -1), "a whole number from 0"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: tuple[Any, ...], messages: str) -> None:
    with pytest.raises(ValueError, match=messages):
        render(*arguments)


def test_the_command_writes_a_song_and_needs_no_librosa(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['librosa'] = sys.modules['scipy'] = sys.modules['soundfile'] = None; "
        f"sys.argv[1:] = ['synth-techno', {str(tmp_path / 'song.wav')!r}, '--seconds', '1']; "
        "from tools.synth.__main__ import main; main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with open_sound(tmp_path / "song.wav") as sound:
        assert sound.seconds == 1.0
