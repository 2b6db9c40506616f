"""Made songs in ten synthetic styles, for demonstrations and tests that need no recording.

Everything here is synthetic: the styles are named by us and stand for no real genre, no recording went into them, and
what a model learns from them says nothing of how well it hears real music.

    samples = render("synth-waltz", seconds=30, seed=7)
    write_wav("song.wav", samples, 22_050)
"""

from tools.synth.demo import DEMO_SONG, DemoSong
from tools.synth.render import render
from tools.synth.style import Drum, Part, Style, Voice
from tools.synth.styles import STYLES, style_named
from tools.synth.wav import write_wav

__all__ = [
    "DEMO_SONG",
    "STYLES",
    "DemoSong",
    "Drum",
    "Part",
    "Style",
    "Voice",
    "render",
    "style_named",
    "write_wav",
]
