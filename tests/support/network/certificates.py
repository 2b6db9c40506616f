"""A certificate authority for tests: real certificates, made in milliseconds and good for an hour.

ca = Authority.make("test CA")
server = ca.server(folder, "server")             # localhost, 127.0.0.1 and ::1
client = ca.client(folder, "client")
late = ca.server(folder, "late", lifetime=EXPIRED)
ca.write(folder / "ca.pem")
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
HOUR: Final = timedelta(hours=1)
EXPIRED: Final = timedelta(seconds=-10)
"""As `lifetime`: a certificate that was good until ten seconds ago."""
# Clocks may differ by a little, and certificates hold whole seconds.
_BEFORE: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates; nobody trusts it who was not given its own."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str = "GenreStack test CA") -> Self:
        """Make a new one; two of the same name still do not trust each other's."""
        key = _new_key()
        subject = _subject(name)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = (
            _builder(subject, subject, key, HOUR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        """Its own certificate, which is what clients (or servers, of clients) are told to trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path: Path) -> Path:
        """Write `pem` to a file."""
        path.write_bytes(self.pem)
        return path

    def server(
        self, folder: Path, name: str = "server", *, hosts: Sequence[str] = LOOPBACK, lifetime: timedelta = HOUR
    ) -> Pair:
        """Write a server's certificate and key as `<name>.pem` and `<name>.key`, over what is there.

        `lifetime` is from now on; negative, the certificate has expired. `hosts` are DNS names and IP addresses.
        """
        return self._issue(folder, name, ExtendedKeyUsageOID.SERVER_AUTH, hosts, lifetime)

    def client(self, folder: Path, name: str = "client", *, lifetime: timedelta = HOUR) -> Pair:
        """Write a client's certificate (its common name is `name`) and key, as `server` does."""
        return self._issue(folder, name, ExtendedKeyUsageOID.CLIENT_AUTH, (), lifetime)

    def _issue(
        self, folder: Path, name: str, usage: x509.ObjectIdentifier, hosts: Sequence[str], lifetime: timedelta
    ) -> Pair:
        key = _new_key()
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            _builder(_subject(name), self.certificate.subject, key, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(issuer, critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        pair.certificate.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(_private(key))
        pair.key.chmod(0o600)
        return pair


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + lifetime)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
