"""Certificates of all sorts, and a client and a server that meet over them in memory."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smtp_connection.errors import SMTPError
from smtp_connection.net.errors import tls_error
from smtp_connection.net.tls import context_for
from smtp_connection.options.tls import TLSOptions

HOST = "mx.example.org"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def asking(authority: trustme.CA) -> ssl.SSLContext:
    """A server that wants to see a certificate of ``authority``."""
    context = serving(authority.issue_cert(HOST))
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def make_certificate(
    *,
    subject: str = HOST,
    names: list[x509.GeneralName] | None = None,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    is_ca: bool = False,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Make a certificate as people make them at home: none of the extensions a CA should have."""
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0].subject if issuer else name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    if is_ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer[1] if issuer else own, hashes.SHA256()), own


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def serving_made(
    made: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], path: Path
) -> ssl.SSLContext:
    path.write_text(pem(made[0]) + key_text(made[1]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    path.unlink()
    return context


def key_text(private: Any, passphrase: bytes | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    data: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return data.decode()


class Pair:
    """A client and a server, joined in memory."""

    def __init__(
        self, client: ssl.SSLContext, server: ssl.SSLContext | None, name: str | None = HOST
    ) -> None:
        self.to_client, self.to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self.to_client, self.to_server, server_hostname=name)
        self.server: ssl.SSLObject | None = None
        if server:
            self.server = server.wrap_bio(self.to_server, self.to_client, server_side=True)

    def handshake(self) -> Pair:
        """Shake hands, and have the client read what the server says to that."""
        for _ in range(6):
            for side in filter(None, (self.client, self.server)):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    if side is self.client:
                        raise
        try:
            self.client.read(1)
        except ssl.SSLWantReadError:
            pass
        return self

    def failure(self, servername: str = HOST) -> SMTPError:
        """The error that a failing handshake is reported as."""
        with pytest.raises((OSError, EOFError)) as caught:
            self.handshake()
        error = tls_error(caught.value, self.client, servername)
        assert (error.code, error.command) == ("ETLS", "CONN")
        assert error.__cause__ is caught.value
        return error


def connect(
    options: dict[str, Any] | None, server: ssl.SSLContext, name: str | None = HOST
) -> Pair:
    return Pair(context_for(TLSOptions.parse(options)), server, name).handshake()
