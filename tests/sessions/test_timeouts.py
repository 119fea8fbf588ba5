"""Time-outs: at every point of a session.

The reactor's clock is moved on by the server's script, so that nobody waits, and a slow machine
changes nothing; a few tests at the end are about real time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pyee import EventEmitter

from smtp_connection import SMTPConnection
from tests.support.sessions import ENVELOPE, PASSWORD, POINTS, at_every_point

CONNECTION, GREETING, SILENCE = 120, 30, 600  # the defaults, seconds

# What RFC 5321 section 4.5.3.2 has for single commands, seconds.
MAIL = RCPT = 5 * 60
DATA, DATA_BLOCK = 2 * 60, 3 * 60
LIMITS = {
    "greeting": GREETING,
    "MAIL": MAIL,
    "RCPT": RCPT,
    "the second RCPT": RCPT,
    "DATA": DATA,
    "a pipelined envelope": MAIL,
    "a pipelined envelope, half of it": RCPT,
}


def limit_of(point):
    (name,) = [name for name, each in POINTS.items() if each is point]
    return LIMITS.get(name, SILENCE)


@pytest.fixture
def silence(let_pass):
    """Make the end of a script: say nothing for some seconds."""

    def make(seconds):
        def ending(peer):
            let_pass(seconds)
            peer.expect_end()

        return ending

    return make


# -- silence ---------------------------------------------------------------------------------------


@at_every_point
def test_silence(fail_at, point, silence):
    err = fail_at(point, silence(limit_of(point) + 1))
    assert (err.code, err.command) == ("ETIMEDOUT", "CONN")
    assert f"{limit_of(point) * 1000} ms" in err.message


@at_every_point
def test_a_server_that_trickles_and_never_ends_a_reply(fail_at, point, let_pass):
    """Bytes alone are no sign of life, nor are lines of a reply without end."""

    def ending(peer):
        start = b"250-one\r\n250-t"
        for byte in start:
            peer.send(bytes([byte]))
            let_pass(limit_of(point) / len(start) + 0.01)
        peer.expect_end()

    assert fail_at(point, ending).code == "ETIMEDOUT"


def test_empty_lines_are_no_sign_of_life(fail_at, let_pass):
    def ending(peer):
        for _ in range(10):
            peer.send("\r\n")
            let_pass(MAIL / 10 + 0.01)
        peer.expect_end()

    assert fail_at(POINTS["MAIL"], ending).code == "ETIMEDOUT"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("EHLO", "EHLO"),
        ("HELO", "HELO"),
        ("LHLO", "LHLO"),
        ("STARTTLS", "STARTTLS"),
        ("AUTH PLAIN", "AUTH PLAIN"),
        ("AUTH LOGIN, the end", "AUTH"),
        ("MAIL", "MAIL FROM"),
        ("RCPT", "RCPT TO"),
        ("DATA", "DATA"),
        ("the end of the message", "the message"),
        ("a pipelined envelope", "MAIL FROM"),
        ("a pipelined envelope, half of it", "RCPT TO"),
        ("RSET", "RSET"),
    ],
)
def test_the_error_says_what_was_waited_for(fail_at, silence, name, missing):
    err = fail_at(POINTS[name], silence(limit_of(POINTS[name]) + 1))
    text = err.message.partition(" (the message had been sent")[0]
    assert text.endswith(f"waiting for the reply to {missing}")


def test_silence_at_quit(serve, connect_to, reactor, diary, silence):
    def script(peer):
        peer.greet()
        peer.expect("QUIT")
        silence(SILENCE + 1)(peer)

    connection = connect_to(serve(script))
    connection.connect()
    connection.quit()
    connection.send(ENVELOPE, "hi", diary.callback("too late"))
    reactor.run()

    assert diary.names() == ["connect", "too late", "end"]
    assert diary.error("too late").code == "ECONNECTION"


def test_silence_on_an_idle_connection(serve, connect_to, reactor, diary, silence):
    idle = threading.Event()

    def script(peer):
        peer.greet()
        assert idle.wait(10)
        silence(SILENCE + 1)(peer)

    connection = connect_to(serve(script))
    connection.connect(idle.set)
    reactor.run()

    assert diary.names() == ["connect", "error", "end"]
    assert diary.error().code == "ETIMEDOUT"


def test_a_server_that_stops_reading_in_the_middle_of_a_message(by_hand, diary, movable_clock):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, b"x" * 10_000_000, diary.callback("sent"))
    for reply in ("220 ready", "250 scripted", "250 ok", "250 ok", "354 go"):
        peer.feed(f"{reply}\r\n")
    assert diary.names() == ["connect"]
    movable_clock.ahead += SILENCE + 1
    peer.settle()

    assert diary.names() == ["connect", "error", "sent", "end"]
    assert diary.error().code == "ETIMEDOUT"
    assert diary.error().message.endswith("waiting for the end of the message")


def test_a_server_that_stops_reading_is_silent_from_then_on(
    by_hand, diary, movable_clock, monkeypatch
):
    """The system holds all of the message; what the server takes of it is found out in time."""
    held = 100_000
    monkeypatch.setattr("smtp_connection.net.transport.queued_bytes", lambda sock: held)
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, b"x" * 10_000, diary.callback("sent"))
    for reply in ("220 ready", "250 scripted", "250 ok", "250 ok", "354 go"):
        peer.feed(f"{reply}\r\n")
    passed = 0.0
    while diary.names() == ["connect"]:
        passed += 0.25
        movable_clock.ahead += 0.25
        if passed == SILENCE * 0.3:
            held = 50_000
        peer.settle()

    assert diary.error().code == "ETIMEDOUT"
    assert SILENCE * 1.3 <= passed <= SILENCE * 1.3 + 0.5


def test_that_nothing_was_said_for_a_while_does_not_count_against_what_begins(
    by_hand, diary, movable_clock
):
    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    movable_clock.ahead += SILENCE - 1
    peer.settle()

    stream = EventEmitter()
    connection.send(ENVELOPE, stream, diary.callback("sent"))
    peer.settle()
    movable_clock.ahead += 2
    peer.settle()
    assert diary.names() == ["connect"]

    stream.emit("data", b"hi")
    stream.emit("end")
    peer.settle()
    for reply in ("250 ok", "250 ok", "354 go", "250 queued"):
        peer.feed(f"{reply}\r\n")
    ((err, _),) = diary.of("sent")
    assert err is None
    connection.close()
    peer.settle()


class Never:
    """A generator of access tokens that never answers."""

    def getToken(self, callback):
        pass


class Silent:
    """A stream that never has anything to say."""

    def on(self, event, listener):
        pass


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (
            lambda connection, callback: connection.login({"xoauth2": Never()}, callback),
            "an access token",
        ),
        (
            lambda connection, callback: connection.send(ENVELOPE, Silent(), callback),
            "the message source",
        ),
    ],
    ids=["token", "message"],
)
def test_silence_of_others_than_the_server(
    serve, connect_to, reactor, diary, silence, call, missing
):
    def script(peer):
        peer.greet("AUTH XOAUTH2")
        silence(SILENCE + 1)(peer)

    connection = connect_to(serve(script))
    connection.connect()
    call(connection, diary.callback("operation"))
    reactor.run()

    assert diary.names() == ["connect", "error", "operation", "end"]
    assert diary.error("operation").code == "ETIMEDOUT"
    assert diary.error().message.endswith(f"waiting for {missing}")


# -- slow, but not silent --------------------------------------------------------------------------


def test_a_slow_server_is_not_a_silent_one(serve, connect_to, reactor, diary, let_pass):
    """Each reply takes nearly as long as it may; all of them together take far longer."""

    def script(peer):
        let_pass(GREETING - 1)
        peer.send("220 ready\r\n")
        for command, reply in [
            ("EHLO", "250-scripted\r\n250 AUTH PLAIN"),
            ("AUTH PLAIN", "235 welcome"),
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
            ("hi", None),
            (".", "250 queued"),
            ("RSET", "250 ok"),
            ("QUIT", "221 bye"),
        ]:
            peer.expect(command)
            if reply is not None:
                let_pass(LIMITS.get(command, SILENCE) - 1)
                peer.send(f"{reply}\r\n")

    connection = connect_to(serve(script))
    connection.connect(diary.callback("connected"))
    connection.login(PASSWORD, diary.callback("login"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.reset(diary.callback("reset"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "connected", "login", "sent", "reset", "end"]


def test_each_reply_to_a_pipelined_envelope_is_a_sign_of_life(
    serve, connect_to, reactor, diary, let_pass
):
    """What we receive counts, although there is nothing for us to say to it yet."""

    def script(peer):
        peer.greet("PIPELINING")
        peer.expect("MAIL", "RCPT", "DATA")
        for reply, limit in (("250 ok", MAIL), ("250 ok", RCPT), ("354 go", DATA)):
            let_pass(limit - 1)
            peer.send(f"{reply}\r\n")
        peer.play("C: hi\nC: .\nS: 250 queued")
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.of("sent")[0][0] is None


def test_a_message_that_takes_its_time_is_not_silence(
    serve, connect_to, reactor, diary, movable_clock
):
    """What we send counts as much as what we receive."""
    pieces = 20

    def message() -> Iterator[bytes]:
        for _ in range(pieces):
            movable_clock.ahead += DATA_BLOCK / 2
            yield b"x" * 40_000 + b"\n"

    def script(peer):
        peer.greet()
        assert len(peer.take_message()) == pieces * 40_002
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(ENVELOPE, message(), diary.callback("sent"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.of("sent")[0][0] is None


def test_the_greeting_time_ends_with_the_greeting(serve, connect_to, reactor, diary, let_pass):
    def script(peer):
        let_pass(GREETING - 1)
        peer.send("220 ready\r\n")
        peer.expect("EHLO")
        let_pass(GREETING + 1)
        peer.answer_ehlo()
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "end"]


# -- TLS -------------------------------------------------------------------------------------------


def no_handshake(ending):
    """Make a script that agrees to STARTTLS, shakes no hands, and comes to its ``ending``."""

    def script(peer):
        peer.greet("STARTTLS")
        peer.play("C: STARTTLS\nS: 220 go")
        peer.sock.recv(65536)  # the client's first flight
        ending(peer)

    return script


def test_a_handshake_that_never_begins_after_starttls(serve, connect_to, reactor, diary, silence):
    connection = connect_to(serve(no_handshake(silence(GREETING + 1))))
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run()

    assert diary.names() == ["error", "connected", "sent", "end"]
    assert diary.error().code == "ETIMEDOUT"
    assert "TLS handshake" in diary.error().message


def test_silence_after_starttls(serve, connect_to, reactor, diary, silence):
    """Silence ends the connection during the handshake, too, however long that may take."""
    server = serve(no_handshake(silence(SILENCE + 1)))
    connection = connect_to(server, greetingTimeout=(SILENCE + 60) * 1000)
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run()

    assert diary.names() == ["error", "connected", "sent", "end"]
    assert (diary.error().code, diary.error().command) == ("ETIMEDOUT", "CONN")
    waited = f"silence for {SILENCE * 1000} ms, waiting for the TLS handshake"
    assert diary.error().message.endswith(waited)


def test_a_handshake_that_never_begins_from_the_first_byte(
    serve, connect_to, reactor, diary, silence
):
    connection = connect_to(serve(silence(CONNECTION + 1)), secure=True)
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run()

    assert diary.names() == ["error", "connected", "sent", "end"]
    assert diary.error().code == "ETIMEDOUT"
    assert "Connection timeout" in diary.error().message


# -- the options, in real time ---------------------------------------------------------------------


def test_connection_timeout_of_a_handshake(serve, connect_to, reactor, diary):
    connection = connect_to(
        serve(lambda peer: peer.expect_end()), secure=True, connectionTimeout=50
    )
    connection.connect(diary.callback("connected"))
    reactor.run()

    assert diary.names() == ["error", "connected", "end"]
    assert diary.error().code == "ETIMEDOUT"
    text = f"127.0.0.1:{connection.port} in 50 ms, waiting for the TLS handshake"
    assert diary.error().message.endswith(text)


def test_connection_timeout_of_the_connection_itself(full_port, reactor, diary):
    connection = SMTPConnection(
        {"host": "127.0.0.1", "port": full_port, "connectionTimeout": 50}, reactor=reactor
    )
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run()

    assert diary.names() == ["error", "connected", "sent", "end"]
    assert diary.error().code == "ETIMEDOUT"
    assert f"a firewall may block port {full_port}; providers block" in diary.error().message
    assert connection.stage == "init"


def test_greeting_timeout(fail_at):
    err = fail_at(POINTS["greeting"], lambda peer: peer.expect_end(), greetingTimeout=50)
    assert err.code == "ETIMEDOUT"
    assert "Greeting never received in 50 ms" in err.message


def test_socket_timeout(fail_at):
    err = fail_at(POINTS["greeting"], lambda peer: peer.expect_end(), socketTimeout=50)
    assert err.code == "ETIMEDOUT"
    assert "silence for 50 ms, waiting for the greeting" in err.message


def test_a_server_that_trickles_in_real_time(fail_at):
    def ending(peer):
        try:
            while True:
                peer.send("2")
        except ConnectionError:
            pass

    err = fail_at(POINTS["greeting"], ending, socketTimeout=50)
    assert err.code == "ETIMEDOUT"


def test_the_peer_has_only_so_long_to_close_its_own_side(serve, connect_to, reactor, diary):
    """``run()`` returns although the server keeps its end open."""
    closed = threading.Event()

    def script(peer):
        peer.greet()
        peer.play("C: QUIT\nS: 221 bye")
        assert closed.wait(10)

    connection = connect_to(serve(script), socketCloseTimeout=50)
    connection.connect()
    connection.quit()
    reactor.run()
    closed.set()

    assert diary.names() == ["connect", "end"]


def test_a_source_of_empty_pieces_starves_nobody(by_hand, diary, reactor, movable_clock):
    def nothing():
        while True:
            yield b""

    connection, peer = by_hand(socketTimeout=60_000)
    connection.connect()
    connection.send(ENVELOPE, nothing(), diary.callback("sent"))
    peer.sock.send(b"220 ready\r\n")
    others = []
    for _ in range(5):
        reactor.run_once(0)
    peer.sock.send(b"250 me\r\n")
    reactor.call_later(0, others.append, "timer")
    for _ in range(20):
        reactor.run_once(0)
    assert others == ["timer"]
    assert diary.names() == ["connect"]
    for _ in range(3):
        movable_clock.ahead += 61
        reactor.run_once(0)
        reactor.run_once(0)
    reactor.run()
    assert diary.names() == ["connect", "error", "sent", "end"]
    assert diary.error("sent").code == "ETIMEDOUT"


@pytest.mark.parametrize("before", [0, 1])
def test_two_connections_of_which_one_has_nothing_but_empty_pieces(by_hand, diary, reactor, before):
    """Before its first piece or after it, the other one sends its messages."""

    def text_and_nothing():
        yield from ["a piece\n"] * before
        asked = 0
        while True:
            asked += 1
            assert asked < 1_000_000, "the other one has no turn"
            yield b""

    starving, its_peer = by_hand()
    starving.connect()
    starving.send(ENVELOPE, text_and_nothing(), diary.callback("never"))
    for reply in ("220 ready", "250 me", "250 ok", "250 ok", "354 go")[: 4 + before]:
        its_peer.sock.send(f"{reply}\r\n".encode())
        for _ in range(4):
            reactor.run_once(0)
    assert (b"DATA" in its_peer.heard()) == bool(before)

    connection, peer = by_hand()
    connection.connect()
    for number in range(3):
        connection.send(ENVELOPE, iter(["text"]), diary.callback(f"sent {number}"))
    connection.quit()
    for reply in ("220 hi", "250 me", *["250 ok", "250 ok", "354 go", "250 queued"] * 3, "221 bye"):
        peer.sock.send(f"{reply}\r\n".encode())
        for _ in range(4):
            reactor.run_once(0)
    peer.sock.close()
    for _ in range(4):
        reactor.run_once(0)
    assert [diary.of(f"sent {number}")[0][0] for number in range(3)] == [None] * 3
    assert connection.destroyed
    assert diary.of("never") == []
    starving.close()
    its_peer.sock.close()
    reactor.run()
    assert diary.error("never").code == "ECONNECTION"


def test_a_callback_that_blocks_does_not_time_out_what_begins_behind_it(
    by_hand, reactor, diary, movable_clock
):
    connection, peer = by_hand()
    connection.connect()
    for reply in ("220 hi", "250 scripted"):
        peer.feed(f"{reply}\r\n")

    def block():
        movable_clock.ahead += 601

    reactor.call_soon(block)
    connection.reset(diary.callback("reset"))
    peer.settle()
    assert diary.names() == ["connect"]
    peer.feed("250 ok\r\n")
    assert diary.of("reset") == [(None, True)]
    connection.close()
    peer.hang_up()
    reactor.run()
