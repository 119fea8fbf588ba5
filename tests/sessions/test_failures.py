"""What can go wrong with a server, at every point of a session; time-outs have their own module."""

from __future__ import annotations

import socket
import threading

import pytest
from pyee import EventEmitter

from smtp_connection import SMTPConnection, SMTPError
from tests.support.sessions import ENVELOPE, PASSWORD, POINTS, TO_TWO, at_every_point


def saying(text):
    """Say something, and leave the rest to the client."""

    def ending(peer):
        peer.send(text)
        peer.expect_end()

    return ending


def saying_and_hanging_up(text):
    def ending(peer):
        peer.send(text)
        hanging_up(peer)

    return ending


def hanging_up(peer):
    peer.shut_write()
    peer.expect_end()


def resetting(peer):
    peer.reset()


# -- while something is pending --------------------------------------------------------------------


@at_every_point
def test_a_421_ends_the_session(fail_at, point):
    err = fail_at(point, saying("421-4.3.2 shutting\r\n421 4.3.2 down\r\n"))
    assert err.code == "ECONNECTION"
    assert (err.response, err.responseCode) == ("421-4.3.2 shutting\n421 4.3.2 down", 421)
    assert err.message.endswith(err.response)


@at_every_point
def test_the_server_hangs_up(fail_at, point):
    err = fail_at(point, hanging_up)
    assert (err.code, err.command) == ("ECONNECTION", "CONN")
    assert (err.response, err.responseCode) == (None, None)


@at_every_point
def test_the_server_resets_the_connection(fail_at, point):
    err = fail_at(point, resetting)
    assert (err.code, err.command) == ("ECONNRESET", "CONN")
    assert isinstance(err.__cause__, ConnectionResetError)


@at_every_point
def test_a_refusal_that_was_not_ended_is_the_response(fail_at, point):
    err = fail_at(point, saying_and_hanging_up("421 go away"))
    assert (err.code, err.response, err.responseCode) == ("ECONNECTION", "421 go away", 421)


@at_every_point
def test_a_refusal_of_several_lines_that_was_not_ended_is_the_response(fail_at, point):
    err = fail_at(point, saying_and_hanging_up("554-5.7.1 go\r\n554-away\r\n"))
    assert (err.code, err.responseCode) == ("ECONNECTION", 554)
    assert err.response == "554-5.7.1 go\n554-away"


def test_a_refusal_that_was_not_ended_and_a_reset(fail_at):
    def ending(peer):
        peer.send("554 5.7.1 no")
        peer.reset()

    err = fail_at(POINTS["MAIL"], ending)
    assert (err.code, err.response) == ("ECONNECTION", "554 5.7.1 no")
    assert err.__cause__.code == "ECONNRESET"


@pytest.mark.parametrize("rest", ["250 2.1.0 almost", "250-and\r\n", "4", "5 apples", "5000"])
def test_what_is_no_refusal_is_not_the_response(fail_at, rest):
    err = fail_at(POINTS["MAIL"], saying_and_hanging_up(rest))
    assert (err.code, err.response, err.responseCode) == ("ECONNECTION", None, None)


@at_every_point
@pytest.mark.parametrize("reply", ["2" * 1001, "250-more\r\n" * 120], ids=["line", "lines"])
def test_a_reply_without_end(fail_at, point, reply):
    err = fail_at(point, saying(reply), maxResponseSize=1000)
    assert (err.code, err.command) == ("EPROTOCOL", "CONN")
    assert "maxResponseSize" in err.message


OPENING_AND_RSET = ["220 ready\r\n", "250 scripted\r\n", "250 reset\r\n"]


@pytest.mark.parametrize(
    ("asked_for", "names"),
    [
        (1, ["error", "connected", "operation", "later", "end"]),
        (2, ["connect", "connected", "error", "operation", "later", "end"]),
        (3, ["connect", "connected", "operation", "error", "later", "end"]),
    ],
    ids=["greeting", "EHLO", "RSET"],
)
@pytest.mark.parametrize("spare", ["250 spare", "spare", "421 spare"])
def test_a_reply_too_many_in_the_same_piece(by_hand, diary, asked_for, names, spare):
    """What was done is done; the command that comes next is not sent."""
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    connection.reset(diary.callback("operation"))
    connection.reset(diary.callback("later"))
    *earlier, last = OPENING_AND_RSET[:asked_for]
    for reply in earlier:
        peer.feed(reply)
    peer.heard()
    peer.feed(f"{last}{spare}\r\n")

    assert diary.names() == names
    assert diary.error().code == ("ECONNECTION" if spare.startswith("421") else "EPROTOCOL")
    assert diary.error().response == spare
    assert peer.heard() == b""


# -- in the middle of a message --------------------------------------------------------------------

LARGE = b"x" * 70 + b"\r\n"
LARGE *= 200_000  # more than any socket buffers


