"""The option ``beforeCommit``: the final dot waits until the caller agrees."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from smtp_connection import SMTPConnection, SMTPError
from smtp_connection.protocol.envelope import Envelope
from tests.support.sessions import ENVELOPE, TO_TWO

MESSAGE = b"Subject: hi\r\n\r\nhello\r\n"
LARGE = b"Subject: hi\r\n\r\n" + b"x" * 70 + b"\r\n" * 300_000


class Gate:
    """Is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.callback: Any = None

    def __call__(self, envelope, callback):
        self.asked.append(envelope)
        self.callback = callback


def held(peer, *extensions, message=MESSAGE):
    """Take a message up to its final dot; what comes after that has not been said."""
    peer.greet(*extensions)
    turns = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")]
    peer.play_envelope(*turns, pipelining="PIPELINING" in extensions)
    while not peer.received.endswith(message):
        peer._more()
    assert peer.received.endswith(message)


@pytest.fixture
def send(serve, connect_to, reactor, diary):
    def run(script, gate, message=MESSAGE, envelope=ENVELOPE, *, in_envelope=False, **options):
        if in_envelope:
            envelope = {**envelope, "beforeCommit": gate}
        else:
            options["beforeCommit"] = gate
        connection = connect_to(serve(script), **options)

        def connected():
            connection.send(envelope, message, diary.callback("sent"))
            connection.quit()

        connection.connect(connected)
        return connection

    return run


@pytest.mark.parametrize("extensions", [[], ["PIPELINING"]], ids=["step by step", "pipelined"])
@pytest.mark.parametrize("in_envelope", [False, True], ids=["option", "envelope"])
@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
def test_the_dot_waits_for_the_gate(send, reactor, diary, extensions, in_envelope, message):
    waits = threading.Event()
    gate = Gate()

    def script(peer):
        held(peer, *extensions, message=message)
        waits.set()
        assert peer.read_message() == message
        peer.send("250 2.0.0 queued\r\n")
        peer.take_quit()

    def open_the_gate():
        # The server has all that was sent, and the dot was not.
        if gate.callback is None or not waits.is_set():
            reactor.call_later(0.001, open_the_gate)
        else:
            gate.callback(None)

    send(script, gate, message, in_envelope=in_envelope)
    reactor.call_soon(open_the_gate)
    reactor.run()
    assert gate.asked == [{"from": ENVELOPE["from"], "to": [ENVELOPE["to"]]}]
    assert diary.names() == ["connect", "sent", "end"]
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.messageSize == len(message) + 3


def test_a_real_server_waits_for_a_second(smtp_server, reactor, diary):
    connection = SMTPConnection(
        host=smtp_server.host,
        port=smtp_server.port,
        beforeCommit=lambda envelope, callback: reactor.call_later(1, callback, None),
        reactor=reactor,
    )
    connection.connect()
    connection.send(ENVELOPE, MESSAGE, diary.callback("sent"))
    connection.quit()
    reactor.run()
    ((err, _),) = diary.of("sent")
    assert err is None
    assert [each.content for each in smtp_server.messages] == [MESSAGE]


def test_the_gate_learns_who_is_accepted(send, reactor):
    asked = []

    def gate(envelope, callback):
        asked.append(envelope)
        callback(None)

    def script(peer):
        peer.greet()
        turns = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("RCPT", "550 no"), ("DATA", "354 go")]
        peer.play_envelope(*turns, pipelining=False)
        peer.read_message()
        peer.send("250 ok\r\n")
        peer.take_quit()

    send(script, gate, envelope=TO_TWO)
    reactor.run()
    assert asked == [{"from": TO_TWO["from"], "to": [TO_TWO["to"][0]]}]


def test_the_gate_is_asked_for_each_message(serve, connect_to, reactor, diary):
    asked = []

    def script(peer):
        peer.greet("PIPELINING")
        for _ in range(3):
            turns = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")]
            peer.play_envelope(*turns, pipelining=True)
            assert peer.read_message() == MESSAGE
            peer.send("250 ok\r\n")
        peer.take_quit()

    def gate(envelope, callback):
        asked.append(envelope)
        threading.Thread(target=callback, args=(None,)).start()  # from any thread

    connection = connect_to(serve(script), beforeCommit=gate)
    connection.connect()
    for _ in range(3):
        connection.send(ENVELOPE, MESSAGE, diary.callback("sent"))
    connection.quit()
    reactor.run()
    assert len(asked) == 3
    assert [err for err, _ in diary.of("sent")] == [None] * 3


def refuse(envelope, callback):
    callback(RuntimeError("not today"))


def fail(envelope, callback):
    raise RuntimeError("not today")


