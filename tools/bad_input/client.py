"""Servers that are not there or go away, and tables that cannot be asked about."""

import http.server
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tools.bad_input.finding import Finding
from tools.bad_input.world import FEATURES, World, line

TITLE = "The client"
_NOBODY = "127.0.0.1:1"
_MANY = 40


def walk(world: World) -> Iterator[Finding]:
    """Pass each of them to `genrestack predict` and its neighbours, and to `Client`."""
    yield from _nobody(world)
    with world.serving() as server:
        yield from _tables(world, server.address)
        yield from _calls(server.address)
    yield _killed(world)
    yield _killed_stream(world)


def _nobody(world: World) -> Iterator[Finding]:
    yield world.run("No server there: predict", "predict", "digits.csv", "--server", _NOBODY)
    yield world.run("No server there: models", "models", "--server", _NOBODY)
    yield world.run("No server there: health", "health", "--server", _NOBODY)
    yield world.run("No server yet", "health", "--server", _NOBODY, "--wait", "0.5")
    yield world.run("A host that nobody knows", "models", "--server", "no.such.host.invalid:50051")
    yield world.run("An address without a port", "models", "--server", "localhost")
    with _web_server() as port:
        world.ports.append(port)
        yield world.run("A server of another kind", "models", "--server", f"127.0.0.1:{port}", "--timeout", "3")


def _tables(world: World, address: str) -> Iterator[Finding]:
    folder = world.folder
    (folder / "song.mp3").write_bytes(b"ID3")
    (folder / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (folder / "empty.csv").write_bytes(b"")
    bare = [row[:-2] for row in world.rows]
    for title, name in (
        ("A file that is not there", "gone.csv"),
        ("A folder", "runs"),
        ("A file that is not a table", "song.mp3"),
        ("A picture named like a table", "picture.csv"),
        ("An empty file", "empty.csv"),
        ("A missing feature column", world.table("narrow.csv", FEATURES[:-1], bare).name),
        ("A text where a number belongs", world.changed("text.csv", 7, 5, "loud").name),
        ("NaN", world.changed("nan.csv", 300, 5, "nan").name),
        ("An empty cell", world.changed("hole.csv", 3, 2, "").name),
        ("A number too large for float32", world.changed("large.csv", 3, 2, "1e99").name),
        ("A column twice", world.table("doubled.csv", [*FEATURES, "pixel_3"], world.rows).name),
    ):
        yield _at(world, address, title, "predict", name)
    yield _at(world, address, "An unknown model", "predict", "digits.csv", "--model", "gtzan")
    yield _at(world, address, "An unknown version", "predict", "digits.csv", "--model", "digits", "--version", "9")
    yield _at(world, address, "A version without a model", "health", "--version", "1")
    yield _at(world, address, "A deadline too short", "predict", "digits.csv", "--timeout", "0.0001")
    yield _at(world, address, "A deadline that cannot be", "predict", "digits.csv", "--timeout", "0")
    yield _at(world, address, "No table at all", "predict")
    yield _at(world, address, "A command that is not there", "predcit", "digits.csv")


def _at(world: World, address: str, title: str, *arguments: str) -> Finding:
    server = [] if arguments[0] == "predcit" else ["--server", address]
    return world.run(title, *arguments, *server, shown=line(arguments))


def _calls(address: str) -> Iterator[Finding]:
    from genrestack import Client

    row = dict.fromkeys(FEATURES, 1.0)
    with_nan, ragged = {**row, "pixel_5": math.nan}, [[1.0], [1.0, 2.0]]
    missing = {name: value for name, value in row.items() if name != "pixel_0"}
    with Client(address) as client:
        calls: list[tuple[str, str, Callable[[], object]]] = [
            ("A column too few", "client.predict([[1.0, 2.0]])", lambda: client.predict([[1.0, 2.0]])),
            ("Rows of unequal length", "client.predict([[1.0], [1.0, 2.0]])", lambda: client.predict(ragged)),
            ("No rows", "client.predict([])", lambda: client.predict([])),
            ("A missing feature", "client.predict({all but pixel_0})", lambda: client.predict(missing)),
            (
                "An unknown feature",
                'client.predict({…, "tempo": 1.0}, strict=True)',
                lambda: client.predict({**row, "tempo": 1.0}, strict=True),
            ),
            ("NaN", 'client.predict({…, "pixel_5": nan})', lambda: client.predict(with_nan)),
            ("A text", 'client.predict({…, "pixel_5": "loud"})', lambda: client.predict({**row, "pixel_5": "loud"})),
            ("Something else", "client.predict(7)", lambda: client.predict(7)),
            (
                "A bad item in a stream",
                "list(client.predict_stream([good, with_nan]))",
                lambda: list(client.predict_stream([row, with_nan])),
            ),
            ("A deadline too short", "client.predict(row, timeout=1e-6)", lambda: client.predict(row, timeout=1e-6)),
            ("A deadline that cannot be", "client.predict(row, timeout=-1)", lambda: client.predict(row, timeout=-1)),
            ("An unknown model", 'client.predict(row, model="gtzan")', lambda: client.predict(row, model="gtzan")),
            ("A version without a model", "client.predict(row, version=9)", lambda: client.predict(row, version=9)),
        ]
        for title, text, ask in calls:
            yield _caught(title, text, ask)
    yield _caught("A client that was closed", "client.close(); client.predict(row)", lambda: client.predict(row))
    yield _caught("No port", 'Client("localhost")', lambda: Client("localhost").predict(row))


def _caught(title: str, text: str, ask: Callable[[], object]) -> Finding:
    from genrestack import GenreStackError, InvalidInput

    try:
        ask()
    except GenreStackError as error:
        fields = error.violations if isinstance(error, InvalidInput) else ()
        return Finding(title, text, type(error).__name__, str(error), tuple((v.field, v.description) for v in fields))
    return Finding(title, text, "OK", "answered")


def _killed(world: World) -> Finding:
    """Kill the server once the first answers of a long table have come."""
    world.table("long.csv", FEATURES, [row[:-1] for row in world.rows] * _MANY)
    arguments = ["predict", "long.csv", "--csv", "--server"]
    with world.serving() as server, world.started(*arguments, server.address) as process:
        assert process.stdout is not None
        # The header, and a row that has been answered.
        process.stdout.readline()
        process.stdout.readline()
        server.process.kill()
        shown = f"{line(arguments[:-1])} > answers.csv   # and the server killed in the middle"
        return world.ended("A server killed in the middle", process, shown)


def _killed_stream(world: World) -> Finding:
    from genrestack import Client

    row = dict.fromkeys(FEATURES, 1.0)

    def ask() -> None:
        with world.serving() as server, Client(server.address) as client:
            for number, _ in enumerate(client.predict_stream(row for _ in range(1000))):
                if number == 3:
                    server.process.kill()

    found = _caught("A server killed in the middle of a stream", "for p in client.predict_stream(batches): …", ask)
    return Finding(found.title, found.done, found.status, world.plain(found.message), found.fields)


@contextmanager
def _web_server() -> Iterator[int]:
    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
