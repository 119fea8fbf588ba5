"""Against a real server: aiosmtpd on a thread of its own, with real TLS, AUTH and LMTP."""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import trustme
from aiosmtpd.lmtp import LMTP

from smtp_connection import SMTPConnection
from tests.support.mail_server import LOGIN, Running, context_of, mail_server

ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}


@pytest.fixture(scope="module")
def tls_context(authority) -> ssl.SSLContext:
    """For a server with a certificate for the loopback addresses."""
    return context_of(authority.issue_cert("127.0.0.1", "::1"))


@pytest.fixture(scope="module")
def trust(authority) -> dict[str, Any]:
    """The ``tls`` options of a client that trusts the server."""
    return {"ca": authority.cert_pem.bytes()}


@pytest.fixture
def serve_mail() -> Iterator[Callable[..., Running]]:
    """Start servers: ``serve_mail(tls_context=..., ...)``, as ``mail_server`` has it."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(mail_server(*args, **options))


@pytest.fixture
def deliver(connect_to, reactor, diary) -> Callable[..., SMTPConnection]:
    """Connect, log in where there are credentials, send one message, quit; keep the diary."""

    def run(
        server: Running,
        *,
        envelope: Any = ENVELOPE,
        message: Any = "Subject: hi\n\nhello",
        auth: Any = None,
        **options: Any,
    ) -> SMTPConnection:
        connection = connect_to(server, **options)
        connection.connect(lambda: diary.entries.append(("secure", connection.secure)))
        if auth is not None:
            connection.login(auth, diary.callback("login"))
        connection.send(envelope, message, diary.callback("send"))
        connection.quit()
        reactor.run()
        return connection

    return run


def delivered(server: Running, diary: Any, secure: bool) -> Any:
    """Check that all went well, and return the envelope that arrived."""
    assert diary.of("error") == []
    assert diary.of("secure") == [(secure,)]
    ((err, info),) = diary.of("send")
    assert err is None
    assert info.rejected == []
    assert diary.names()[-1] == "end"
    (envelope,) = server.mailbox.envelopes
    assert envelope.rcpt_tos == info.accepted
    return envelope


# -- the ways to speak to a server ----------------------------------------------------------------


def test_clear_text(serve_mail, deliver, diary):
    server = serve_mail()
    deliver(server)
    envelope = delivered(server, diary, secure=False)
    assert envelope.mail_from == "a@example.com"
    assert envelope.rcpt_tos == ["b@example.com"]
    assert envelope.content == b"Subject: hi\r\n\r\nhello\r\n"


def test_starttls(serve_mail, deliver, diary, tls_context, trust):
    server = serve_mail(tls_context=tls_context, require_starttls=True)
    deliver(server, tls=trust)
    delivered(server, diary, secure=True)
    greetings = [command for command in diary.commands() if command.startswith("EHLO")]
    assert diary.commands()[:3] == [greetings[0], "STARTTLS", greetings[1]]


def test_tls_from_the_first_byte(serve_mail, deliver, diary, tls_context, trust):
    server = serve_mail(tls=tls_context)
    deliver(server, secure=True, tls=trust)
    delivered(server, diary, secure=True)
    assert "STARTTLS" not in diary.commands()


def test_starttls_can_be_ignored(serve_mail, deliver, diary, tls_context):
    server = serve_mail(tls_context=tls_context)
    deliver(server, ignoreTLS=True)
    delivered(server, diary, secure=False)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("encrypted", [True, False], ids=["over TLS", "in clear text"])
def test_login(serve_mail, deliver, diary, tls_context, trust, mechanism, encrypted):
    secured = {"tls_context": tls_context} if encrypted else {"auth_require_tls": False}
    server = serve_mail(auth_required=encrypted, **secured)
    connection = deliver(server, auth=LOGIN, authMethod=mechanism.lower(), tls=trust)
    delivered(server, diary, secure=encrypted)
    assert diary.of("login") == [(None, True)]
    assert connection.authenticated
    user, password = LOGIN["user"].encode(), LOGIN["pass"].encode()
    assert server.mailbox.logins == [(mechanism, user, password)]


def test_a_refused_login_and_then_the_right_one(serve_mail, connect_to, reactor, diary):
    server = serve_mail(auth_require_tls=False)
    connection = connect_to(server)
    connection.connect()
    connection.login({**LOGIN, "pass": "wrong"}, diary.callback("first"))
    connection.login(LOGIN, diary.callback("second"))
    connection.quit()
    reactor.run()

    err = diary.error("first")
    assert (err.code, err.responseCode, err.command) == ("EAUTH", 535, "AUTH PLAIN")
    assert diary.of("second") == [(None, True)]


def test_the_message_arrives_byte_for_byte(serve_mail, deliver, diary):
    server = serve_mail()
    content = b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\nlast line, without a break."
    deliver(server, message=content)
    assert delivered(server, diary, secure=False).content == content + b"\r\n"


def test_several_recipients_one_of_them_refused(serve_mail, deliver, diary):
    server = serve_mail()
    server.mailbox.refused = {"nobody@example.com"}
    to = ["b@example.com", "nobody@example.com", {"name": "C", "address": "c@example.com"}]
    deliver(server, envelope={"from": "a@example.com", "to": to})

    ((err, info),) = diary.of("send")
    assert err is None
    assert info.accepted == ["b@example.com", "c@example.com"]
    assert info.rejected == ["nobody@example.com"]
    assert [error.responseCode for error in info.rejectedErrors] == [550]
    (envelope,) = server.mailbox.envelopes
    assert envelope.rcpt_tos == info.accepted


def test_all_recipients_refused_and_then_another_message(serve_mail, connect_to, reactor, diary):
    server = serve_mail()
    server.mailbox.refused = {"nobody@example.com"}
    connection = connect_to(server)
    connection.connect()
    refused = {"from": "a@example.com", "to": "nobody@example.com"}
    connection.send(refused, "first", diary.callback("first"))
    connection.send(ENVELOPE, "second", diary.callback("second"))
    connection.quit()
    reactor.run()

    err = diary.error("first")
    assert (err.code, err.responseCode) == ("EENVELOPE", 550)
    assert err.rejected == ["nobody@example.com"]
    ((err, _),) = diary.of("second")
    assert err is None
    assert [envelope.content for envelope in server.mailbox.envelopes] == [b"second\r\n"]


def test_addresses_that_are_not_ascii(serve_mail, deliver, diary):
    server = serve_mail()
    recipient = "j\u00f6rg@b\u00fccher.example"
    deliver(server, envelope={"from": "a@example.com", "to": recipient})
    envelope = delivered(server, diary, secure=False)
    assert envelope.rcpt_tos == [recipient]
    assert envelope.smtp_utf8


def test_lmtp_judges_each_recipient(serve_mail, deliver, diary):
    server = serve_mail(LMTP)
    server.mailbox.replies = ["250 2.0.0 stored", "452 4.2.2 mailbox full"]
    deliver(server, lmtp=True, envelope={"from": "a@example.com", "to": ["b@x.org", "c@x.org"]})

    ((err, info),) = diary.of("send")
    assert err is None
    assert info.accepted == ["b@x.org"]
    assert info.rejected == ["c@x.org"]
    assert [error.responseCode for error in info.rejectedErrors] == [452]
    assert diary.commands()[0].startswith("LHLO ")


def test_ipv6(serve_mail, deliver, diary, tls_context, trust, ipv6):
    server = serve_mail(host=ipv6, tls_context=tls_context)
    deliver(server, tls=trust)
    delivered(server, diary, secure=True)
    assert server.mailbox.sessions[0].peer[0] == ipv6


def test_local_address(serve_mail, deliver, diary):
    server = serve_mail()
    deliver(server, localAddress="127.0.0.2")
    delivered(server, diary, secure=False)
    assert server.mailbox.sessions[0].peer[0] == "127.0.0.2"


# -- certificates ---------------------------------------------------------------------------------


@pytest.fixture(params=["STARTTLS", "TLS from the first byte"])
def serve_certificate(request, serve_mail) -> Callable[[Any], tuple[Running, dict[str, Any]]]:
    """Start a server with a certificate; return it, and the options that its clients need."""

    def start(certificate: trustme.LeafCert) -> tuple[Running, dict[str, Any]]:
        context = context_of(certificate)
        if request.param == "STARTTLS":
            return serve_mail(tls_context=context), {}
        return serve_mail(tls=context), {"secure": True}

    return start


def expired(authority: trustme.CA) -> trustme.LeafCert:
    now = datetime.now(timezone.utc)
    return authority.issue_cert(
        "127.0.0.1", not_before=now - timedelta(days=30), not_after=now - timedelta(days=1)
    )


@pytest.mark.parametrize(
    ("issue", "says"),
    [
        (lambda ca: trustme.CA().issue_cert("127.0.0.1"), "issued by an unknown authority"),
        (lambda ca: ca.issue_cert("mx.example.org"), "is for another name: mx.example.org"),
        (expired, "the server's certificate expired on"),
    ],
    ids=["unknown authority", "wrong name", "expired"],
)
def test_a_certificate_that_cannot_be_trusted(
    serve_certificate, deliver, diary, authority, trust, issue, says
):
    server, options = serve_certificate(issue(authority))
    connection = deliver(server, tls=trust, auth=LOGIN, **options)

    err = diary.error()
    assert err.code == "ETLS"
    assert says in str(err)
    assert "127.0.0.1" in str(err)
    assert isinstance(err.__cause__, ssl.SSLCertVerificationError)
    # Each callback once, with the error; and nothing in clear text after that.
    assert [entry[0].code for entry in diary.of("login") + diary.of("send")] == ["ETLS"] * 2
    assert diary.names()[-1] == "end"
    assert not connection.secure
    assert [command for command in diary.commands() if not command.startswith("EHLO")] in (
        [],
        ["STARTTLS"],
    )
    assert server.mailbox.logins == server.mailbox.envelopes == []


def test_without_verification_any_certificate_will_do(serve_certificate, deliver, diary):
    server, options = serve_certificate(expired(trustme.CA()))
    deliver(server, tls={"rejectUnauthorized": False}, **options)
    delivered(server, diary, secure=True)


def test_the_certificate_may_be_for_the_name_in_servername(
    serve_certificate, deliver, diary, authority, trust
):
    server, options = serve_certificate(authority.issue_cert("mx.example.org"))
    deliver(server, tls=trust, servername="mx.example.org", **options)
    delivered(server, diary, secure=True)


def test_the_server_is_told_the_name(serve_mail, deliver, diary, authority, trust):
    asked = []
    context = context_of(authority.issue_cert("mx.example.org"))
    context.sni_callback = lambda sock, name, context: asked.append(name)
    deliver(serve_mail(tls_context=context), tls={**trust, "servername": "mx.example.org"})
    assert asked == ["mx.example.org"]
    assert diary.of("error") == []


def mutual(authority: trustme.CA) -> ssl.SSLContext:
    context = context_of(authority.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


def test_a_certificate_of_the_client(serve_mail, deliver, diary, authority, trust, tmp_path):
    own = authority.issue_cert("client.example.com")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    chain = b"".join(pem.bytes() for pem in own.cert_chain_pems)
    server = serve_mail(tls=mutual(authority))
    deliver(server, secure=True, tls={**trust, "cert": chain, "key": tmp_path / "key.pem"})

    delivered(server, diary, secure=True)
    (certificate,) = server.mailbox.certificates
    assert certificate["subjectAltName"] == (("DNS", "client.example.com"),)


def test_a_certificate_of_the_client_that_is_missing(serve, deliver, diary, authority, trust):
    # Not aiosmtpd: asyncio hangs up without the alert that says what was wrong.
    def script(peer):
        with pytest.raises(ssl.SSLError, match="did not return a certificate"):
            peer.start_tls(mutual(authority))

    deliver(serve(script), secure=True, tls=trust)
    assert diary.error().code == "ETLS"
    assert "the server wants a client certificate" in str(diary.error())
    assert diary.error("send").code == "ETLS"


def test_require_tls_without_starttls_delivers_nothing(serve_mail, deliver, diary):
    server = serve_mail(auth_require_tls=False)
    deliver(server, requireTLS=True, auth=LOGIN)
    assert diary.error().code == "ETLS"
    assert server.mailbox.logins == server.mailbox.envelopes == []


# -- sockets of the caller ------------------------------------------------------------------------


def connected_to(server: Running) -> socket.socket:
    return socket.create_connection((server.host, server.port))


def test_an_unconnected_socket_is_connected(serve_mail, deliver, diary):
    server = serve_mail()
    own = socket.socket()
    own.bind(("127.0.0.3", 0))
    deliver(server, socket=own)
    delivered(server, diary, secure=False)
    assert server.mailbox.sessions[0].peer[0] == "127.0.0.3"
    assert own.fileno() == -1


@pytest.mark.parametrize("option", ["socket", "connection"])
def test_a_connected_socket_is_used_as_it_is(serve_mail, deliver, diary, option):
    server = serve_mail()
    own = connected_to(server)
    address = own.getsockname()
    # The address in the options is nobody's: what counts is the socket.
    deliver(server._replace(host="192.0.2.1"), **{option: own})
    delivered(server, diary, secure=False)
    assert server.mailbox.sessions[0].peer == address


@pytest.mark.parametrize("option", ["socket", "connection"])
def test_a_connected_socket_is_upgraded_first(
    serve_mail, deliver, diary, tls_context, trust, option
):
    server = serve_mail(tls=tls_context)
    deliver(server, secure=True, tls=trust, **{option: connected_to(server)})
    delivered(server, diary, secure=True)


def test_a_connected_socket_can_be_upgraded_by_starttls(
    serve_mail, deliver, diary, tls_context, trust
):
    server = serve_mail(tls_context=tls_context)
    deliver(server, connection=connected_to(server), tls=trust)
    delivered(server, diary, secure=True)


@pytest.mark.parametrize("option", ["socket", "connection"])
@pytest.mark.parametrize("secure", [True, None])
def test_a_socket_that_speaks_tls_already(
    serve_mail, deliver, diary, tls_context, authority, option, secure
):
    server = serve_mail(tls=tls_context)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    own = context.wrap_socket(connected_to(server), server_hostname="127.0.0.1")
    deliver(server, secured=True, secure=secure, **{option: own})
    delivered(server, diary, secure=True)
    assert "STARTTLS" not in diary.commands()


class InstantTLS(ssl.SSLSocket):
    """Finishes its handshake in one call, and by then the server's greeting is there as well."""

    def do_handshake(self, block: bool = False) -> None:
        self.setblocking(True)
        super().do_handshake(block)
        select.select([self], [], [])
        self.setblocking(False)


