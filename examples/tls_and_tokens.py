"""Ask a server that speaks TLS and wants a token.

    genrestack token --name example --append tokens > my.token
    genrestack serve models --tls-cert server.pem --tls-key server.key --token-file tokens &
    python examples/tls_and_tokens.py localhost:50051 ca.pem my.token

ca.pem holds the certificate of whoever signed the server's; with one from a public authority, tls=True does.
"""

import sys
from itertools import repeat

from genrestack import TLS, Client, Unauthenticated, Unavailable


def main(target: str, ca: str, token_file: str) -> None:
    # The file is read again while the client lives: a token that is replaced there is taken up.
    with Client(target, tls=TLS(ca=ca), token_file=token_file) as client:
        client.wait_until_ready(timeout=60)
        info = client.model()
        rows = [[feature.seen_min or 0.0 for feature in info.features]]
        prediction = client.predict(rows, priority="high", request_id="example-1")
        print(f"{info.name}/{info.version} says {prediction.labels[0]!r}, encrypted all the way")
        print(len(list(client.predict_stream(repeat(rows, 3)))), "more through a stream")

    with Client(target, tls=TLS(ca=ca)) as stranger:
        print("health is open to all:", stranger.health())
        try:
            stranger.predict(rows)
        except Unauthenticated as error:
            print("without a token:", error)

    with Client(target) as plain:
        try:
            plain.models(timeout=5)
        except Unavailable as error:
            print("without TLS:", error)


if __name__ == "__main__":
    main(*sys.argv[1:])
