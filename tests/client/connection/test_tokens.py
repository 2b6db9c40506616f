"""Bearer tokens: sent with every call, shown to nobody else, and never in the clear by accident."""

import time
from pathlib import Path
from typing import Any

import pytest
from client.both_clients import BOTH_CLIENTS, outcome
from client.servicer import FEATURES, Script, serving
from support.waiting import GUARD_S

from genrestack import TLS, AsyncClient, Client, GenreStackError, InvalidInput, Unauthenticated
from genrestack._core.connection.options import ClientOptions

SECRET = "s3cret-t0ken-of-mine"
ROW = [dict.fromkeys(FEATURES, 0.5)]


def test_every_kind_of_call_carries_it() -> None:
    script = Script(token=SECRET)
    with serving(script) as target:
        for make in BOTH_CLIENTS:
            with make(target, token=SECRET) as client:
                client.predict(ROW)
                client.models()
                list(client.predict_stream([ROW]))
    assert [seen["authorization"] for seen in script.metadata] == [f"Bearer {SECRET}"] * 6


@pytest.mark.parametrize(
    ("settings", "told"), [({}, "give a token:"), ({"token": "old"}, "a token that is still good")]
)
def test_a_refusal_says_what_to_give(settings: dict[str, Any], told: str) -> None:
    with serving(Script(token=SECRET)) as target:
        for make in BOTH_CLIENTS:
            with make(target, **settings) as client:
                for ask in (lambda c: c.predict(ROW), lambda c: c.predict_stream([ROW])):
                    raised = outcome(ask, client)
                    assert raised.kind is Unauthenticated
                    assert told in raised.text


def test_a_function_is_asked_before_each_call() -> None:
    tokens = iter(["first", "second", "third"])
    script = Script()
    with serving(script) as target, Client(target, token=lambda: next(tokens)) as client:
        # The first one goes with the question which columns the model takes.
        client.predict(ROW)
        client.predict(ROW)
    assert [seen["authorization"] for seen in script.metadata] == ["Bearer second", "Bearer third"]


def test_a_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n", encoding="utf-8")
    script = Script(token="second")
    with serving(script) as target, Client(target, token_file=path) as client:
        with pytest.raises(Unauthenticated):
            client.predict(ROW)
        path.write_text("second\n", encoding="utf-8")
        end = time.monotonic() + GUARD_S
        while True:
            try:
                client.predict(ROW)
                break
            except Unauthenticated:
                assert time.monotonic() < end
                time.sleep(0.05)


def test_it_is_shown_nowhere() -> None:
    client = Client("127.0.0.1:1", token=SECRET, timeout=0.2)
    options = ClientOptions(token=SECRET)
    shown = [repr(client), str(vars(client)), repr(options), repr(options.token_source)]
    with client, pytest.raises(GenreStackError) as caught:
        client.models()
    shown += [str(caught.value), repr(caught.value.__cause__)]
    assert [text for text in shown if SECRET in text] == []


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünï", "a: b"])
def test_what_is_no_token_is_refused_without_being_shown(token: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidInput, match=r"^token is empty or holds characters") as caught:
            kind("127.0.0.1:1", token=token)
        assert not token or token not in str(caught.value)


def test_two_sources_or_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="give one of them"):
        Client(token="a", token_file=tmp_path / "t")
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        Client(token_file=tmp_path / "t")


FAR = [
    "genres.example:443", "10.0.0.1:50051", "127.evil.example:443", "localhost.evil.example:443", "[2001:db8::1]:443",
    "dns:///genres.example:443", "dns://127.0.0.1/genres.example:443", "ipv4:127.0.0.1:1,10.0.0.1:1",
    ("127.0.0.1:1", "10.0.0.1:1"), "genres.example",
]  # fmt: skip
NEAR = [
    "localhost:50051", "localhost", "127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "unix:/run/genres.sock",
    "dns:///localhost:1", "dns:localhost:1", "ipv4:127.0.0.1:1,127.0.0.2:1", "ipv6:[::1]:1",
    ("127.0.0.1:1", "127.0.0.1:2"),
]  # fmt: skip


@pytest.mark.parametrize("target", FAR, ids=str)
def test_it_does_not_leave_the_machine_in_the_clear(target: Any) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidInput, match="unencrypted, for everybody on the way to read"):
            kind(target, token=SECRET)
        kind(target, token=SECRET, tls=TLS(server_name="genres.example"))
        kind(target, token=SECRET, allow_plaintext_token=True)
        kind(target)


@pytest.mark.parametrize("target", NEAR, ids=str)
def test_it_goes_to_this_machine_as_it_is(target: Any) -> None:
    ClientOptions(target=target, token=SECRET)
