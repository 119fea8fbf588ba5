"""The server ends the session, or only its half of it: while nothing is pending, while it is the
client's turn, and all of that over TLS and with LMTP; test_failures.py has the other points."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import Future

import pytest
from pyee import EventEmitter

from tests.support.helpers import check_error_of_another
from tests.support.mail_server import context_of
from tests.support.sessions import ENVELOPE, PASSWORD

SENT = "C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354\nC: hi\nC: .\nS: 250 2.0.0 queued"


@pytest.fixture(scope="module")
def server_tls(authority):
    return context_of(authority.issue_cert("127.0.0.1"))


@pytest.fixture
def trust(authority):
    """The option ``tls`` for a server with ``server_tls``."""
    return {"ca": authority.cert_pem.bytes()}


# -- how a server can end a session ----------------------------------------------------------------


def says_421(peer):
    """Say so, and leave the rest to the client."""
    peer.send("421-4.4.2 idle for too long\r\n421 4.4.2 bye\r\n")
    peer.expect_end()


def says_421_in_pieces(peer):
    peer.send_split("421 4.4.2 bye\r\n")
    peer.expect_end()


def closes_its_half(peer):
    """Send FIN; over TLS without announcing the end, as many servers do."""
    socket.socket.shutdown(peer.sock, socket.SHUT_WR)
    waits_for_the_client(peer)


def closes_tls_in_good_order(peer):
    """Send close_notify, take the client's, and hang up."""
    try:
        peer.sock.unwrap()
    except OSError:
        pass  # the client has hung up without one


def goes_on_in_clear_text(peer):
    """Say why below TLS, as Exim does after its time-out."""
    socket.socket.sendall(peer.sock, b"421 mx.example.com: SMTP command timeout\r\n")
    closes_its_half(peer)


def waits_for_the_client(peer):
    """Wait until it hangs up, whatever it says until then, below TLS."""
    try:
        while socket.socket.recv(peer.sock, 65536):
            pass
    except ConnectionError:
        pass


def says_421_and_closes_its_half(peer):
    peer.send("421 4.4.2 bye\r\n")
    closes_its_half(peer)


def resets(peer):
    peer.reset()


ENDINGS = {
    "421": says_421,
    "421 in pieces": says_421_in_pieces,
    "FIN": closes_its_half,
    "421 and FIN": says_421_and_closes_its_half,
    "RST": resets,
}
OVER_TLS = {
    **ENDINGS,
    "close_notify": closes_tls_in_good_order,
    "clear text": goes_on_in_clear_text,
}


# -- nothing is pending: only 'end' ----------------------------------------------------------------


@pytest.fixture
def end_while_idle(serve, connect_to, reactor, diary):
    """Let the server play a part and end the session, while the client is idle after a call;
    return the connection: ``end_while_idle(part, call, ending, ...)``."""

    def run(part, call, ending, **options):
        idle = threading.Event()

        def script(peer):
            part(peer)
            assert idle.wait(10)
            ending(peer)

        connection = connect_to(serve(script), **options)
        connection.connect(lambda: call(connection, lambda err, result: idle.set()))
        reactor.run()
        assert diary.names() == ["connect", "end"]
        assert connection.destroyed
        assert not connection.secure
        return connection

    return run


CALLS = {
    "connect": ("", lambda connection, callback: callback(None, None)),
    "login": (
        "C: AUTH PLAIN\nS: 235",
        lambda connection, callback: connection.login(PASSWORD, callback),
    ),
    "send": (SENT, lambda connection, callback: connection.send(ENVELOPE, "hi", callback)),
    "reset": ("C: RSET\nS: 250", lambda connection, callback: connection.reset(callback)),
}
after_each_call = pytest.mark.parametrize(("transcript", "call"), CALLS.values(), ids=CALLS)


@after_each_call
@pytest.mark.parametrize("ending", OVER_TLS.values(), ids=OVER_TLS)
@pytest.mark.parametrize("mode", ["STARTTLS", "secure"])
def test_idle_over_tls(end_while_idle, server_tls, trust, mode, transcript, call, ending):
    def part(peer):
        if mode == "STARTTLS":
            peer.greet("STARTTLS")
            peer.play("C: STARTTLS\nS: 220 go")
            peer.start_tls(server_tls)
            peer.expect("EHLO")
            peer.answer_ehlo("AUTH PLAIN")
        else:
            peer.start_tls(server_tls)
            peer.greet("AUTH PLAIN")
        peer.play(transcript)

    end_while_idle(part, call, ending, secure=mode == "secure", tls=trust)


