"""The commonest mistake, the wrong mode for a port: the error says what was seen."""

from __future__ import annotations

import errno
import select
import socket
import ssl

import pytest

from smtp_connection import SMTPConnection, SMTPError
from smtp_connection.net.connector import Connector
from smtp_connection.protocol.hints import about_banner, about_black_hole, about_silence, about_tls


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("right.example", "other.example").configure_cert(context)
    return context


def failure(connection, reactor, diary):
    connection.connect(diary.callback("connect callback"))
    reactor.run()
    assert diary.names() == ["error", "connect callback", "end"]
    assert diary.error("connect callback") is diary.error()
    return diary.error()


@pytest.fixture
def connect_when_it_has_spoken(serve, connect_to):
    """Connect with ``secure`` to a server that says something at once, once it has done so.

    Without that, the TLS layer may swallow the first bytes before anybody has looked at them.
    """

    def connect(first_words):
        def script(peer):
            peer.send(first_words)
            peer.expect_end()

        server = serve(script)
        sock = socket.create_connection((server.host, server.port))
        select.select([sock], [], [], 20)
        return connect_to(server, secure=True, connection=sock)

    return connect


def test_a_greeting_in_clear_text_where_tls_was_expected(serve, connect_to, reactor, diary):
    def script(peer):
        peer.send("220 mx.example.com ESMTP\r\n")
        peer.expect_end()

    error = failure(connect_to(serve(script), secure=True), reactor, diary)
    assert error.code == "ETLS"
    assert "it speaks in clear text here: try secure: False, which uses STARTTLS" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        "421 You talk too soon\r\n",
        "554 5.5.0 Error: SMTP protocol synchronization\r\n",
        "220-x\r\n",
    ],
)
def test_another_reply_where_tls_was_expected(connect_when_it_has_spoken, reactor, diary, reply):
    error = failure(connect_when_it_has_spoken(reply), reactor, diary)
    assert error.code == "ETLS"
    assert "it speaks in clear text here: try secure: False" in str(error)


def test_silence_where_a_greeting_was_expected(serve, connect_to, reactor, diary):
    error = failure(
        connect_to(serve(lambda peer: peer.expect_end()), greetingTimeout=50), reactor, diary
    )
    assert error.code == "ETIMEDOUT"
    assert str(error).startswith("Greeting never received in 50 ms")
    assert "try secure: True" in str(error)


def test_silence_after_the_tls_handshake(
    serve, connect_to, reactor, diary, authority, server_context
):
    def script(peer):
        peer.start_tls(server_context)
        peer.expect_end()

    connection = connect_to(
        serve(script),
        secure=True,
        servername="right.example",
        greetingTimeout=50,
        tls={"ca": authority.cert_pem.bytes()},
    )
    error = failure(connection, reactor, diary)
    assert error.code == "ETIMEDOUT"
    assert f"check that there is an SMTP server behind port {connection.port}" in str(error)
    assert "secure: True" not in str(error)


@pytest.mark.parametrize("how", ["alert", "alert and line feed", "close"])
def test_a_tls_server_where_a_greeting_was_expected(serve, connect_to, reactor, diary, how):
    def script(peer):
        if how != "close":
            peer.send(b"\x15\x03\x01\x00\x02\x02" + (b"\n" if "feed" in how else b"\x28"))
        peer.close()

    error = failure(connect_to(serve(script)), reactor, diary)
    assert error.code == ("EPROTOCOL" if "feed" in how else "ECONNECTION")
    assert "try secure: True" in str(error)


BANNERS = pytest.mark.parametrize(
    ("banner", "protocol"),
    [
        ("HTTP/1.1 400 Bad Request", "HTTP"),
        ("<html><head>", "HTTP"),
        ("SSH-2.0-OpenSSH_9.6", "SSH"),
        ("* OK [CAPABILITY IMAP4rev1] ready", "IMAP"),
        ("* BYE too many", "IMAP"),
        ("+OK POP3 ready", "POP3"),
        ("-ERR busy", "POP3"),
    ],
)


@BANNERS
def test_the_banner_of_another_protocol(serve, connect_to, reactor, diary, banner, protocol):
    def script(peer):
        peer.send(f"{banner}\r\n")
        peer.expect_end()

    error = failure(connect_to(serve(script)), reactor, diary)
    assert (error.code, error.response) == ("EPROTOCOL", banner)
    assert f" {protocol} server: check host and port" in str(error)


@BANNERS
def test_the_banner_of_another_protocol_where_tls_was_expected(
    connect_when_it_has_spoken, reactor, diary, banner, protocol
):
    error = failure(connect_when_it_has_spoken(f"{banner}\r\n"), reactor, diary)
    assert error.code == "ETLS"
    assert f" {protocol} server: check host and port" in str(error)


def test_a_certificate_for_another_name(
    serve, connect_to, reactor, diary, authority, server_context
):
    def script(peer):
        with pytest.raises(ssl.SSLError):
            peer.start_tls(server_context)

    connection = connect_to(
        serve(script), secure=True, tls={"ca": authority.cert_pem.bytes()}, servername="wrong.test"
    )
    error = failure(connection, reactor, diary)
    assert error.code == "ETLS"
    assert "for another name: right.example, other.example" in str(error)


def test_there_is_no_hint_where_there_is_none_to_give(reactor, diary):
    assert about_banner("554 go away") == ""
    assert about_tls(b"*** hello") == ""
    assert about_silence(465, over_tls=True) == "check that there is an SMTP server behind port 465"


def test_bytes_that_nobody_saw_were_clear_text_all_the_same():
    assert about_tls(b"") == about_tls(b"220 mx.example.com")


def test_a_black_hole():
    assert about_black_hole(25) == (
        "many providers block port 25 to the outside: try port 587 or 465"
    )
    assert "block port 25, less often 465 and 587" in about_black_hole(2525)


@pytest.mark.parametrize(
    ("cause", "hinted"), [(OSError(errno.ETIMEDOUT, "timed out"), True), (None, False)]
)
def test_only_the_system_s_own_time_out_is_a_black_hole(reactor, diary, monkeypatch, cause, hinted):
    """That of a look-up is not the port's fault."""
    failing = SMTPError("Cannot connect", code="ETIMEDOUT", command="CONN")
    failing.__cause__ = cause

    def start(connector, *_):
        connector._finish(None, failing)

    monkeypatch.setattr(Connector, "start", start)
    connection = SMTPConnection(host="mx.example.com", port=25, reactor=reactor)
    diary.listen(connection)
    error = failure(connection, reactor, diary)
    assert ("block port 25" in str(error)) is hinted


def test_the_hint_is_in_the_text_once(serve, reactor, diary):
    # A socket that is handed over connected, to a server that hangs up at once.
    near, far = socket.socketpair()
    far.close()
    connection = SMTPConnection(connection=near, reactor=reactor)
    diary.listen(connection)
    error = failure(connection, reactor, diary)
    assert str(error).count("secure: True") == 1
