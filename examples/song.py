"""A song as it is: the client cuts it into windows, computes their features and asks about each.

    $ genrestack demo
    $ genrestack serve demo/models &
    $ python examples/song.py demo/song.flac

Any recording will do (wav, flac, ogg, mp3); the client needs its extra: `pip install "genrestack[audio]"`.
"""

import sys

from genrestack import Client


def main(path: str, target: str) -> None:
    with Client(target) as client:
        client.wait_until_ready(60)
        song = client.classify_song(path, base=True)

    # Three seconds a window: what the model heard as time went by.
    windows = song.windows
    for start, label, probabilities in zip(song.starts, windows.labels, windows.probabilities, strict=True):
        sure = float(probabilities.max())
        print(f"  {int(start) // 60}:{int(start) % 60:02}  {label:14} {'♪' * round(20 * sure):20} {sure:4.0%}")

    print("\neach part alone would say:")
    for part, probabilities in song.base.items():
        print(f"  {part:4} {song.classes[probabilities.argmax()]}")
    # What to know before trusting it: cut short, clipped, unlike anything in training.
    for warning in song.warnings:
        print(f"warning: {warning}")

    (best, sure), (second, _) = song.top(2)
    print(f"\nthat sounds like {best} ({sure:.0%}); if not, then like {second}")


if __name__ == "__main__":
    song_file = sys.argv[1] if len(sys.argv) > 1 else "demo/song.flac"
    main(song_file, sys.argv[2] if len(sys.argv) > 2 else "localhost:50051")