@pytest.mark.parametrize("gate", [refuse, fail, lambda envelope, callback: callback("not today")])
def test_a_closed_gate_drops_the_connection(send, reactor, diary, gate):
    def script(peer):
        held(peer)
        peer.expect_end()
        assert peer.received.endswith(MESSAGE)

    send(script, gate)
    reactor.run()
    ((err, info),) = diary.of("sent")
    assert (err.code, err.command, err.inDoubt, err.permanent) == ("EABORT", "DATA", False, False)
    assert str(err) == "beforeCommit has stopped the message: not today"
    assert str(err.__cause__) == "not today"
    assert info is None


def test_a_gate_that_never_answers_runs_into_the_time_out(send, reactor, diary, let_pass):
    asked = threading.Event()

    def script(peer):
        held(peer)
        assert asked.wait(20)
        let_pass(61)
        peer.expect_end()
        assert peer.received.endswith(MESSAGE)

    send(script, lambda envelope, callback: asked.set(), socketTimeout=60_000)
    reactor.run()
    ((err, _),) = diary.of("sent")
    assert (err.code, err.inDoubt) == ("ETIMEDOUT", False)
    assert str(err) == "Timeout: silence for 60000 ms, waiting for beforeCommit"


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        ("451 4.7.1 no time", "EMESSAGE", "Message failed: 451 4.7.1 no time"),
        ("421 4.3.2 going down", "ECONNECTION", None),
        ("250 already", "EPROTOCOL", "The server replied before the message ended: 250 already"),
    ],
)
def test_what_the_server_says_at_the_gate(send, reactor, diary, reply, code, text):
    def script(peer):
        held(peer)
        peer.send(f"{reply}\r\n")
        peer.expect_end()
        assert peer.received.endswith(MESSAGE)

    gate = Gate()
    connection = send(script, gate)
    reactor.run()
    ((err, _),) = diary.of("sent")
    assert (err.code, err.inDoubt) == (code, False)
    assert text in (None, str(err))
    # An answer that comes too late does nothing.
    gate.callback(None)
    reactor.run()
    assert connection.destroyed
    assert diary.names().count("sent") == diary.names().count("end") == 1


@pytest.mark.parametrize("how", ["hang up", "close"])
def test_the_end_at_the_gate_leaves_no_doubt(send, reactor, diary, how):
    gate = Gate()

    def script(peer):
        held(peer)
        if how == "hang up":
            peer.close()
        else:
            peer.expect_end()

    def close():
        if gate.callback is None:
            reactor.call_later(0.001, close)
        else:
            connection.close()

    connection = send(script, gate)
    if how == "close":
        reactor.call_soon(close)
    reactor.run()
    ((err, _),) = diary.of("sent")
    assert (err.code, err.inDoubt) == ("ECONNECTION", False)


def test_behind_the_gate_a_lost_verdict_is_in_doubt(send, reactor, diary):
    def script(peer):
        peer.greet()
        peer.play_envelope(
            ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), pipelining=False
        )
        assert peer.read_message() == MESSAGE
        peer.close()

    send(script, lambda envelope, callback: callback(None))
    reactor.run()
    ((err, _),) = diary.of("sent")
    assert (err.code, err.inDoubt) == ("ECONNECTION", True)


def test_lmtp_has_a_gate_as_well(send, reactor, diary):
    def script(peer):
        peer.greet(verb="LHLO")
        turns = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")]
        peer.play_envelope(*turns, pipelining=False)
        assert peer.read_message() == MESSAGE
        peer.send("250 one\r\n452 4.2.2 two\r\n")
        peer.take_quit()

    send(script, lambda envelope, callback: callback(None), envelope=TO_TWO, lmtp=True)
    reactor.run()
    ((err, info),) = diary.of("sent")
    assert err is None
    assert (info.accepted, info.rejected) == ([TO_TWO["to"][0]], [TO_TWO["to"][1]])


def test_what_is_no_gate_is_refused(reactor):
    async def gate(envelope, callback):
        callback(None)

    with pytest.raises(
        TypeError, match=r"option 'beforeCommit' takes a function of \(envelope, ca"
    ):
        SMTPConnection(beforeCommit=5, reactor=reactor)
    with pytest.raises(TypeError, match="an 'async def' function, which a callback cannot be"):
        SMTPConnection(beforeCommit=gate, reactor=reactor)
    with pytest.raises(SMTPError, match=r"envelope 'beforeCommit' is a function of \(envelope, ca"):
        Envelope.parse({**ENVELOPE, "beforeCommit": "x"})


def test_the_log_shows_the_dot_behind_the_gate(send, reactor):
    entries = []

    def script(peer):
        peer.greet()
        turns = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")]
        peer.play_envelope(*turns, pipelining=False)
        assert peer.read_message() == MESSAGE
        peer.send("250 ok\r\n")
        peer.take_quit()

    def gate(envelope, callback):
        entries.append(("gate", ""))
        callback(None)

    connection = send(script, gate, debug=True)
    connection.on("log", lambda entry: entries.append((entry.type, entry.message)))
    reactor.run()
    at = entries.index(("gate", ""))
    assert [kind for kind, _ in entries[at - 1 : at + 3]] == ["stream", "gate", "stream", "server"]
