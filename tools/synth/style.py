"""What a synthetic style is described by."""

from dataclasses import dataclass
from typing import Literal

Span = tuple[float, float]
"""The lowest and highest value that a song of the style draws from."""

Plays = Literal["chord", "power", "root", "walk", "arpeggio", "melody"]


@dataclass(frozen=True)
class Voice:
    """The sound of an instrument: a wave, a filter and an envelope."""

    slope: float = 1.0
    """Partial k has the amplitude k**-slope: 1 is a saw, 2 about a triangle."""
    odd: bool = False
    """Odd partials only: hollow, as a square wave or a clarinet."""
    bell: float = 0.0
    """Index of frequency modulation; above 0 it takes the place of the partials."""
    ratio: float = 1.0
    """Modulator's frequency over the note's."""
    cutoff: Span = (1000.0, 4000.0)
    """Hz, where the low-pass filter begins."""
    snap: float = 0.0
    """Seconds in which the brightness of the onset fades; 0: it stays."""
    attack: float = 0.01
    """Seconds."""
    decay: float = 0.3
    """Seconds in which what lies above `sustain` falls to 37 %."""
    sustain: float = 0.7
    """Level held as long as the note lasts, of 1."""
    release: float = 0.08
    """Seconds."""
    detune: float = 0.0
    """Cents between two oscillators; 0: there is one."""
    vibrato: float = 0.0
    """Cents up and down."""


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    A pattern is one bar: `X` an accent, `x` a note, `o` a soft one, `-` holds the note before, `.` rests; the number
    of characters is the number of steps in the bar. Each section of a song takes one of the patterns.
    """

    voice: Voice
    plays: Plays
    patterns: tuple[str, ...]
    low: int
    """MIDI number of the lowest note; chords and lines lie in the octave or so above."""
    level: float
    """Of 1."""
    presence: float = 1.0
    """Probability that it plays in a section."""
    drive: float = 0.0
    """Distortion; 0: none, 10: much."""
    echo: float = 0.0
    """How much of it comes back three quarters of a beat later."""


@dataclass(frozen=True)
class Drum:
    """What one drum plays; patterns as a part's."""

    sound: Literal["kick", "boom", "snare", "clap", "hat", "ride", "shaker", "tom"]
    patterns: tuple[str, ...]
    level: float
    presence: float = 1.0


@dataclass(frozen=True)
class Style:
    """A synthetic style. Its name is our own: it stands for no music that people make."""

    name: str
    tempo: Span
    """Beats a minute."""
    beats: int
    """Beats in a bar."""
    scale: tuple[int, ...]
    """Semitones above the key's root."""
    progressions: tuple[tuple[int, ...], ...]
    """Scale degrees, from 0, of one chord after the other; a song takes one of the progressions."""
    chord: int
    """Notes in a chord: 3 for triads, 4 with the seventh."""
    parts: tuple[Part, ...]
    drums: tuple[Drum, ...] = ()
    chord_bars: int = 1
    """Bars that a chord lasts."""
    loudness: Span = (-22.0, -14.0)
    """Root mean square of the song, dB below full scale."""
    accent: float = 0.3
    """How much louder an accent is, and how much softer a soft note, of 1."""
    swell: float = 0.0
    """How far the loudness rises and falls slowly, of 1."""
    pump: float = 0.0
    """How far the kick pushes everything else down, of 1."""
    looseness: float = 0.004
    """Seconds that a note may be early or late."""
    room: Span = (0.02, 0.15)
    """Share of reverberation."""
    hiss: Span = (-75.0, -55.0)
    """White noise, dB relative to the song."""
