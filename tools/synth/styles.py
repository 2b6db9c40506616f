"""The ten synthetic styles.

They are synthetic through and through, and their names are our own: none of them is, or stands for, a genre of music
that people make. They differ in tempo, metre, rhythm, harmony, register, timbre, percussion, dynamics and noise, and
overlap in each of these, so that telling them apart takes several features at once.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tools.synth.style import Drum, Part, Style, Voice

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)
_DORIAN = (0, 2, 3, 5, 7, 9, 10)
_MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
_PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)

_STAB = Voice(cutoff=(1500, 5000), snap=0.08, decay=0.15, sustain=0.3, detune=12)
_LOW_SAW = Voice(cutoff=(250, 900), snap=0.1, attack=0.005, decay=0.2, sustain=0.5, release=0.04)
_ORGAN = Voice(slope=1.6, cutoff=(1200, 4000), attack=0.03, sustain=0.95, release=0.06)
_REED = Voice(slope=0.8, odd=True, cutoff=(1500, 4000), attack=0.05, sustain=0.9, vibrato=18)
_CHOIR = Voice(slope=1.2, cutoff=(500, 1800), attack=0.35, sustain=0.95, release=0.4, detune=14, vibrato=10)
_SKANK = Voice(slope=1.3, cutoff=(1200, 3000), attack=0.005, decay=0.08, sustain=0.2, release=0.04)
_DEEP = Voice(slope=2.5, cutoff=(150, 400), attack=0.015, decay=0.5, sustain=0.7, release=0.05)
_STRING = Voice(slope=0.7, cutoff=(2000, 4500), snap=0.4, attack=0.004, decay=0.9, sustain=0.5, release=0.05, detune=6)
_UPRIGHT = Voice(slope=1.5, cutoff=(400, 1000), snap=0.1, attack=0.008, decay=0.35, sustain=0.25, release=0.06)
_KEYS = Voice(bell=1.2, ratio=1.0, snap=0.4, attack=0.004, decay=0.7, sustain=0.2, release=0.1)
_HORN = Voice(slope=0.9, cutoff=(900, 2500), attack=0.04, sustain=0.85, release=0.06, vibrato=22)
_SQUARE = Voice(slope=1.0, odd=True, cutoff=(4000, 9000), attack=0.002, decay=0.2, sustain=0.6, release=0.01)
_CLOUD = Voice(slope=1.0, cutoff=(300, 1200), attack=1.2, sustain=1.0, release=0.9, detune=22)
_CHIME = Voice(bell=2.2, ratio=3.51, snap=0.6, attack=0.003, decay=1.0, sustain=0.0, release=0.5)
_PLUCK = Voice(slope=1.0, cutoff=(1800, 5000), snap=0.12, attack=0.003, decay=0.4, sustain=0.05, release=0.12)

_TECHNO = Style(
    name="synth-techno",
    tempo=(122, 138), beats=4, scale=_MINOR, chord=3, chord_bars=2,
    progressions=((0,), (0, 5), (0, 3), (0, 6)),
    parts=(
        Part(_LOW_SAW, "root", ("..x-..x-..x-..x-", ".xxx.xxx.xxx.xxx", "x..x..x.x..x..x."), low=33, level=0.5),
        Part(_STAB, "chord", ("...x..x....x..x.", "..x...x...x...x.", "x..x..x........."), low=55, level=0.16,
             presence=0.7, echo=0.4),
    ),
    drums=(
        Drum("kick", ("X...X...X...X...",), level=1.6, presence=0.88),
        Drum("hat", ("..x...x...x...x.", "o.x.o.x.o.x.o.xo"), level=0.35, presence=0.85),
        Drum("clap", ("....x.......x...",), level=0.5, presence=0.6),
    ),
    loudness=(-15, -9), pump=0.6, looseness=0.001, room=(0.02, 0.12),
)  # fmt: skip

_WALTZ = Style(
    name="synth-waltz",
    tempo=(138, 186), beats=3, scale=_MAJOR, chord=3,
    progressions=((0, 0, 4, 4, 4, 4, 0, 0), (0, 3, 4, 0), (0, 5, 1, 4)),
    parts=(
        Part(_UPRIGHT, "root", ("X-....", "X.....", "X-..o."), low=36, level=0.6),
        Part(_ORGAN, "chord", ("..x.x.", "..x-x.", "..x.x-"), low=55, level=0.16),
        Part(_REED, "melody", ("X---x-", "X-x-x-", "X-xxx-", "X-----"), low=67, level=0.3, presence=0.8),
    ),
    loudness=(-23, -14), accent=0.4, swell=0.2, looseness=0.02, room=(0.05, 0.25),
)  # fmt: skip

_CHORALE = Style(
    name="synth-chorale",
    tempo=(54, 76), beats=4, scale=_MAJOR, chord=4,
    progressions=((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 2, 3, 0, 3, 4)),
    parts=(
        Part(_CHOIR, "chord", ("x-x-", "x---", "x--x"), low=52, level=0.2),
        Part(_CHOIR, "root", ("x-x-", "x---"), low=38, level=0.35),
        Part(_CHOIR, "melody", ("x-xx", "x-x-", "xxx-"), low=64, level=0.3, presence=0.7),
    ),
    loudness=(-27, -17), accent=0.2, swell=0.5, looseness=0.03, room=(0.2, 0.6), hiss=(-70, -50),
)  # fmt: skip

_OFFBEAT = Style(
    name="synth-offbeat",
    tempo=(66, 88), beats=4, scale=_DORIAN, chord=3,
    progressions=((0, 3), (0, 6), (0, 0, 3, 4), (0, 4)),
    parts=(
        Part(_SKANK, "chord", ("..x...x...x...x.", "..xx..x...xx..x."), low=57, level=0.3, echo=0.3),
        Part(_DEEP, "walk", ("x--.x-x-..x-x-..", "x-.x--..x-.x-x..", "....x-x-x---...."), low=30, level=0.8),
        Part(_ORGAN, "melody", ("....x-x-x---....", "x---..x-x-......"), low=69, level=0.2, presence=0.35, echo=0.5),
    ),
    drums=(
        Drum("kick", ("........X.......", "X.......X......."), level=1.2, presence=0.85),
        Drum("snare", ("........x.......", "........x.....o."), level=0.5, presence=0.85),
        Drum("hat", ("x.o.x.o.x.o.x.o.", "..x...x...x...x."), level=0.25, presence=0.8),
    ),
    loudness=(-20, -12), accent=0.3, looseness=0.012, room=(0.05, 0.3),
)  # fmt: skip

_RIFF = Style(
    name="synth-riff",
    tempo=(104, 148), beats=4, scale=_MINOR, chord=3,
    progressions=((0, 5, 6, 0), (0, 2, 6, 3), (0, 0, 5, 6), (0, 3)),
    parts=(
        Part(_STRING, "power", ("x-x-x-x-", "x-xx-xx-", "x--x--x-", "x-------"), low=40, level=0.5, drive=2.5),
        Part(_LOW_SAW, "root", ("xxxxxxxx", "x-x-x-x-"), low=28, level=0.5),
        Part(_STRING, "melody", ("x-x-xxx-", "x---x-x-"), low=64, level=0.35, presence=0.35, drive=2, echo=0.2),
    ),
    drums=(
        Drum("kick", ("X...x...", "X..xx...", "X....x.."), level=1.3, presence=0.9),
        Drum("snare", ("..X...X.",), level=0.9, presence=0.9),
        Drum("hat", ("xxxxxxxx", "x.x.x.x."), level=0.3),
    ),
    loudness=(-14, -8), accent=0.2, looseness=0.008, room=(0.03, 0.2), hiss=(-65, -48),
)  # fmt: skip

_SWING = Style(
    name="synth-swing",
    tempo=(116, 184), beats=4, scale=_DORIAN, chord=4,
    progressions=((1, 4, 0, 0), (0, 5, 1, 4), (0, 3, 6, 2, 5, 1, 4, 0)),
    parts=(
        Part(_UPRIGHT, "walk", ("x-.x-.x-.x-.",), low=33, level=0.7),
        Part(_KEYS, "chord", ("x....x......", ".....x.....x", "x--......x.."), low=55, level=0.14, presence=0.85),
        Part(_HORN, "melody", ("x-xx-xx--...", "...x-xx-xx--", "x-x..xx-x---"), low=60, level=0.35, presence=0.65),
    ),
    drums=(
        Drum("ride", ("X..x.oX..x.o", "x..X.ox..X.o"), level=0.3, presence=0.92),
        Drum("hat", ("...x.....x..",), level=0.25, presence=0.8),
        Drum("kick", ("o.....o.....", "...........o"), level=0.5, presence=0.5),
    ),
    loudness=(-23, -14), accent=0.35, swell=0.15, looseness=0.018, room=(0.05, 0.3), hiss=(-68, -48),
)  # fmt: skip

_CHIP = Style(
    name="synth-chip",
    tempo=(128, 176), beats=4, scale=_MAJOR, chord=3,
    progressions=((0, 4, 5, 3), (0, 3, 4, 4), (5, 3, 0, 4)),
    parts=(
        Part(_SQUARE, "arpeggio", ("xxxxxxxxxxxxxxxx", "x.x.x.x.x.x.x.x.", "xxx.xxx.xxx.xxx."), low=64, level=0.22),
        Part(_SQUARE, "melody", ("x-x-x---", "x--x--x-", "xxx-x-x-"), low=72, level=0.25, presence=0.75),
        Part(Voice(slope=2.0, odd=True, cutoff=(800, 2000), attack=0.002, release=0.01), "root",
             ("x.x.x.x.", "x-x-x-x-", "x..x..x."), low=40, level=0.45),
    ),
    drums=(
        Drum("hat", ("x.x.x.x.", "xxxxxxxx"), level=0.3, presence=0.75),
        Drum("snare", ("..x...x.",), level=0.45, presence=0.7),
        Drum("kick", ("x...x...",), level=0.6, presence=0.7),
    ),
    loudness=(-20, -11), accent=0.1, looseness=0.0005, room=(0.0, 0.04), hiss=(-80, -60),
)  # fmt: skip

_DRONE = Style(
    name="synth-drone",
    tempo=(48, 72), beats=4, scale=_PHRYGIAN, chord=3, chord_bars=2,
    progressions=((0,), (0, 1), (0, 3)),
    parts=(
        Part(_CLOUD, "power", ("x---", "x-x-"), low=36, level=0.3),
        Part(_CLOUD, "chord", ("x---",), low=52, level=0.2, presence=0.7),
        Part(_CHIME, "melody", ("x...", "..x.", "x.x."), low=72, level=0.12, presence=0.5, echo=0.5),
    ),
    loudness=(-28, -17), accent=0.3, swell=0.6, looseness=0.1, room=(0.3, 0.8), hiss=(-55, -28),
)  # fmt: skip

_BREAKS = Style(
    name="synth-breaks",
    tempo=(150, 178), beats=4, scale=_MINOR, chord=4, chord_bars=2,
    progressions=((0, 5), (0, 3), (0, 6, 5, 6)),
    parts=(
        Part(_DEEP, "root", ("x-----..x---....", "x--x--..x-..x-..", "x-------------.."), low=29, level=0.8),
        Part(_STAB, "chord", ("x---------------", "x--x--..........", "..x-........x-.."), low=57, level=0.12,
             presence=0.65, echo=0.3),
        Part(_KEYS, "arpeggio", ("x.x.x.x.x.x.x.x.", "..x...x..x..x..."), low=69, level=0.14, presence=0.35, echo=0.3),
    ),
    drums=(
        Drum("kick", ("X.........x.....", "X.x.......xx....", "X.....x...x....."), level=1.3, presence=0.9),
        Drum("snare", ("....X..o.o..X...", "....X..o.o....X.", "....X.......X..o"), level=0.8, presence=0.9),
        Drum("hat", ("x.x.x.x.x.x.x.x.", "xox.x.xox.x.xox."), level=0.3, presence=0.9),
    ),
    loudness=(-16, -10), accent=0.35, looseness=0.004, room=(0.02, 0.15),
)  # fmt: skip

_PICKING = Style(
    name="synth-picking",
    tempo=(84, 122), beats=4, scale=_MIXOLYDIAN, chord=3,
    progressions=((0, 3, 0, 4), (0, 6, 3, 0), (0, 4, 3, 3)),
    parts=(
        Part(_PLUCK, "arpeggio", ("x-x-x-x-", "x-xxx-xx", "x-.xx-.x"), low=52, level=0.4),
        Part(_PLUCK, "root", ("x---x---", "x-----x-"), low=40, level=0.5),
        Part(_PLUCK, "melody", ("x-x-x---", "x---x-x-"), low=64, level=0.4, presence=0.55),
    ),
    drums=(
        Drum("shaker", ("oxoxoxox", "o.x.o.x."), level=0.2, presence=0.45),
        Drum("tom", ("X...o...", "X..o..o."), level=0.35, presence=0.3),
    ),
    loudness=(-24, -15), accent=0.35, looseness=0.02, room=(0.05, 0.25), hiss=(-68, -48),
)  # fmt: skip

STYLES: Mapping[str, Style] = MappingProxyType(
    {
        style.name: style
        for style in (
            _BREAKS, _CHIP, _CHORALE, _DRONE, _OFFBEAT, _PICKING, _RIFF, _SWING, _TECHNO, _WALTZ,
        )
    }
)  # fmt: skip
"""Name → style, in the order of their names."""

VOICES: tuple[Voice, ...] = tuple(dict.fromkeys(part.voice for style in STYLES.values() for part in style.parts))
"""Every instrument of every style, each once."""


def style_named(name: str) -> Style:
    """Return a style by its name.

    Raises:
        ValueError: there is none of that name.

    """
    if name not in STYLES:
        raise ValueError(f"there is no synthetic style {name!r}; there are {', '.join(STYLES)}")
    return STYLES[name]
