"""STARTTLS, and what somebody in between may do about it: put words in, take words out."""

from __future__ import annotations

import ssl

import pytest

from tests.support.sessions import ENVELOPE, PASSWORD


@pytest.fixture
def trust(authority):
    """The ``tls`` options of a client that trusts the server."""
    return {"ca": authority.cert_pem.bytes()}


@pytest.fixture
def upgrade(server_context):
    """Play the server's side up to the second EHLO: ``upgrade(peer, before, after)``, with what is
    announced in clear text and over TLS."""

    def run(peer, before, after):
        peer.greet("STARTTLS", *before)
        peer.play("C: STARTTLS\nS: 220 go")
        peer.start_tls(server_context)
        peer.received = b""
        peer.expect("EHLO")
        peer.answer_ehlo(*after)

    return run


# -- words put in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoof", ["250 spoofed\r\n", "2", "421 spoofed\r\n", "\r\n", "\n", " \r\n"]
)
def test_clear_text_behind_the_reply_to_starttls_is_an_attack(by_hand, diary, spoof):
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 STARTTLS\r\n")
    assert peer.heard() == b"EHLO me\r\nSTARTTLS\r\n"
    peer.feed(f"220 go\r\n{spoof}")

    assert diary.names() == ["error", "connected", "end"]
    assert diary.error().code == "ETLS"
    assert peer.heard() == b""


def saying_in_clear_text(peer):
    peer.send("220 clear text\r\n")
    peer.expect_end()


def hanging_up(peer):
    peer.shut_write()
    peer.expect_end()


@pytest.mark.parametrize(
    "ending",
    [hanging_up, lambda peer: peer.reset(), saying_in_clear_text],
    ids=["FIN", "RST", "clear text"],
)
def test_a_broken_handshake_after_starttls(serve, connect_to, reactor, diary, ending):
    def script(peer):
        peer.greet("STARTTLS")
        peer.play("C: STARTTLS\nS: 220 go")
        ending(peer)

    connection = connect_to(serve(script))
    connection.connect(diary.callback("connected"))
    connection.reset(diary.callback("later"))
    reactor.run()

    assert diary.names() == ["error", "connected", "later", "end"]
    assert diary.error().code == "ETLS"
    assert not connection.secure


def test_what_is_announced_in_clear_text_does_not_hold_over_tls(
    serve, connect_to, reactor, diary, upgrade, trust
):
    """Neither the size limit, nor pipelining, nor the mechanism; nor does it upgrade twice."""

    def script(peer):
        before = ["PIPELINING", "SIZE 10", "8BITMIME", "AUTH PLAIN"]
        upgrade(peer, before, after=["STARTTLS", "SIZE 1000", "AUTH LOGIN"])
        peer.play("C= AUTH LOGIN\nS: 334\nC: \nS: 334\nC: \nS: 235 welcome")
        peer.take_message()
        peer.take_quit()

    connection = connect_to(serve(script), tls=trust)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    envelope = {**ENVELOPE, "size": 500, "use8BitMime": True}
    connection.send(envelope, "hi", diary.callback("sent"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "login", "sent", "end"]
    assert diary.of("login") == [(None, True)]
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.ehlo == ["STARTTLS", "SIZE 1000", "AUTH LOGIN"]
    assert "MAIL FROM:<a@example.com> SIZE=500" in diary.commands()


def test_a_login_that_is_only_offered_in_clear_text_is_not_tried_over_tls(
    serve, connect_to, reactor, diary, upgrade, trust
):
    def script(peer):
        upgrade(peer, before=["AUTH PLAIN LOGIN"], after=["8BITMIME"])
        peer.take_quit()

    server = serve(script)
    connection = connect_to(server, tls=trust)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    connection.quit()
    reactor.run()

    assert diary.error("login").code == "EAUTH"
    assert "announces none" in diary.error("login").message
    assert server.peers[0].received == f"EHLO {connection.name}\r\nQUIT\r\n".encode()


# -- words taken out -------------------------------------------------------------------------------


@pytest.mark.parametrize("instead", [[], ["XXXXXXXX"]], ids=["nothing", "crossed out"])
def test_require_tls_without_starttls_sends_nothing_after_ehlo(
    serve, connect_to, reactor, diary, instead
):
    def script(peer):
        peer.greet("AUTH PLAIN", *instead, "SIZE 1000")
        assert peer.expect_end() == b""

    server = serve(script)
    connection = connect_to(server, requireTLS=True)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    connection.send(ENVELOPE, "hello", diary.callback("send"))
    reactor.run()

    assert diary.error().code == "ETLS"
    assert "the server does not offer it" in str(diary.error())
    assert [diary.error(name).code for name in ("login", "send")] == ["ETLS", "ETLS"]
    assert server.peers[0].received == f"EHLO {connection.name}\r\n".encode()


@pytest.fixture
def old_context(authority):
    """A server that knows nothing later than TLS 1.1."""
    if not ssl.HAS_TLSv1_1:
        pytest.skip("this OpenSSL has no TLS 1.1 to speak")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_less_than_tls_1_2_has_to_be_asked_for(
    serve, connect_to, reactor, diary, old_context, trust
):
    def refused(peer):
        peer.greet("STARTTLS")
        peer.play("C: STARTTLS\nS: 220 go")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            peer.start_tls(old_context)

    def asked_for(peer):
        peer.greet("STARTTLS")
        peer.play("C: STARTTLS\nS: 220 go")
        peer.start_tls(old_context)
        assert peer.sock.version() == "TLSv1.1"
        peer.expect("EHLO")
        peer.answer_ehlo()
        peer.take_quit()

    # By its own policy, too, OpenSSL would refuse what is so weak.
    default = {**trust, "ciphers": "ALL:@SECLEVEL=0"}
    server = serve(refused, asked_for)
    for options in (default, {**default, "minVersion": "TLSv1.1"}):
        connection = connect_to(server, tls=options)
        connection.connect()
        connection.quit()
        reactor.run()

    assert diary.names() == ["error", "end", "connect", "end"]
    assert diary.error().code == "ETLS"
    assert "no TLS version suits both" in diary.error().message


# -- what the client itself cannot use -------------------------------------------------------------


@pytest.fixture(params=["missing", "no certificate"])
def unusable_ca(request, tmp_path):
    path = tmp_path / "ca.pem"
    if request.param != "missing":
        path.write_text("nothing of the kind")
    return str(path)


@pytest.mark.parametrize("secure", [False, True])
def test_an_unusable_ca_ends_the_connection_before_the_handshake(
    by_hand, diary, unusable_ca, secure
):
    connection, peer = by_hand(secure=secure, tls={"ca": unusable_ca})
    connection.connect(diary.callback("connected"))
    if secure:
        peer.settle()
    else:
        peer.feed("220 ready\r\n")
        peer.feed("250-scripted\r\n250 STARTTLS\r\n")
        assert peer.heard() == b"EHLO me\r\nSTARTTLS\r\n"
        peer.feed("220 go\r\n")

    assert peer.heard() == b""
    assert diary.names() == ["error", "connected", "end"]
    error = diary.error()
    assert (error.code, error.command) == ("ETLS", "CONN")
    assert str(error).startswith(f"tls option 'ca' (file {unusable_ca!r}) cannot be used: ")
    assert isinstance(error.__cause__, OSError)
