"""From a score to sound."""

import numpy as np

from genrestack_audio.features.columns import RATE
from tools.synth.arrange import Note, Score, arrange
from tools.synth.dice import Dice
from tools.synth.drums import hit
from tools.synth.style import Style, Voice
from tools.synth.styles import VOICES, style_named
from tools.synth.voices import tone
from tools.synth.wav import STEP

_LENGTHS = (0.1, 600.0)
_RATES = (8_000, 96_000)
_BORROWED = 0.2
"""Probability that a part is played on an instrument of some other part, of any style."""
_TILT = 4.0
"""Treble over bass, dB for each octave, up to which one made recording differs from another."""
_PIVOT = 800.0
_ROOM_SECONDS = 0.35
_PEAK = 0.98


def render(style: str | Style, seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Synthesise a song: the same one each time for the same arguments.

    Args:
        style: one of `STYLES`, or its name.
        seconds: length, 0.1 to 600.
        rate: samples a second, 8,000 to 96,000 Hz.
        seed: which song of the style, ≥ 0.

    Returns:
        float32, shape (round(seconds · rate),), mono, within [−1, 1], on the steps of 16-bit sound.

    Raises:
        ValueError: no such style, or a length, rate or seed that cannot be used.

    """
    style = style_named(style) if isinstance(style, str) else style
    _check(seconds, rate, seed)
    dice = Dice(style.name, seed)
    score = arrange(style, seconds, dice.fork("score"))
    samples = round(seconds * rate)
    tones = _tones(style, score, samples, rate, dice.fork("voices"))
    drums, pushed = _drums(style, score, samples, rate, dice.fork("drums"))
    mix = tones * pushed + drums
    return _recorded(style, _in_a_room(style, mix, rate, dice.fork("room")), rate, dice.fork("recording"))


def _check(seconds: float, rate: int, seed: int) -> None:
    if not _LENGTHS[0] <= seconds <= _LENGTHS[1]:
        raise ValueError(f"a song of {seconds:g} s cannot be made; choose {_LENGTHS[0]:g} to {_LENGTHS[1]:g} s")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise ValueError(f"a rate of {rate} Hz cannot be used; choose {_RATES[0]} to {_RATES[1]} Hz, such as {RATE}")
    if seed < 0:
        raise ValueError(f"a seed of {seed} cannot be used; choose a whole number from 0")


def _tones(style: Style, score: Score, samples: int, rate: int, dice: Dice) -> np.ndarray:
    mix = np.zeros(samples)
    for part, notes in zip(style.parts, score.notes, strict=True):
        voice = dice.choose(VOICES) if dice.chance(_BORROWED) else part.voice
        bus = _driven(_played(voice, notes, dice.evenly(*voice.cutoff), samples, rate), part.drive)
        if part.echo:
            _echo(bus, part.echo, round(0.75 * 60.0 / score.tempo * rate))
        mix += part.level * dice.between(0.7, 1.3) * bus
    if style.swell:
        slow = 2 * np.pi * np.arange(samples) / rate / dice.between(5.0, 11.0) + dice.between(0.0, 2 * np.pi)
        mix *= 1.0 - style.swell * (0.5 + 0.5 * np.sin(slow))
    return mix


def _played(voice: Voice, notes: tuple[Note, ...], cutoff: float, samples: int, rate: int) -> np.ndarray:
    bus = np.zeros(samples)
    made: dict[tuple[int, float], np.ndarray] = {}
    for note in notes:
        key = (note.pitch, round(note.seconds, 6))
        if key not in made:
            made[key] = tone(voice, note.pitch, note.seconds, cutoff, rate)
        _add(bus, made[key], note.start, note.strength, rate)
    return bus


def _driven(bus: np.ndarray, drive: float) -> np.ndarray:
    return np.tanh(drive * bus) if drive else bus


def _echo(bus: np.ndarray, share: float, delay: int) -> None:
    """Add four echoes, each softer than the one before."""
    dry = bus.copy()
    for time in range(1, 5):
        if time * delay < len(bus):
            bus[time * delay :] += share**time * dry[: len(bus) - time * delay]


def _drums(style: Style, score: Score, samples: int, rate: int, dice: Dice) -> tuple[np.ndarray, np.ndarray]:
    """Synthesise the drums, and how far the kick ducks everything else."""
    mix, pushed = np.zeros(samples), np.ones(samples)
    dip = style.pump * np.exp(-np.arange(int(0.4 * rate)) / rate / 0.12)
    for drum, strokes in zip(style.drums, score.strokes, strict=True):
        sound = hit(drum.sound, rate, dice)
        level = drum.level * dice.between(0.7, 1.3)
        for stroke in strokes:
            _add(mix, sound, stroke.start, level * stroke.strength, rate)
            if style.pump and drum.sound == "kick":
                _add(pushed, -dip, stroke.start, 1.0, rate)
    return mix, np.maximum(pushed, 0.0)


def _add(bus: np.ndarray, sound: np.ndarray, start: float, level: float, rate: int) -> None:
    first = round(start * rate)
    room = max(0, min(len(sound), len(bus) - first))
    bus[first : first + room] += level * sound[:room]


def _in_a_room(style: Style, mix: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    times = np.arange(int(4 * _ROOM_SECONDS * rate)) / rate
    tail = dice.noise(len(times)) * np.exp(-times / (_ROOM_SECONDS * dice.between(0.5, 1.5)))
    tail *= dice.between(*style.room) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return _convolved(mix, np.fft.rfft(tail, _padded(mix, rate)))


def _recorded(style: Style, mix: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    """Apply the tone, the loudness and the noise of one recording, in steps of 16-bit sound."""
    frequencies = np.fft.rfftfreq(_padded(mix, rate), 1.0 / rate)
    octaves = np.log2(np.clip(frequencies, 40.0, 10_000.0) / _PIVOT)
    tilt = 10.0 ** (dice.between(-_TILT, _TILT) * octaves / 20.0)
    tilt[frequencies < 20.0] = 0.0
    mix = _convolved(mix, tilt)
    mix /= np.sqrt(np.mean(mix**2)) + STEP
    mix += 10.0 ** (dice.between(*style.hiss) / 20.0) * np.sqrt(3.0) * dice.noise(len(mix))
    mix = _PEAK * np.tanh(10.0 ** (dice.between(*style.loudness) / 20.0) * mix)
    return (np.round(mix / STEP) * STEP).astype(np.float32)


def _padded(mix: np.ndarray, rate: int) -> int:
    """Length that the transform is quick at and that leaves two seconds for what rings on."""
    return 1 << (len(mix) + 2 * rate - 1).bit_length()


def _convolved(mix: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = 2 * (len(response) - 1)
    return np.fft.irfft(np.fft.rfft(mix, size) * response, size)[: len(mix)]
