"""What a failed look-up, handshake or connection is said to have failed of."""

from __future__ import annotations

import datetime
import errno
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from smtp_connection.net.errors import socket_error, speaks_no_tls, tls_error
from smtp_connection.net.tls import context_for
from smtp_connection.options.tls import TLSOptions
from tests.support.tls_pairs import (
    DAY,
    HOST,
    NOW,
    Pair,
    asking,
    make_certificate,
    pem,
    serving,
    serving_made,
)


def client(ca: str, **more: Any) -> ssl.SSLContext:
    return context_for(TLSOptions.parse({"ca": ca, **more}))


def date(moment: datetime.datetime) -> str:
    return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S %Y} GMT"


@pytest.mark.parametrize(
    ("cause", "text", "code"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host", "EHOSTUNREACH"),
        (OSError("odd"), "odd", "ESOCKET"),
        (OSError(99999, "unheard of"), "unheard of", "ESOCKET"),
    ],
)
def test_errors_of_the_system_keep_their_name(cause: OSError, text: str, code: str) -> None:
    error = socket_error(cause, "Cannot do it")
    assert str(error) == f"Cannot do it: {text} ({code})"
    assert (error.code, error.command) == (code, "CONN")
    assert error.__cause__ is cause


# -- TLS -------------------------------------------------------------------------------------------


def test_a_certificate_for_another_name(authority: trustme.CA, ca: str) -> None:
    leaf = authority.issue_cert(
        "a.example", "*.b.example", "192.0.2.7", "2001:db8::1", "x@y.example"
    )
    error = Pair(client(ca), serving(leaf)).failure()
    assert str(error).startswith(
        f"TLS with {HOST} failed: the server's certificate is for another name: a.example, "
        "*.b.example, 192.0.2.7, 2001:DB8:0:0:0:0:0:1 ("
    )
    assert "x@y.example" not in str(error)
    assert str(error).endswith(f"Hostname mismatch, certificate is not valid for '{HOST}'.)")
    error = Pair(client(ca), serving(leaf), "192.0.2.8").failure("192.0.2.8")
    assert "TLS with 192.0.2.8 failed: the server's certificate is for another name" in str(error)
    assert "IP address mismatch" in str(error)


def test_a_certificate_for_many_names(authority: trustme.CA, ca: str) -> None:
    leaf = authority.issue_cert(*(f"h{number}.example" for number in range(11)))
    text = str(Pair(client(ca), serving(leaf)).failure())
    assert "another name: h0.example, " in text
    assert "h9.example, ... (" in text
    leaf = authority.issue_cert(*(f"h{number}.example" for number in range(10)))
    assert "h9.example (" in str(Pair(client(ca), serving(leaf)).failure())


def test_a_certificate_without_alternative_names(tmp_path: Path) -> None:
    made = make_certificate(subject="old.example")
    server = serving_made(made, tmp_path / "server.pem")
    error = Pair(client(pem(made[0])), server).failure()
    assert "the server's certificate is for another name: old.example (" in str(error)


def test_names_chosen_by_the_server_cannot_forge_log_lines(tmp_path: Path) -> None:
    root = make_certificate(subject="root", is_ca=True)
    names = [x509.DNSName("a\r\nlogin: ok\x1b[2J"), x509.DNSName("b" * 5000)]
    server = serving_made(make_certificate(names=[*names], issuer=root), tmp_path / "server.pem")
    text = str(Pair(client(pem(root[0])), server).failure())
    assert "another name: a??login: ok?[2J, bbb" in text
    assert text.isprintable()
    assert len(text) < 700

    evil = make_certificate(subject="root\n\u202etoor", is_ca=True)
    made = make_certificate(names=[x509.DNSName(HOST)], issuer=evil)
    text = str(Pair(client(pem(root[0])), serving_made(made, tmp_path / "server.pem")).failure())
    assert "unknown authority, root??toor;" in text


def test_names_are_done_without_if_python_hides_them(authority: trustme.CA, ca: str) -> None:
    pair = Pair(client(ca), serving(authority.issue_cert("a.example")))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        pair.handshake()

    class Bare:
        """An SSLObject of some later Python."""

    for sock in (None, Bare()):
        text = str(tls_error(caught.value, sock, HOST))  # type: ignore[arg-type]
        assert "is for another name (certificate verify failed: Hostname mismatch" in text


