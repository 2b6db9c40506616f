"""TLS over a real port: who gets through, what stops the start, and new certificates while connections are open."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from server.running.live import Launch, Running, RunServer
from server.test_command import batch, fails
from support.network.certificates import EXPIRED, Authority, Pair
from support.waiting import GUARD_S, until

from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server.errors import CertificateError
from genrestack_server.security.tls import Certificates, read_pair


@pytest.fixture
def ca() -> Authority:
    return Authority.make()


@contextmanager
def connection(port: int, ca: Authority, client: Pair | None = None) -> Iterator[PredictionServiceStub]:
    """A connection of its own, to be told apart from those before it."""
    key, chain = (client.key.read_bytes(), client.certificate.read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.pem, key, chain)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"localhost:{port}", credentials, options) as channel:
        yield PredictionServiceStub(channel)


def connects(port: int, ca: Authority, client: Pair | None = None) -> bool:
    with connection(port, ca, client) as stub:
        call = stub.Predict.future(batch(2), timeout=10)
        assert call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        return call.code() == grpc.StatusCode.OK


def options(pair: Pair) -> dict[str, Path]:
    return {"tls_cert": pair.certificate, "tls_key": pair.key}


def replace(old: Pair, new: Pair) -> None:
    """Put new files in the place of old ones, the certificate a moment before its key, as renewal tools do."""
    new.certificate.replace(old.certificate)
    time.sleep(0.1)
    new.key.replace(old.key)


def test_only_who_trusts_the_authority_connects(
    tmp_path: Path, ca: Authority, tiny_models: Path, run_server: RunServer
) -> None:
    with run_server(tiny_models, host="localhost", **options(ca.server(tmp_path))) as running:
        assert connects(running.port, ca)
        assert not connects(running.port, Authority.make())
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            Running(running.port).stub.Predict(batch(1), timeout=10)


def test_mutual_tls_needs_a_certificate_of_the_authority(
    tmp_path: Path, ca: Authority, tiny_models: Path, run_server: RunServer
) -> None:
    clients, other = Authority.make("clients"), Authority.make("clients")
    more = {"tls_client_ca": clients.write(tmp_path / "clients.pem")}
    with run_server(tiny_models, **options(ca.server(tmp_path)), **more) as running:
        assert connects(running.port, ca, clients.client(tmp_path))
        assert not connects(running.port, ca)
        assert not connects(running.port, ca, other.client(tmp_path, "other"))
        assert not connects(running.port, ca, clients.client(tmp_path, "late", lifetime=EXPIRED))


def test_a_new_certificate_is_taken_up_and_open_connections_go_on(
    tmp_path: Path, ca: Authority, tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "genrestack_server")
    pair, later = ca.server(tmp_path), Authority.make()
    with (
        run_server(tiny_models, host="localhost", **options(pair)) as running,
        connection(running.port, ca) as before,
    ):
        before.Predict(batch(1), timeout=10)
        replace(pair, later.server(tmp_path, "next"))
        until(lambda: connects(running.port, later))
        assert not connects(running.port, ca)
        before.Predict(batch(1), timeout=10)
    assert f"read again: TLS certificate {pair.certificate}" in caplog.text
    assert "keeping the previous" not in caplog.text


def test_a_bad_new_certificate_leaves_the_old_one_in_use(
    tmp_path: Path, ca: Authority, tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "genrestack_server")
    pair = ca.server(tmp_path)
    with run_server(tiny_models, **options(pair)) as running:
        replace(pair, ca.server(tmp_path, "late", lifetime=EXPIRED))
        until(lambda: "keeping the previous version" in caplog.text)
        assert "certificate has expired" in caplog.text
        assert connects(running.port, ca)
        later = Authority.make()
        replace(pair, later.server(tmp_path, "good"))
        until(lambda: connects(running.port, later))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_reads_them_at_once(
    workers: str, tmp_path: Path, ca: Authority, tiny_models: Path, launch: Launch
) -> None:
    pair, later = ca.server(tmp_path), Authority.make()
    command = launch(
        tiny_models, "--port", "0", "--threads", "1", "--tls-cert", pair.certificate, "--tls-key", pair.key
    )
    port = command.running.port
    assert connects(port, ca)
    replace(pair, later.server(tmp_path, "next"))
    command.process.send_signal(signal.SIGHUP)
    until(lambda: connects(port, later))
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(GUARD_S) == 0


def make_encrypted(pair: Pair) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    kind = serialization.BestAvailableEncryption(b"secret")
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind))


def alter(file: Path) -> None:
    file.write_text(file.read_text().replace("M", "N", 1))


SPOILS: dict[str, tuple[Callable[[Authority, Pair], object], str]] = {
    "expired": (lambda ca, pair: ca.server(pair.key.parent, lifetime=EXPIRED), "certificate has expired"),
    "other key": (lambda ca, pair: shutil.copy(ca.server(pair.key.parent, "b").key, pair.key), "is not the key of"),
    "client's": (lambda ca, pair: ca.client(pair.key.parent, "server"), "unsuitable certificate purpose"),
    "no cert": (lambda ca, pair: pair.certificate.unlink(), "cannot read the TLS file"),
    "no key": (lambda ca, pair: pair.key.unlink(), "cannot read the TLS file"),
    "binary": (lambda ca, pair: pair.certificate.write_bytes(b"\xff\x00"), "holds no PEM certificate"),
    "empty key": (lambda ca, pair: pair.key.write_text(""), "is not a usable PEM file"),
    "altered": (lambda ca, pair: alter(pair.certificate), "is not a usable PEM file"),
    "password": (lambda ca, pair: make_encrypted(pair), "is protected by a password"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_what_cannot_be_used_stops_the_start(name: str, tmp_path: Path, ca: Authority) -> None:
    spoil, said = SPOILS[name]
    pair = ca.server(tmp_path)
    read_pair(pair.certificate, pair.key, None)
    spoil(ca, pair)
    with pytest.raises(CertificateError, match=said) as caught:
        read_pair(pair.certificate, pair.key, None)
    assert str(tmp_path) in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_the_command_says_so_and_leaves_with_status_2(tmp_path: Path, ca: Authority, tiny_models: Path) -> None:
    pair = ca.server(tmp_path, lifetime=EXPIRED)
    line = fails(tiny_models, "--port", "0", "--tls-cert", pair.certificate, "--tls-key", pair.key)
    assert f"the TLS certificate {pair.certificate} is unusable: certificate has expired" in line


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "leaf"])
def test_an_authority_for_clients_has_to_be_one(content: str, tmp_path: Path, ca: Authority) -> None:
    pair = ca.server(tmp_path)
    file = tmp_path / "clients.pem"
    file.write_text(pair.certificate.read_text() if content == "leaf" else content)
    with pytest.raises(CertificateError, match=str(file)):
        read_pair(pair.certificate, pair.key, file)


def test_a_chain_of_several_and_when_it_ends(tmp_path: Path, ca: Authority, caplog: pytest.LogCaptureFixture) -> None:
    pair = ca.server(tmp_path)
    pair.certificate.write_bytes(pair.certificate.read_bytes() + ca.pem)
    found = Certificates(pair.certificate, pair.key, None)
    assert found.expires == pytest.approx(time.time() + 3600, abs=60)
    assert f"the TLS certificate {pair.certificate} expires in 0.0 days" in caplog.text
