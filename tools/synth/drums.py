"""Percussion: swept sines and bursts of noise."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from tools.synth.dice import Dice

Drummer = Callable[[np.ndarray, int, Dice], np.ndarray]


def hit(sound: str, rate: int, dice: Dice) -> np.ndarray:
    """Synthesise one stroke.

    Args:
        sound: a key of `SOUNDS`.
        rate: samples a second.
        dice: they tune the drum.

    Returns:
        float64, shape (n,); its peak is 1.

    """
    seconds, drummer = SOUNDS[sound]
    seconds *= dice.between(0.8, 1.25)
    times = np.arange(int(5.0 * seconds * rate)) / rate
    wave: np.ndarray = drummer(times, rate, dice) * np.exp(-times / seconds)
    wave /= np.abs(wave).max()
    return wave


def _sweep(high: float, low: float, fall: float) -> Drummer:
    def drummer(times: np.ndarray, _: int, dice: Dice) -> np.ndarray:
        tuned = dice.between(0.85, 1.15)
        cycles = tuned * (low * times + (high - low) * fall * (1.0 - np.exp(-times / fall)))
        return np.sin(2 * np.pi * cycles)

    return drummer


def _snare(times: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    body = np.sin(2 * np.pi * dice.between(160.0, 220.0) * times) * np.exp(-times / 0.04)
    return body + dice.between(0.5, 1.0) * _bright(dice.noise(len(times)), 1, rate)


def _clap(times: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    bursts = sum(np.where(times >= late, np.exp(-(times - late) / 0.006), 0.0) for late in (0.0, 0.011, 0.022))
    return (bursts + 0.4) * _bright(dice.noise(len(times)), 1, rate)


def _hat(times: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    return _bright(dice.noise(len(times)), 2, rate)


def _ride(times: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    tuned = dice.between(0.9, 1.1)
    metal = sum(np.sin(2 * np.pi * tuned * hz * times) for hz in (2270.0, 3140.0, 3890.0, 5230.0, 6410.0))
    return 0.25 * metal + _bright(dice.noise(len(times)), 2, rate) * (0.25 + np.exp(-times / 0.02))


def _shaker(times: np.ndarray, rate: int, dice: Dice) -> np.ndarray:
    return _bright(dice.noise(len(times)), 1, rate) * np.minimum(times / 0.015, 1.0)


def _bright(noise: np.ndarray, order: int, rate: int) -> np.ndarray:
    """Compute differences over a fixed time, whatever the rate: noise without its low end."""
    step = max(1, round(rate / 22_050))
    for _ in range(order):
        noise = noise - np.concatenate([np.zeros(step), noise[:-step]])
    return noise


SOUNDS: Mapping[str, tuple[float, Drummer]] = MappingProxyType(
    {
        "kick": (0.11, _sweep(210.0, 52.0, 0.025)),
        "boom": (0.30, _sweep(95.0, 44.0, 0.05)),
        "snare": (0.08, _snare),
        "clap": (0.07, _clap),
        "hat": (0.025, _hat),
        "ride": (0.16, _ride),
        "shaker": (0.035, _shaker),
        "tom": (0.14, _sweep(190.0, 110.0, 0.06)),
    }
)
"""Sound → seconds in which it falls to 37 %, and what makes it."""
