"""Tones: wavetables whose partials are filtered, frequency modulation, envelopes."""

from functools import lru_cache

import numpy as np

from tools.synth.style import Voice

_CYCLE = 2048
_TOP = 0.45
"""Highest frequency of a partial, of the rate."""
_DARK = 0.3
"""Cutoff of a note with `snap` once it has lost its brightness, of the onset's."""
_VIBRATO_HZ = 5.3
_RELEASED = 4.0
"""Time constants of the release until a note is cut off."""


def tone(voice: Voice, pitch: float, seconds: float, cutoff: float, rate: int) -> np.ndarray:
    """Synthesise one note.

    Args:
        voice: the instrument.
        pitch: MIDI number; 69 is 440 Hz, and fractions are between the keys.
        seconds: from its onset to its release.
        cutoff: Hz, of the low-pass filter.
        rate: samples a second.

    Returns:
        float64, shape (n,); about 1 in root mean square before the envelope; n includes the release.

    """
    frequency = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    times = np.arange(int((seconds + _RELEASED * voice.release) * rate)) / rate
    if voice.detune:
        spread = 2.0 ** (voice.detune / 2400.0)
        wave = 0.5 * (
            _wave(voice, frequency * spread, cutoff, times, rate)
            + _wave(voice, frequency / spread, cutoff, times, rate)
        )
    else:
        wave = _wave(voice, frequency, cutoff, times, rate)
    shaped: np.ndarray = wave * envelope(voice, seconds, times)
    return shaped


def envelope(voice: Voice, seconds: float, times: np.ndarray) -> np.ndarray:
    """Attack, decay to the sustain level, and an exponential release."""
    level: np.ndarray = voice.sustain + (1.0 - voice.sustain) * np.exp(
        -np.maximum(times - voice.attack, 0.0) / voice.decay
    )
    level *= np.minimum(times / voice.attack, 1.0) * np.exp(-np.maximum(times - seconds, 0.0) / voice.release)
    return level


def _wave(voice: Voice, frequency: float, cutoff: float, times: np.ndarray, rate: int) -> np.ndarray:
    cycles = frequency * times
    if voice.vibrato:
        bend = frequency * (2.0 ** (voice.vibrato / 1200.0) - 1.0)
        cycles = cycles - bend * np.cos(2 * np.pi * _VIBRATO_HZ * times) / (2 * np.pi * _VIBRATO_HZ)
    if voice.bell:
        return _bell(voice, cycles, times)
    bright = _read(_cycle(voice.slope, voice.odd, frequency, cutoff, rate), cycles)
    if not voice.snap:
        return bright
    dark = _read(_cycle(voice.slope, voice.odd, frequency, _DARK * cutoff, rate), cycles)
    dark += (bright - dark) * np.exp(-times / voice.snap)
    return dark


def _bell(voice: Voice, cycles: np.ndarray, times: np.ndarray) -> np.ndarray:
    index = voice.bell * (np.exp(-times / voice.snap) if voice.snap else 1.0)
    modulator = index * np.sin(2 * np.pi * voice.ratio * cycles)
    wave: np.ndarray = np.sqrt(2.0) * np.sin(2 * np.pi * cycles + modulator)
    return wave


@lru_cache(maxsize=512)
def _cycle(slope: float, odd: bool, frequency: float, cutoff: float, rate: int) -> np.ndarray:  # noqa: FBT001 - a cache key
    """One period, with its first sample again at the end; partials below what the rate can hold."""
    partials = np.arange(1, max(2, min(_CYCLE // 8, int(_TOP * rate / frequency))))
    weights = partials**-slope / np.sqrt(1.0 + (partials * frequency / cutoff) ** 4)
    if odd:
        weights[1::2] = 0.0
    spectrum = np.zeros(_CYCLE // 2 + 1, dtype=np.complex128)
    spectrum[partials] = -1j * weights / np.sqrt(np.sum(weights**2) / 2.0)
    period = np.fft.irfft(spectrum, _CYCLE) * (_CYCLE / 2)
    return np.append(period, period[0])


def _read(period: np.ndarray, cycles: np.ndarray) -> np.ndarray:
    places = cycles * _CYCLE
    whole = np.floor(places)
    left = whole.astype(np.intp) % _CYCLE
    start: np.ndarray = period[left]
    start += (places - whole) * (period[left + 1] - start)
    return start