def test_a_greeting_does_not_overtake_the_handshake(
    serve_mail, deliver, diary, tls_context, authority
):
    server = serve_mail(tls=tls_context)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = InstantTLS
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 sends tickets before the greeting
    authority.configure_trust(context)
    deliver(server, secure=True, tls={"context": context}, connection=connected_to(server))
    delivered(server, diary, secure=True)


# -- large messages, slow sources -----------------------------------------------------------------

_LINE = b"0123456789abcdef" * 4 + b"\r\n"
_BLOCK = _LINE * 4000
_SIZE = 200_000_000

_CLIENT = f"""
import sys
from smtp_connection import SMTPConnection, run

def peak():
    # Not ru_maxrss, which a process inherits from the one that has started it.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

class Large:
    left = {_SIZE}
    block = {_LINE!r} * {len(_BLOCK) // len(_LINE)}
    position = 0

    def read(self, n):
        piece = self.block[self.position : self.position + min(n, self.left)]
        self.left -= len(piece)
        self.position = (self.position + len(piece)) % len(self.block)
        return piece

def sent(err, info):
    if err:
        raise err
    print(peak() - before, info.messageSize)
    connection.quit()

connection = SMTPConnection({{"host": "127.0.0.1", "port": int(sys.argv[1])}})
before = peak()
connection.connect(lambda: connection.send({ENVELOPE!r}, Large(), sent))
run()
"""


