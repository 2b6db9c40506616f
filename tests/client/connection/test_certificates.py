"""The certificates that other tests trust, held to OpenSSL's own judgement."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from support.network.certificates import EXPIRED, Authority, Pair


def handshake(server: Pair, trusted: Path, host: str, client: Pair | None = None) -> str:
    """Shake hands in memory, each side trusting `trusted`; returns the subject that the server saw."""
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trusted))
    accepting.load_cert_chain(server.certificate, server.key)
    asking = ssl.create_default_context(cafile=str(trusted))
    if client is not None:
        accepting.verify_mode = ssl.CERT_REQUIRED
        asking.load_cert_chain(client.certificate, client.key)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = asking.wrap_bio(back, there, server_hostname=host)
    other = accepting.wrap_bio(there, back, server_side=True)
    waiting: list[Callable[[], None]] = [one.do_handshake, other.do_handshake]
    while waiting:
        step = waiting.pop(0)
        try:
            step()
        except ssl.SSLWantReadError:
            waiting.append(step)
    seen = other.getpeercert(binary_form=True)
    return "" if seen is None else x509.load_der_x509_certificate(seen).subject.rfc4514_string()


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority.make()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_loopback_is_trusted(ca: Authority, tmp_path: Path, host: str) -> None:
    assert handshake(ca.server(tmp_path), ca.write(tmp_path / "ca.pem"), host) == ""


def test_client_is_named(ca: Authority, tmp_path: Path) -> None:
    trusted = ca.write(tmp_path / "ca.pem")
    assert handshake(ca.server(tmp_path), trusted, "localhost", ca.client(tmp_path, "robot")) == "CN=robot"


def test_what_must_fail_fails(ca: Authority, tmp_path: Path) -> None:
    trusted = ca.write(tmp_path / "ca.pem")
    good = ca.server(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        handshake(ca.server(tmp_path, "late", lifetime=EXPIRED), trusted, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(ca.server(tmp_path, "elsewhere", hosts=["genres.example"]), trusted, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(good, Authority.make().write(tmp_path / "other.pem"), "localhost")
    with pytest.raises(ssl.SSLError, match=r"certificate has expired|verify failed"):
        handshake(good, trusted, "localhost", ca.client(tmp_path, "old", lifetime=EXPIRED))