@after_each_call
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_idle_with_lmtp(end_while_idle, transcript, call, ending):
    def part(peer):
        peer.greet("AUTH PLAIN", verb="LHLO")
        peer.play(transcript)

    end_while_idle(part, call, ending, lmtp=True)


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_idle_after_helo(end_while_idle, ending):
    def part(peer):
        peer.play("S: 220 old\nC: EHLO\nS: 502 what?\nC: HELO\nS: 250 hello")

    end_while_idle(part, CALLS["connect"][1], ending)


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_what_is_asked_for_after_the_end(end_while_idle, reactor, diary, ending):
    """It fails at once, and does not bring ``'end'`` about again."""
    connection = end_while_idle(lambda peer: peer.greet(), CALLS["connect"][1], ending)
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.login(PASSWORD, diary.callback("login"))
    connection.reset(diary.callback("reset"))
    connection.quit()
    connection.close()
    reactor.run()

    assert diary.names() == ["connect", "end", "sent", "login", "reset"]
    for name in ("sent", "login", "reset"):
        assert (diary.error(name).code, diary.error(name).command) == ("ECONNECTION", "API")


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_an_idle_end_needs_no_listener(end_while_idle, ending):
    end_while_idle(lambda peer: peer.greet(), CALLS["connect"][1], ending, errors=False)


def test_after_an_idle_421_we_close_our_half(by_hand, diary):
    """Not the server, which may wait for that, has to hang up first."""
    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    peer.heard()
    peer.feed("421 bye\r\n")

    assert diary.names() == ["connect", "end"]
    assert peer.sock.recv(1) == b""
    assert connection.lastServerResponse == "421 bye"
    peer.hang_up()


def test_a_server_that_never_closes_its_half_after_a_421_is_not_waited_for(
    by_hand, diary, reactor, movable_clock
):
    connection, peer = by_hand(socketCloseTimeout=5000)
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    peer.feed("421 bye\r\n")
    assert diary.names() == ["connect", "end"]
    assert 0 < reactor.next_timeout() <= 5
    movable_clock.ahead += 5
    peer.settle()
    assert reactor.next_timeout() is None


@pytest.mark.parametrize("last", ["421 bye\r\n", None], ids=["421", "FIN"])
def test_only_quit_is_queued(by_hand, diary, last):
    """Nobody would notice: it is what ``quit()`` was called for."""
    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    connection.quit()
    if last is None:
        peer.sock.shutdown(socket.SHUT_WR)
        peer.settle()
    else:
        peer.feed(last)
    assert diary.names() == ["connect", "end"]
    peer.hang_up()


# -- something is pending: an error, though it is not the server that is waited for ----------------


@pytest.fixture
def fail_on_our_turn(serve, connect_to, reactor, diary):
    """Let the server end the session while ``call`` waits for something of the client's own;
    return the error: ``fail_on_our_turn(transcript, call, ending)``."""

    def run(transcript, call, ending, **options):
        ours = threading.Event()

        def script(peer):
            peer.greet("AUTH XOAUTH2 X-OWN")
            peer.play(transcript)
            assert ours.wait(10)
            ending(peer)

        connection = connect_to(serve(script), **options)
        connection.connect()
        call(connection, ours.set, diary.callback("operation"))
        connection.reset(diary.callback("later"))
        reactor.run()

        assert diary.names() == ["connect", "error", "operation", "later", "end"]
        err = diary.error()
        if diary.error("operation") is not err:  # its turn had not come
            check_error_of_another(diary.error("operation"), err)
        check_error_of_another(diary.error("later"), err)
        return err

    return run


class Slow:
    """A token generator that never answers."""

    def __init__(self, asked):
        self._asked = asked

    def getToken(self, callback):
        self._asked()


class Refused:
    """A token generator that answers once, and never again."""

    def __init__(self, asked):
        self._asked = asked

    def getToken(self, callback):
        callback(None, "dG9rZW4=")

    def generateToken(self, callback):
        self._asked()


class Silent(EventEmitter):
    """A stream that never says anything."""


def send_silence(connection, asked, callback):
    connection.reactor.call_soon(asked)
    connection.send(ENVELOPE, Silent(), callback)


def log_in_with(generator):
    return lambda connection, asked, callback: connection.login(
        {"xoauth2": generator(asked)}, callback
    )


def log_in_by_hand(connection, asked, callback):
    connection.login({"method": "X-OWN", "asked": asked}, callback)


