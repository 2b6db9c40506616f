"""What the tagger hears and answers; importing this costs nothing."""

from typing import Final

RATE: Final = 16_000
"""Samples a second that the tagger was trained at, Hz."""
N_FFT: Final = 512
HOP: Final = 256
MELS: Final = 96
FRAMES: Final = 187
"""Frames of a patch: what the network hears at once."""
SHORTEST: Final = (FRAMES - 1) * HOP / RATE
"""Seconds that fill one patch."""

_TAGS: Final = (
    *("rock", "pop", "alternative", "indie", "electronic", "female_vocalists", "dance", "00s", "alternative_rock"),
    *("jazz", "beautiful", "metal", "chillout", "male_vocalists", "classic_rock", "soul", "indie_rock", "mellow"),
    *("electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard_rock", "ambient"),
    *("acoustic", "experimental", "female_vocalist", "guitar", "hip-hop", "70s", "party", "country", "easy_listening"),
    *("sexy", "catchy", "funk", "electro", "heavy_metal", "progressive_rock", "60s", "rnb", "indie_pop", "sad"),
    *("house", "happy"),
)
TAG_NAMES: Final = tuple(f"tag_{tag}" for tag in _TAGS)
"""The 50 columns in the order of the network's outputs, each a probability."""
