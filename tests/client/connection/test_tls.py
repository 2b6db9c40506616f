"""TLS and mutual TLS against real handshakes, and what a person is told when one fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from client.both_clients import BOTH_CLIENTS, outcome
from client.servicer import FEATURES, Script, serving
from support.network.certificates import EXPIRED, Authority, Pair

import genrestack
from genrestack import TLS, Client, InvalidInput, RetryOptions, Unavailable
from genrestack.cli.main import run

ONCE = RetryOptions(attempts=1)
ROW = [dict.fromkeys(FEATURES, 0.5)]


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority.make()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> Path:
    """Holds `ca.pem`, `other-ca.pem` and the pairs that tests make."""
    folder = tmp_path_factory.mktemp("tls")
    ca.write(folder / "ca.pem")
    Authority.make().write(folder / "other-ca.pem")
    return folder


@contextmanager
def encrypted(pair: Pair, clients: Authority | None = None, script: Script | None = None) -> Iterator[str]:
    """Serve by TLS; with `clients`, only those who have a certificate of it."""
    credentials = grpc.ssl_server_credentials(
        [(pair.key.read_bytes(), pair.certificate.read_bytes())],
        None if clients is None else clients.pem,
        clients is not None,
    )
    with serving(script or Script(), credentials=credentials) as target:
        yield target


def met(target: str | list[str], **settings: Any) -> Any:
    """Ask by both clients; return what they agree on."""
    seen = []
    for make in BOTH_CLIENTS:
        with make(target, retry=ONCE, **settings) as client:
            seen.append(outcome(lambda c: c.predict(ROW).labels, client))
    assert seen[0] == seen[1]
    return seen[0]


def test_a_trusted_server_answers(ca: Authority, folder: Path) -> None:
    with encrypted(ca.server(folder)) as target:
        assert met(target, tls=TLS(ca=folder / "ca.pem")) == ["high"]
        assert met(target.replace("127.0.0.1", "localhost"), tls=TLS(ca=str(folder / "ca.pem"))) == ["high"]
        assert met([target, target], tls=TLS(ca=folder / "ca.pem", server_name="localhost")) == ["high"]
        with pytest.raises(InvalidInput, match="servers that are listed have to show one name"):
            Client([target, target], tls=True)
        with Client(target, tls=TLS(ca=folder / "ca.pem")) as client:
            assert [p.labels for p in client.predict_stream([ROW, ROW])] == [["high"]] * 2


def test_both_sides_show_who_they_are(ca: Authority, folder: Path) -> None:
    mine = ca.client(folder)
    with encrypted(ca.server(folder), ca) as target:
        assert met(target, tls=TLS(ca=folder / "ca.pem", cert=mine.certificate, key=mine.key)) == ["high"]
        raised = met(target, tls=TLS(ca=folder / "ca.pem"))
        assert "wants a certificate of yours that it trusts; name it: --cert and --key" in raised.text
        stranger = Authority.make().client(folder, "stranger")
        raised = met(target, tls=TLS(ca=folder / "ca.pem", cert=stranger.certificate, key=stranger.key))
        assert "wants a certificate of yours that it trusts" in raised.text


def test_a_certificate_for_another_name_is_taken_by_that_name(ca: Authority, folder: Path) -> None:
    with encrypted(ca.server(folder, "elsewhere", hosts=["genres.example"])) as target:
        named = TLS(ca=folder / "ca.pem", server_name="genres.example")
        assert met(target, tls=named) == ["high"]
        raised = met(target, tls=TLS(ca=folder / "ca.pem"))
        assert raised.kind is Unavailable
        assert raised.text == (
            f"the certificate of {target} is for another name; ask by that name, or give it: --server-name NAME "
            "(tls=TLS(server_name=NAME))"
        )


@pytest.mark.parametrize(
    ("lifetime", "trusts", "told"),
    [
        (EXPIRED, "ca.pem", "has expired; the server's operator has to renew it"),
        (-EXPIRED, "other-ca.pem", "comes from nobody who is trusted here; name the authority"),
        (-EXPIRED, None, "comes from nobody who is trusted here; name the authority"),
    ],
    ids=["expired", "of another authority", "of no public authority"],
)
def test_a_certificate_that_is_not_good_is_explained(
    ca: Authority, folder: Path, lifetime: Any, trusts: str | None, told: str
) -> None:
    with encrypted(ca.server(folder, "odd", lifetime=lifetime)) as target:
        raised = met(target, tls=True if trusts is None else TLS(ca=folder / trusts))
    assert raised.kind is Unavailable
    assert raised.text.startswith(f"the certificate of {target} ")
    assert told in raised.text


def test_one_side_alone_speaking_tls_is_recognised(ca: Authority, folder: Path) -> None:
    with encrypted(ca.server(folder)) as target:
        assert "the server most likely speaks TLS; add --tls (tls=True)" in met(target).text
        # Where the name has two addresses, gRPC tells of the one at which nothing listens.
        assert re.search("TLS[;,] add --tls", met(target.replace("127.0.0.1", "localhost")).text)
    with serving(Script()) as target:
        told = f"{target} speaks no TLS; ask it without: leave out --tls (tls=False)"
        assert met(target, tls=TLS(ca=folder / "ca.pem")).text == told


def bad_file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "field", "told"),
    [
        (lambda f, _: TLS(ca=f / "none.pem"), "tls.ca", "cannot be read: No such file or directory; check the path"),
        (lambda f, _: TLS(ca=bad_file(f, "bad.pem", b"nothing")), "tls.ca", "holds no certificate in PEM form"),
        (lambda f, p: TLS(cert=p.certificate), "tls.key", "are given together"),
        (lambda f, p: TLS(key=p.key), "tls.cert", "are given together"),
        (lambda f, p: TLS(cert=p.key, key=p.key), "tls.cert", "in PEM form"),
        (lambda f, p: TLS(cert=p.certificate, key=f / "ca.key"), "tls.key", "cannot be read"),
        (lambda f, _: TLS(server_name=""), "tls.server_name", "is empty"),
    ],
)
def test_files_are_checked_when_the_client_is_made(
    ca: Authority, folder: Path, make: Any, field: str, told: str
) -> None:
    pair = ca.client(folder)
    for kind in (Client, genrestack.AsyncClient):
        with pytest.raises(InvalidInput, match=told) as caught:
            kind("127.0.0.1:1", tls=make(folder, pair))
        assert caught.value.violations[0].field == field


def test_a_key_of_another_certificate_is_refused(ca: Authority, folder: Path) -> None:
    one, other = ca.client(folder, "one"), ca.client(folder, "other")
    with pytest.raises(InvalidInput, match="the key is not that of the certificate"):
        Client("127.0.0.1:1", tls=TLS(cert=one.certificate, key=other.key))


def test_commands_ask_by_tls(
    ca: Authority, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = ca.client(folder)
    with encrypted(ca.server(folder), ca, Script(token="s3cret")) as target:
        both = ["--ca", str(folder / "ca.pem"), "--cert", str(mine.certificate), "--key", str(mine.key)]
        assert run(["models", "--server", target, *both]) == 1
        assert "wants a token that it knows; give a token: token= or token_file=" in capsys.readouterr().err
        monkeypatch.setenv("GENRESTACK_TOKEN", "s3cret")
        assert run(["models", "--server", target, *both]) == 0
        for name, value in (("SERVER", target), ("CA", both[1]), ("CERT", both[3]), ("KEY", both[5])):
            monkeypatch.setenv(f"GENRESTACK_{name}", value)
        assert run(["models"]) == 0
        (folder / "token").write_text("wrong\n", encoding="utf-8")
        assert run(["models", "--token-file", str(folder / "token")]) == 1
        assert "give a token that is still good" in capsys.readouterr().err
