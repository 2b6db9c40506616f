"""Ask a server that speaks TLS and wants a token; README.md beside this starts one."""

import csv
import sys
from itertools import repeat
from pathlib import Path

from genrestack import TLS, Client, Unauthenticated, Unavailable

TABLE = Path("demo/unseen.csv")


def main(target: str, ca: str, token_file: str) -> None:
    # With a certificate of a public authority, tls=True does. The token's file is read again while the client lives:
    # one that is replaced there is taken up.
    with Client(target, tls=TLS(ca=ca), token_file=token_file) as client:
        client.wait_until_ready(timeout=60)
        model = client.model()
        with TABLE.open(newline="", encoding="utf-8") as file:
            piece = next(csv.DictReader(file))
        row = [float(piece[name]) for name in model.feature_names]
        prediction = client.predict([row], priority="high", request_id="example-1")
        print(f"with a token: {model.name}/{model.version} hears {prediction.labels[0]}, encrypted all the way")
        print(f"and {len(list(client.predict_stream(repeat([row], 3))))} more through a stream")

    with Client(target, tls=TLS(ca=ca)) as stranger:
        print("health is open to all:", stranger.health())
        try:
            stranger.predict([row])
        except Unauthenticated as error:
            print("without a token:", error)

    with Client(target) as plain:
        try:
            plain.models(timeout=5)
        except Unavailable as error:
            print("without TLS:", error)
    print("one was let in, two were not, and each was told why")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python examples/tls_and_tokens/ask.py HOST:PORT CA TOKEN_FILE")
    main(*sys.argv[1:])