def thinking(context):
    """A handler that never comes to a decision."""
    context.auth["asked"]()
    return Future()


OUR_TURN = {
    "getToken": ("", log_in_with(Slow)),
    "generateToken": ("C: AUTH XOAUTH2\nS: 535 no", log_in_with(Refused)),
    "customAuth": ("", log_in_by_hand),
    "message source": ("", send_silence),
}
on_our_turn = pytest.mark.parametrize(("transcript", "call"), OUR_TURN.values(), ids=OUR_TURN)
OPTIONS = {"customAuth": {"X-OWN": thinking}}


@on_our_turn
@pytest.mark.parametrize("ending", [says_421, says_421_in_pieces, says_421_and_closes_its_half])
def test_a_421_on_our_turn(fail_on_our_turn, transcript, call, ending):
    err = fail_on_our_turn(transcript, call, ending, **OPTIONS)
    assert (err.code, err.responseCode) == ("ECONNECTION", 421)
    assert err.response.endswith("421 4.4.2 bye")


@on_our_turn
def test_the_server_closes_its_half_on_our_turn(fail_on_our_turn, transcript, call):
    err = fail_on_our_turn(transcript, call, closes_its_half, **OPTIONS)
    assert (err.code, err.command, err.response) == ("ECONNECTION", "CONN", None)


@on_our_turn
def test_the_server_resets_on_our_turn(fail_on_our_turn, transcript, call):
    err = fail_on_our_turn(transcript, call, resets, **OPTIONS)
    assert (err.code, err.command) == ("ECONNRESET", "CONN")


# -- something is pending, over TLS ----------------------------------------------------------------

STAGES = {
    "greeting": "",
    "EHLO": "S: 220 ready\nC: EHLO",
    "AUTH": "S: 220 ready\nC: EHLO\nS: 250-me\nS: 250 AUTH PLAIN\nC: AUTH PLAIN",
}
STAGES["MAIL"] = f"{STAGES['AUTH']}\nS: 235 ok\nC: MAIL"
STAGES["RCPT"] = f"{STAGES['MAIL']}\nS: 250 ok\nC: RCPT"
STAGES["DATA"] = f"{STAGES['RCPT']}\nS: 250 ok\nC: DATA"
STAGES["the end of the message"] = f"{STAGES['DATA']}\nS: 354 go\nC: hi\nC: ."


@pytest.mark.parametrize("transcript", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("ending", OVER_TLS.values(), ids=OVER_TLS)
def test_pending_over_tls(serve, connect_to, reactor, diary, server_tls, trust, transcript, ending):
    def script(peer):
        peer.start_tls(server_tls)
        peer.play(transcript)
        ending(peer)

    connection = connect_to(serve(script), secure=True, tls=trust)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run()

    assert diary.names()[-1] == "end"
    assert diary.names().count("end") == diary.names().count("error") == 1
    assert len(diary.of("login")) == len(diary.of("sent")) == 1
    err = diary.error()
    if "MAIL" in transcript:
        assert diary.error("sent") is err
    else:
        check_error_of_another(diary.error("sent"), err)
    if ending is resets:
        # The ssl module reports it as the end of the stream, or as what it is.
        assert err.code in ("ECONNECTION", "ECONNRESET")
    else:
        assert err.code == "ECONNECTION"
    assert err.responseCode == (421 if "421" in (err.response or "") else None)


def test_clear_text_that_ends_tls_is_quoted(serve, connect_to, reactor, diary, server_tls, trust):
    def script(peer):
        peer.start_tls(server_tls)
        peer.play(STAGES["MAIL"])
        goes_on_in_clear_text(peer)

    connection = connect_to(serve(script), secure=True, tls=trust)
    connection.connect()
    connection.login(PASSWORD)
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run()

    assert diary.error("sent").code == "ECONNECTION"
    assert "clear text, ending with" in str(diary.error("sent"))
    assert "SMTP command timeout" in str(diary.error("sent"))


def test_a_server_that_stops_in_the_middle_of_the_handshake(serve, connect_to, reactor, diary):
    def script(peer):
        assert peer.sock.recv(65536)
        peer.shut_write()
        peer.expect_end()

    connection = connect_to(serve(script), secure=True)
    connection.connect(diary.callback("connected"))
    reactor.run()

    assert diary.names() == ["error", "connected", "end"]
    assert diary.error().code == "ETLS"
    assert isinstance(diary.error().__cause__, ssl.SSLError)