@pytest.mark.parametrize(
    ("ending", "code", "response"),
    [
        (saying("421 4.3.2 down\r\n"), "ECONNECTION", "421 4.3.2 down"),
        (hanging_up, "ECONNECTION", None),
        (saying_and_hanging_up("554 too much"), "ECONNECTION", "554 too much"),
        (resetting, "ECONNRESET", None),
    ],
    ids=["421", "FIN", "554 without end", "RST"],
)
def test_the_end_in_the_middle_of_a_message(
    serve, connect_to, reactor, diary, ending, code, response
):
    def script(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.expect("xxx")
        ending(peer)

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(ENVELOPE, LARGE, diary.callback("sent"))
    connection.reset(diary.callback("later"))
    reactor.run()

    assert diary.names() == ["connect", "error", "sent", "later", "end"]
    assert diary.error("sent") is diary.error()
    assert (diary.error().code, diary.error().response) == (code, response)
    later = diary.error("later")
    assert (later.code, later.permanent) == (code, False)


# -- while nothing is pending ----------------------------------------------------------------------

SENT = "C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354\nC: hi\nC: .\nS: 250"
IDLE = {
    "after connect": ("", lambda connection, callback: callback(None, None)),
    "after login": (
        "C: AUTH PLAIN\nS: 235",
        lambda connection, callback: connection.login(PASSWORD, callback),
    ),
    "after a refused login": (
        "C: AUTH PLAIN\nS: 535 no",
        lambda connection, callback: connection.login(PASSWORD, callback),
    ),
    "after send": (SENT, lambda connection, callback: connection.send(ENVELOPE, "hi", callback)),
    "after a refused message": (
        "C: MAIL\nS: 550 no",
        lambda connection, callback: connection.send(ENVELOPE, "hi", callback),
    ),
    "after reset": ("C: RSET\nS: 250", lambda connection, callback: connection.reset(callback)),
}


@pytest.fixture(params=IDLE.values(), ids=IDLE)
def end_while_idle(request, serve, connect_to, reactor, diary):
    """Let the server do ``ending`` while the client is idle; return what happened from then on."""
    transcript, call = request.param

    def run(ending):
        idle = threading.Event()

        def script(peer):
            peer.greet("AUTH PLAIN")
            peer.play(transcript)
            assert idle.wait(10)
            ending(peer)

        connection = connect_to(serve(script))
        connection.connect(lambda: call(connection, lambda err, result: idle.set()))
        reactor.run()
        assert connection.destroyed
        assert diary.names()[0] == "connect"
        diary.connection = connection
        return diary.names()[1:]

    return run


@pytest.mark.parametrize("text", ["250 spare", "250-two\r\n250 lines", "554 no", "nonsense"])
def test_a_reply_nobody_asked_for(end_while_idle, diary, text):
    assert end_while_idle(saying(f"{text}\r\n")) == ["error", "end"]
    assert (diary.error().code, diary.error().command) == ("EPROTOCOL", "CONN")
    assert diary.error().response == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "ending",
    [
        saying("421 4.4.2 idle for too long\r\n"),
        saying_and_hanging_up("421 4.4.2 idle for too long\r\n"),
        hanging_up,
        resetting,
    ],
    ids=["421", "421 and FIN", "FIN", "RST"],
)
def test_the_server_may_end_an_idle_session(end_while_idle, ending):
    assert end_while_idle(ending) == ["end"]


@pytest.mark.parametrize("text", ["421 go away", "554 5.7.1 go away", "wh"])
def test_the_last_words_on_an_idle_session_are_kept(end_while_idle, diary, text):
    assert end_while_idle(saying_and_hanging_up(text)) == ["end"]
    assert diary.connection.lastServerResponse == text
    assert ("server", text) in diary.log


# -- at QUIT ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "ending",
    [
        saying("221 bye\r\n"),
        saying_and_hanging_up("221 bye\r\n"),
        saying("421 bye\r\n"),
        saying("500 what?\r\n"),
        saying_and_hanging_up("221 by"),
        saying("221 bye\r\n221 bye\r\n"),
        hanging_up,
        resetting,
    ],
    ids=["221", "221 and FIN", "421", "500", "221 without end", "twice", "FIN", "RST"],
)
def test_whatever_answers_quit_is_the_end(serve, connect_to, reactor, diary, ending, times):
    def script(peer):
        peer.greet()
        peer.expect("QUIT")
        ending(peer)

    connection = connect_to(serve(script))
    connection.connect()
    for _ in range(times):
        connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "end"]


# -- around TLS ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending",
    [hanging_up, resetting, saying("220 clear text\r\n")],
    ids=["FIN", "RST", "clear text"],
)
def test_a_broken_handshake_from_the_first_byte(serve, connect_to, reactor, diary, ending):
    def script(peer):
        assert peer.sock.recv(65536)  # the client's first flight
        ending(peer)

    connection = connect_to(serve(script), secure=True)
    connection.connect(diary.callback("connected"))
    connection.reset(diary.callback("later"))
    reactor.run()

    assert diary.names() == ["error", "connected", "later", "end"]
    assert diary.error().code == "ETLS"
    assert (connection.stage, connection.secure) == ("init", False)


# -- no connection at all --------------------------------------------------------------------------