def test_a_large_message_takes_little_memory(serve):
    """The server reads slowly: small pieces, from a small buffer."""

    def script(peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        peer.greet()
        peer.expect("MAIL")
        peer.send("250 ok\r\n")
        peer.expect("RCPT")
        peer.send("250 ok\r\n")
        peer.expect("DATA")
        peer.send("354 go ahead\r\n")
        checksum, size, end = 0, 0, b""
        while not end.endswith(b"\r\n.\r\n"):
            piece = peer.sock.recv(8192)
            assert piece, "the client hung up"
            checksum = zlib.crc32(piece, checksum)
            size += len(piece)
            end = (end + piece)[-5:]
        received.append((size, checksum))
        peer.send("250 stored\r\n")
        peer.take_quit()

    received: list[tuple[int, int]] = []
    server = serve(script)
    command = [sys.executable, "-c", _CLIENT, str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    growth, size = map(int, done.stdout.split())
    checksum, left = 0, _SIZE
    while left:
        checksum = zlib.crc32(_BLOCK[:left], checksum)
        left -= min(left, len(_BLOCK))
    ending = b"\r\n.\r\n" if _SIZE % len(_LINE) else b".\r\n"
    assert received == [(_SIZE + len(ending), zlib.crc32(ending, checksum))]
    assert size == _SIZE + len(ending)
    assert growth < 8_000_000


def test_a_pipe_that_nobody_writes_to_holds_nobody_up(serve_mail, connect_to, reactor, diary):
    server = serve_mail()
    waiting = connect_to(server)
    other = connect_to(server)

    def sent(err, info):
        diary.entries.append(("other", err, info))
        other.quit()
        waiting.close()

    receiver, sender = os.pipe()
    with open(receiver, "rb") as pipe, open(sender, "wb"):
        waiting.connect()
        waiting.send(ENVELOPE, pipe, diary.callback("waiting"))
        # Only once the one before has begun to wait.
        waiting.once("connect", lambda: other.connect())
        other.once("connect", lambda: other.send(ENVELOPE, "hello", sent))
        reactor.run()

    ((err, _),) = diary.of("other")
    assert err is None
    assert diary.error("waiting").code == "ECONNECTION"
    assert diary.names().index("other") < diary.names().index("waiting")
    assert [envelope.content for envelope in server.mailbox.envelopes] == [b"hello\r\n"]
