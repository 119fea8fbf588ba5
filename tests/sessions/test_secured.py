"""A TLS socket that is handed over before its handshake: the connection makes it."""

from __future__ import annotations

import socket
import ssl

import pytest

from smtp_connection import SMTPConnection


@pytest.fixture
def trusting(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
def hand_over(serve, connect_to, reactor, diary, trusting):
    """Hand a socket over that has no handshake yet, and run ``script``."""

    def run(script, *, name="127.0.0.1", option="connection", connected=True, **options):
        server = serve(script)
        plain = socket.socket()
        if connected:
            plain.connect((server.host, server.port))
        own = trusting.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        connection = connect_to(server, secured=True, **{option: own}, **options)
        assert not connection.secure
        diary.secure = []
        connection.on("connect", lambda: diary.secure.append(connection.secure))
        connection.connect(diary.callback("connected"))
        connection.quit()
        reactor.run()
        assert own.fileno() == -1
        return connection

    return run


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(
    ("option", "connected"), [("connection", True), ("socket", True), ("socket", False)]
)
def test_the_connection_makes_the_handshake(
    hand_over, server_context, diary, option, connected, secure
):
    def script(peer):
        peer.start_tls(server_context)
        peer.greet()
        peer.take_quit()

    hand_over(script, option=option, connected=connected, secure=secure)
    assert diary.names() == ["connect", "connected", "end"]
    assert diary.secure == [True]


def test_it_is_not_secure_before_the_handshake(reactor, trusting):
    ours, theirs = socket.socketpair()
    with theirs:
        own = trusting.wrap_socket(ours, server_hostname="mx.test", do_handshake_on_connect=False)
        connection = SMTPConnection({"connection": own, "secured": True}, reactor=reactor)
        connection.connect()
        reactor.run_once(0)
        assert theirs.recv(1) == b"\x16"  # TLS: a record of a handshake
        assert connection.stage == "init"
        assert not connection.secure
        connection.close()
        reactor.run()
        assert own.fileno() == -1


def test_a_certificate_for_another_name_is_etls(hand_over, server_context, diary):
    def script(peer):
        with pytest.raises((ssl.SSLError, OSError)):
            peer.start_tls(server_context)

    connection = hand_over(script, name="mx.example.com")
    assert diary.names() == ["error", "connected", "end"]
    assert diary.error().code == "ETLS"
    assert not connection.secure


def test_clear_text_instead_of_a_handshake_is_etls(hand_over, diary):
    def script(peer):
        peer.send("220 mx ESMTP\r\n")
        peer.expect_end()

    hand_over(script)
    err = diary.error()
    assert err.code == "ETLS"
    assert str(err) == (
        "TLS with 127.0.0.1 failed: the server does not speak TLS here (wrong version number)"
    )


def test_a_handshake_that_hangs_is_bounded_by_connection_timeout(hand_over, diary):
    hand_over(lambda peer: peer.expect_end(), connectionTimeout=50)
    err = diary.error()
    assert err.code == "ETIMEDOUT"
    assert "50 ms" in str(err)