def test_an_expired_certificate(authority: trustme.CA, ca: str) -> None:
    leaf = authority.issue_cert(HOST, not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    assert str(Pair(client(ca), serving(leaf)).failure()) == (
        f"TLS with {HOST} failed: the server's certificate expired on {date(NOW - DAY)} "
        "(certificate verify failed: certificate has expired)"
    )


def test_a_certificate_that_is_not_yet_valid(authority: trustme.CA, ca: str) -> None:
    leaf = authority.issue_cert(HOST, not_before=NOW + DAY, not_after=NOW + 9 * DAY)
    assert str(Pair(client(ca), serving(leaf)).failure()) == (
        f"TLS with {HOST} failed: the server's certificate is not yet valid, only from "
        f"{date(NOW + DAY)} on; is this machine's clock right? "
        "(certificate verify failed: certificate is not yet valid)"
    )


def test_a_socket_is_as_good(authority: trustme.CA, ca: str) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    server = serving(authority.issue_cert("a.example"))
    with (
        client(ca).wrap_socket(ours, server_hostname=HOST, do_handshake_on_connect=False) as sock,
        server.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False) as peer,
    ):
        for side in (sock, peer):
            with pytest.raises(ssl.SSLWantReadError):
                side.do_handshake()
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            sock.do_handshake()
        assert "is for another name: a.example (" in str(tls_error(caught.value, sock, HOST))


class Sent:
    """What ssl keeps of a failed handshake, for chains that nobody would sign."""

    def __init__(self, *infos: dict[str, Any]) -> None:
        self._sslobj = self
        self.infos = infos

    def get_unverified_chain(self) -> list[Sent]:
        return [Sent(info) for info in self.infos]

    def get_info(self) -> dict[str, Any]:
        return self.infos[0]


def verification_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    text = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {message} (_ssl.c:1006)"
    error = ssl.SSLCertVerificationError(1, text)
    error.verify_code = code
    return error


def test_it_may_be_an_issuer_that_expired() -> None:
    error = verification_error(10, "certificate has expired")
    past, future = {"notAfter": date(NOW - DAY)}, {"notAfter": date(NOW + DAY)}
    for chain, whose in (
        (
            (future, past),
            f"an issuer's certificate, sent by the server, expired on {past['notAfter']}",
        ),
        (({"notAfter": "Bad time value"}, past), "an issuer's certificate, sent by the server,"),
        ((future, future), "a certificate in the server's chain expired ("),
        ((), "a certificate in the server's chain expired ("),
    ):
        assert f"failed: {whose}" in str(tls_error(error, Sent(*chain), HOST))  # type: ignore[arg-type]
    error = verification_error(9, "certificate is not yet valid")
    assert "a certificate in the server's chain is not yet valid; is" in str(
        tls_error(error, None, HOST)
    )


def test_names_that_are_missing_or_endless() -> None:
    chain = {"issuer": ((("organizationName", "x" * 5000),),), "subject": ()}
    error = verification_error(20, "unable to get local issuer certificate")
    assert len(str(tls_error(error, Sent(chain), HOST))) < 600  # type: ignore[arg-type]
    error = verification_error(62, "Hostname mismatch")
    assert "for another name: none (" in str(tls_error(error, Sent(chain), HOST))  # type: ignore[arg-type]


def test_a_self_signed_certificate(ca: str, tmp_path: Path) -> None:
    made = make_certificate(names=[x509.DNSName(HOST)])
    server = serving_made(made, tmp_path / "server.pem")
    text = str(Pair(client(ca), server).failure())
    assert "the server's certificate is self-signed; if it is yours, use tls: {'ca': ...} (" in text
    Pair(client(pem(made[0])), server).handshake()


def test_an_unknown_authority(stranger: trustme.CA, ca: str) -> None:
    leaf = stranger.issue_cert(HOST)
    text = str(Pair(client(ca), serving(leaf)).failure())
    assert (
        "the server's certificate is issued by an unknown authority, Their CA; "
        "for a private CA, use tls: {'ca': ...} (certificate verify failed: unable to get local "
    ) in text
    # Some servers send the root along.
    root = stranger.cert_pem.bytes()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(leaf.private_key_and_cert_chain_pem.bytes() + root).tempfile() as path:
        server.load_cert_chain(path)
    text = str(Pair(client(ca), server).failure())
    assert "issued by an unknown authority, Their CA;" in text
    assert "self-signed certificate in certificate chain)" in text.replace(
        "self signed", "self-signed"
    )


