"""Write a synthesised song: `python -m tools.synth synth-waltz song.wav --seed 7`."""

import argparse
from pathlib import Path

from genrestack_audio.features.columns import RATE
from tools.synth import STYLES, render, write_wav


def main() -> None:
    """Read the command line and write the song."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.synth",
        description="Write a synthetic song to a .wav file.",
        epilog="Example: python -m tools.synth synth-waltz song.wav --seed 7",
    )
    parser.add_argument("style", choices=STYLES, metavar="STYLE", help=", ".join(STYLES))
    parser.add_argument("output", type=Path, metavar="FILE", help="the .wav file; replaced if it exists")
    parser.add_argument("--seed", type=int, default=0, help="which song of the style, from 0 (default 0)")
    parser.add_argument("--seconds", type=float, default=30.0, help="its length (default 30)")
    options = parser.parse_args()
    try:
        write_wav(options.output, render(options.style, options.seconds, RATE, options.seed), RATE)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{options.output} cannot be written: {error.strerror}; name a file in a folder there is")


if __name__ == "__main__":
    main()
