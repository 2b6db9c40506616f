"""From a style and the dice to a score: chords, bars, patterns, who plays when."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.synth.dice import Dice
from tools.synth.style import Drum, Part, Style

SECTION_BARS = 4
_STRENGTH = {"X": 1, "x": 0, "o": -1}
_SKIPPED = 0.04
"""Probability that a note is left out, so that no two bars need be the same."""


@dataclass(frozen=True)
class Note:
    """One note of one part."""

    start: float
    """Seconds."""
    seconds: float
    pitch: int
    """MIDI number."""
    strength: float


@dataclass(frozen=True)
class Stroke:
    """One stroke of one drum."""

    start: float
    """Seconds."""
    strength: float


@dataclass(frozen=True)
class Score:
    """A song before it sounds."""

    tempo: float
    """Beats a minute."""
    notes: tuple[tuple[Note, ...], ...]
    """Of each part of the style."""
    strokes: tuple[tuple[Stroke, ...], ...]
    """Of each drum of the style."""


@dataclass(frozen=True)
class _Song:
    """What holds for a whole song."""

    style: Style
    tempo: float
    key: int
    progression: tuple[int, ...]
    bars: int

    @property
    def bar(self) -> float:
        return self.style.beats * 60.0 / self.tempo

    def chord(self, bar: int) -> tuple[int, ...]:
        """Semitones above the key of the bar's chord, root first."""
        degree = self.progression[bar // self.style.chord_bars % len(self.progression)]
        return tuple(self.step(degree + 2 * third) for third in range(self.style.chord))

    def step(self, degree: int) -> int:
        """Semitones above the key of a degree of the scale, of any octave."""
        octave, place = divmod(degree, len(self.style.scale))
        return 12 * octave + self.style.scale[place]


def arrange(style: Style, seconds: float, dice: Dice) -> Score:
    """Write a song of at least that length."""
    tempo = dice.between(*style.tempo)
    bars = int(seconds / (style.beats * 60.0 / tempo)) + 1
    song = _Song(style, tempo, int(dice.between(0, 12)), dice.choose(style.progressions), bars)
    return Score(
        tempo,
        tuple(tuple(_notes(song, part, dice.fork(f"part {index}"))) for index, part in enumerate(style.parts)),
        tuple(tuple(_strokes(song, drum, dice.fork(f"drum {index}"))) for index, drum in enumerate(style.drums)),
    )


def _notes(song: _Song, part: Part, dice: Dice) -> Iterator[Note]:
    line = _Line(song, part, dice)
    for bar, pattern in _sections(song, part, dice):
        for step, length, strength in _onsets(pattern, song.style.accent):
            pitches = line.pitches(bar)
            if dice.chance(_SKIPPED):
                continue
            width = song.bar / len(pattern)
            start = bar * song.bar + step * width + dice.between(0.0, song.style.looseness)
            yield from (Note(start, length * width, pitch, strength) for pitch in pitches)


def _strokes(song: _Song, drum: Drum, dice: Dice) -> Iterator[Stroke]:
    for bar, pattern in _sections(song, drum, dice):
        for step, _, strength in _onsets(pattern, song.style.accent):
            late = dice.between(0.0, song.style.looseness)
            if not dice.chance(_SKIPPED):
                yield Stroke((bar + step / len(pattern)) * song.bar + late, strength * dice.between(0.85, 1.0))


def _sections(song: _Song, player: Part | Drum, dice: Dice) -> Iterator[tuple[int, str]]:
    """Yield the pattern of each bar, without those where the player is silent."""
    for first in range(0, song.bars, SECTION_BARS):
        pattern, plays = dice.choose(player.patterns), dice.chance(player.presence)
        if plays:
            yield from ((bar, pattern) for bar in range(first, min(first + SECTION_BARS, song.bars)))


def _onsets(pattern: str, accent: float) -> Iterator[tuple[int, int, float]]:
    """Read a pattern: step, length in steps, strength."""
    for step, sign in enumerate(pattern):
        if sign in _STRENGTH:
            rest = pattern[step + 1 :]
            yield step, 1 + len(rest) - len(rest.lstrip("-")), 1.0 + accent * _STRENGTH[sign]


class _Line:
    """Picks the notes of one part, one onset after the other."""

    def __init__(self, song: _Song, part: Part, dice: Dice) -> None:
        self._song, self._part, self._dice = song, part, dice
        self._rising = dice.chance(0.5)
        self._degree = dice.choose((0, 2, 4, 7))
        self._count = 0
        self._bar = -1

    def pitches(self, bar: int) -> tuple[int, ...]:
        """Pick what sounds at the next onset: MIDI numbers."""
        self._count = self._count + 1 if bar == self._bar else 0
        self._bar = bar
        chord = self._song.chord(bar)
        match self._part.plays:
            case "chord":
                return tuple(self._placed(semitone) for semitone in chord)
            case "power":
                root = self._placed(chord[0])
                return (root, root + 7, root + 12)
            case "root":
                return (self._placed(chord[0]),)
            case "walk":
                return (self._placed(chord[self._count % len(chord)] if self._count < 3 else chord[0] - 1),)
            case "arpeggio":
                return (self._arpeggio(chord),)
            case "melody":
                return (self._melody(chord),)

    def _placed(self, semitone: int) -> int:
        """Move a semitone above the key into the octave of the part."""
        return self._part.low + (self._song.key + semitone - self._part.low) % 12

    def _arpeggio(self, chord: tuple[int, ...]) -> int:
        tones = sorted(self._placed(semitone) for semitone in chord)
        tones.append(tones[0] + 12)
        place = self._count % len(tones)
        return tones[place if self._rising else -1 - place]

    def _melody(self, chord: tuple[int, ...]) -> int:
        """Walk up and down the scale; a bar begins on a note of its chord."""
        if self._count == 0:
            return self._placed(self._dice.choose(chord))
        self._degree += self._dice.choose((-2, -1, -1, 0, 1, 1, 2))
        self._degree = min(max(self._degree, 0), 2 * len(self._song.style.scale) - 3)
        base = self._placed(0)
        return base + self._song.step(self._degree)