def test_nobody_listens(reactor, diary):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        connection = SMTPConnection(port=deaf.getsockname()[1], host="127.0.0.1", reactor=reactor)
        diary.listen(connection)
        connection.connect(diary.callback("connected"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))
        reactor.run()

    assert diary.names() == ["error", "connected", "sent", "end"]
    assert (diary.error().code, diary.error().command) == ("ECONNREFUSED", "CONN")
    assert isinstance(diary.error().__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("port", [0, 65536, 10**9])
def test_a_port_that_cannot_be(reactor, diary, port):
    connection = SMTPConnection(port=port, reactor=reactor)
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    reactor.run()

    assert diary.names() == ["error", "connected", "end"]
    assert diary.error().code == "ECONNECTION"
    assert str(port) in diary.error().message


class ClosedMeanwhile(socket.socket):
    """A socket that another thread closes while the connection prepares it."""

    def setsockopt(self, *args):
        self.close()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("option", "kind", "code"),
    [
        ("connection", socket.socket, "EBADF"),
        ("connection", ClosedMeanwhile, "ESOCKET"),
        ("socket", socket.socket, "EBADF"),
    ],
)
def test_a_socket_that_is_closed_when_it_is_handed_over(reactor, diary, option, kind, code, secure):
    sock = kind()
    if kind is socket.socket:
        sock.close()
    options = {option: sock, "host": "127.0.0.1", "port": 25, "secure": secure}
    connection = SMTPConnection(options, reactor=reactor)
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    reactor.run()

    assert diary.names() == ["error", "connected", "end"]
    err = diary.error()
    assert (err.code, err.command) == (code, "CONN")
    assert isinstance(err.__cause__, OSError)
    assert diary.error("connected") is err
    assert connection.destroyed
    assert sock.fileno() == -1


# -- who hears of it -------------------------------------------------------------------------------


def test_all_listeners_hear_an_error_before_any_callback(by_hand, diary):
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    connection.on("error", lambda err: diary.entries.append(("another listener", err)))
    peer.feed("554 no\r\n")

    assert diary.names() == ["error", "another listener", "connected", "end"]


def test_an_error_that_nobody_hears_leaves_run_after_the_end(by_hand, diary):
    connection, peer = by_hand(errors=False)
    connection.connect()
    with pytest.raises(SMTPError) as caught:
        peer.feed("554 no\r\n")

    assert (caught.value.code, caught.value.response) == ("EPROTOCOL", "554 no")
    assert diary.names() == ["end"]
    peer.settle()


def test_a_connect_callback_without_parameters_hears_no_error(by_hand, diary):
    connection, peer = by_hand(errors=False)
    connection.connect(lambda: diary.entries.append(("connected",)))
    with pytest.raises(SMTPError):
        peer.feed("554 no\r\n")

    assert diary.names() == ["end"]


@pytest.mark.parametrize("listening", ["connect callback", "pending callback"])
def test_an_error_that_a_callback_gets_is_heard(by_hand, diary, listening):
    connection, peer = by_hand(errors=False)
    connection.connect(diary.callback("heard") if listening == "connect callback" else None)
    connection.reset()
    connection.reset(diary.callback("heard") if listening == "pending callback" else None)
    peer.feed("554 no\r\n")

    assert diary.names() == ["heard", "end"]
    assert diary.error("heard").code == "EPROTOCOL"


def test_a_connection_that_fails_is_one_error_however_many_wait(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi")
    connection.login(PASSWORD)
    connection.reset()
    peer.feed("554 no\r\n")

    assert diary.names() == ["error", "end"]


def test_the_failure_of_one_message_is_not_heard_by_those_behind_it(by_hand, diary):
    """They hear of their own, which is that they were not sent."""
    connection, peer = by_hand(errors=False)
    connection.connect()
    connection.send(TO_TWO, "hi")
    connection.reset(diary.callback("later"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 PIPELINING\r\n")
    with pytest.raises(SMTPError) as caught:
        peer.feed("550 no\r\n503 no\r\n503 no\r\n354 go\r\n")

    assert (caught.value.code, caught.value.response) == ("EENVELOPE", "550 no")
    assert diary.names() == ["connect", "later", "end"]
    assert diary.error("later").code == "ECONNECTION"
    assert diary.error("later").__cause__ is caught.value


def test_a_server_that_hangs_up_between_two_operations(by_hand, reactor, diary):
    """Nothing has been said for the second one, so no reply and no token is waited for."""
    stream = EventEmitter()
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, stream, diary.callback("first"))
    connection.reset(diary.callback("second"))
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    peer.heard()

    def fail() -> None:
        stream.emit("error", OSError("disk on fire"))
        # The message has failed by the next turn, in which the connection closes.
        reactor.call_soon(peer.sock.close)

    reactor.call_soon(fail)
    while "end" not in diary.names():
        reactor.run_once(0)  # which looks on each turn for what the server does

    assert diary.names() == ["connect", "first", "error", "second", "end"]
    assert str(diary.error("second")) == (
        "Connection closed unexpectedly, waiting for the next operation"
    )