def test_a_revoked_certificate(authority: trustme.CA, ca: str, tmp_path: Path) -> None:
    leaf = authority.issue_cert(HOST)
    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    issuer = x509.load_pem_x509_certificate(ca.encode())
    private = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    revoked = (
        x509.RevokedCertificateBuilder()
        .serial_number(certificate.serial_number)
        .revocation_date(NOW - DAY)
        .build()
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_revoked_certificate(revoked)
        .sign(private, hashes.SHA256())  # type: ignore[arg-type]
    )
    path = tmp_path / "crl.pem"
    path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(cadata=ca)
    context.load_verify_locations(path)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    error = Pair(context_for(TLSOptions.parse(context)), serving(leaf)).failure()
    assert "failed: the server's certificate is revoked (certificate verify failed: " in str(error)


def test_any_other_verdict() -> None:
    text = str(tls_error(verification_error(66, "EE certificate key too weak"), None, ""))
    assert text == (
        "TLS failed: the server's certificate did not pass verification "
        "(certificate verify failed: EE certificate key too weak)"
    )
    assert "did not pass" in str(tls_error(ssl.CertificateError("no match"), None, HOST))


# -- the codes of Node, as Node 20 has them for the same certificates ------------------------------


def chained(leaf: trustme.LeafCert, *more: trustme.CA) -> ssl.SSLContext:
    """Return the context of a server that sends ``more`` certificates behind that of ``leaf``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    sent = leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes()
    with trustme.Blob(sent + b"".join(each.cert_pem.bytes() for each in more)).tempfile() as path:
        context.load_cert_chain(path)
    return context


def test_reasons_have_the_names_that_node_gives_them(
    authority: trustme.CA, stranger: trustme.CA, ca: str, tmp_path: Path
) -> None:
    own = serving_made(make_certificate(names=[x509.DNSName(HOST)]), tmp_path / "server.pem")
    between = stranger.create_child_ca()
    servers = {
        "DEPTH_ZERO_SELF_SIGNED_CERT": own,
        "SELF_SIGNED_CERT_IN_CHAIN": chained(stranger.issue_cert(HOST), stranger),
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE": chained(stranger.issue_cert(HOST)),
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY": chained(between.issue_cert(HOST), between),
        "CERT_HAS_EXPIRED": serving(
            authority.issue_cert(HOST, not_before=NOW - 9 * DAY, not_after=NOW - DAY)
        ),
        "CERT_NOT_YET_VALID": serving(authority.issue_cert(HOST, not_before=NOW + DAY)),
        "ERR_TLS_CERT_ALTNAME_INVALID": serving(authority.issue_cert("a.example")),
    }
    reasons = [Pair(client(ca), server).failure().reason for server in servers.values()]
    assert reasons == list(servers)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (2, "UNABLE_TO_GET_ISSUER_CERT"),
        (18, "DEPTH_ZERO_SELF_SIGNED_CERT"),
        (20, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
        (21, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        (23, "CERT_REVOKED"),
        (28, "CERT_REJECTED"),
        (64, "ERR_TLS_CERT_ALTNAME_INVALID"),
        (66, "UNSPECIFIED"),
        (0, "UNSPECIFIED"),
        (1, "UNSPECIFIED"),
    ],
)
def test_openssl_s_verdicts_in_node_s_words(code: int, reason: str) -> None:
    assert tls_error(verification_error(code, "whatever"), None, HOST).reason == reason


def test_other_reasons(ca: str) -> None:
    pair = Pair(client(ca), None)
    pair.to_client.write(b"220 mx.example.org ESMTP\r\n")
    # The newer OpenSSL, the more general.
    names = ("ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_RECORD_LAYER_FAILURE")
    assert pair.failure().reason in names
    assert tls_error(ConnectionResetError(), None, HOST).reason is None
    assert socket_error(OSError(errno.EPIPE, "x"), "Cannot").reason is None


@pytest.mark.parametrize(
    "banner",
    [
        b"220 mx.example.org ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"* OK IMAP4rev1\r\n",
        b"+OK POP3\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_a_server_that_does_not_speak_tls(banner: bytes, ca: str) -> None:
    pair = Pair(client(ca), None)
    pair.to_client.write(banner)
    error = pair.failure()
    assert isinstance(error.__cause__, ssl.SSLError)
    assert speaks_no_tls(error.__cause__)
    text = str(error)
    assert text.startswith(f"TLS with {HOST} failed: the server does not speak TLS here (")
    assert "_ssl.c" not in text


@pytest.mark.parametrize(("ours", "theirs"), [("TLSv1.3", "TLSv1.2"), ("TLSv1.2", "TLSv1.3")])
def test_no_version_in_common(authority: trustme.CA, ca: str, ours: str, theirs: str) -> None:
    server = serving(authority.issue_cert(HOST))
    server.minimum_version = server.maximum_version = ssl.TLSVersion[theirs.replace(".", "_")]
    error = Pair(client(ca, minVersion=ours, maxVersion=ours), server).failure()
    assert str(error) == (
        f"TLS with {HOST} failed: no TLS version suits both the server and this side "
        "(see 'minVersion', 'maxVersion') (tlsv1 alert protocol version)"
    )


def test_no_cipher_in_common(authority: trustme.CA, ca: str) -> None:
    server = serving(authority.issue_cert(HOST))
    server.set_ciphers("ECDHE+AES256+AESGCM")
    context = client(ca, maxVersion="TLSv1.2", ciphers="ECDHE+AES128+AESGCM")
    text = str(Pair(context, server).failure())
    assert "no cipher suits both the server and this side, or the server wants a client" in text


def test_a_server_that_wants_a_certificate(
    authority: trustme.CA, stranger: trustme.CA, ca: str
) -> None:
    server = asking(authority)
    text = str(Pair(client(ca), server).failure())
    assert "failed: the server wants a client certificate (see 'cert' and 'key') (" in text
    wrong = stranger.issue_cert("x@example.org").private_key_and_cert_chain_pem.bytes()
    text = str(Pair(client(ca, cert=wrong), server).failure())
    assert "failed: the server refused this side's certificate (see 'cert' and 'key') (" in text


def test_a_server_that_does_not_know_the_name(authority: trustme.CA, ca: str) -> None:
    server = serving(authority.issue_cert(HOST))
    server.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    assert "the server does not go by this name (see 'servername') (" in str(
        Pair(client(ca), server).failure()
    )


OP_IGNORE_UNEXPECTED_EOF = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
"""Has OpenSSL 3 take a stream that was cut off for one that was closed.  Contexts of Python up to
3.11.2 have it by default; before OpenSSL 3 there is no such option."""

CUT_OFF = ("(EOF occurred in violation of protocol)", "(unexpected eof while reading)")
"""What a cut is called without that option, the second up to Python 3.11.2."""


def test_a_server_that_hangs_up(ca: str) -> None:
    context = client(ca)
    context.options &= ~OP_IGNORE_UNEXPECTED_EOF
    pair = Pair(context, None)
    pair.to_client.write_eof()
    text = "the server closed the connection during the handshake"
    said = str(pair.failure())
    assert said.startswith(f"TLS with {HOST} failed: {text} (")
    assert said.endswith(CUT_OFF)
    early = ssl.SSLError(1, "[SSL] unexpected eof while reading (_ssl.c:1006)")
    early.reason = "UNEXPECTED_EOF_WHILE_READING"  # no SSLEOFError yet in the first of 3.10
    for exc in (
        early,
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:1006)"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF) (_ssl.c:1006)"),
        EOFError(),
    ):
        error = tls_error(exc, None, HOST)
        assert text in str(error)
        assert error.__cause__ is exc
    assert str(error).endswith(f"{text} (EOFError)")


@pytest.mark.skipif(not OP_IGNORE_UNEXPECTED_EOF, reason="this OpenSSL never ignores a cut")
def test_a_server_that_hangs_up_where_a_cut_is_ignored(ca: str) -> None:
    context = client(ca)
    context.options |= OP_IGNORE_UNEXPECTED_EOF
    pair = Pair(context, None)
    pair.to_client.write_eof()
    assert str(pair.failure()) == (
        f"TLS with {HOST} failed: the server closed the connection during the handshake "
        "(TLS/SSL connection has been closed (EOF))"
    )


def test_a_server_that_hangs_up_later(authority: trustme.CA, ca: str) -> None:
    context = client(ca)
    context.options &= ~OP_IGNORE_UNEXPECTED_EOF
    pair = Pair(context, serving(authority.issue_cert(HOST))).handshake()
    pair.to_client.write_eof()
    with pytest.raises(ssl.SSLError) as caught:
        pair.client.read(1)
    said = str(tls_error(caught.value, pair.client, HOST))
    assert said.startswith(f"TLS with {HOST} failed: the server closed the connection (")
    assert said.endswith(CUT_OFF)


@pytest.mark.parametrize(
    "exc",
    [
        OSError(113, "No route to host"),
        ssl.SSLError(1, "[SSL: INTERNAL_ERROR] No route to host (_ssl.c:1006)"),
        ValueError("No route to host"),
    ],
)
def test_anything_else(exc: Exception) -> None:
    assert str(tls_error(exc, None, HOST)) == f"TLS with {HOST} failed (No route to host)"
    assert not speaks_no_tls(exc)


def test_no_text_advises_to_look_away() -> None:
    for code in range(100):
        assert "rejectUnauthorized" not in str(tls_error(verification_error(code, "x"), None, HOST))
