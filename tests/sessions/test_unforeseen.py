"""Exceptions of a kind that nobody has listed, from anywhere: memory runs out, a signal's handler
raises, a socket of the caller's has bugs.  The connection fails at once, and says what is certain.
"""

from __future__ import annotations

import contextlib
import socket

import pytest

from smtp_connection import SMTPConnection
from smtp_connection.driver.dialing import Dialing
from smtp_connection.driver.events import Events
from smtp_connection.driver.exchange import Exchange
from smtp_connection.driver.lifecycle import Lifecycle
from smtp_connection.driver.queue import Operation, Operations
from smtp_connection.message.sources import IterableSource
from smtp_connection.reactor.handles import Handle
from smtp_connection.reactor.timers import Timer
from tests.support.scripted_server import HandFedPeer
from tests.support.sessions import ENVELOPE, PASSWORD

OPENING = ("220 hi", "250 scripted")
TO_DATA = ("250 from", "250 to", "354 go")


class Unforeseen(BaseException):
    """No module has ever heard of it."""


class TrickySocket(socket.socket):
    """A socket of the caller's: ``trick`` is called before each call to the system, and after it
    with what came of it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, fileno=sock.detach())
        self.before = self.after = lambda *args: None

    def send(self, data, flags=0):
        self.before("send", data)
        sent = super().send(data, flags)
        self.after("send", data[:sent])
        return sent

    def recv(self, size, flags=0):
        self.before("recv", size)
        data = super().recv(size, flags)
        self.after("recv", data)
        return data

    def close(self):
        super().close()
        self.after("close", b"")


@pytest.fixture
def tricky(reactor, diary):
    """A connection that uses a ``TrickySocket``, its peer, and that socket."""
    peer = HandFedPeer(reactor)
    sock = TrickySocket(peer.client_end)
    options = {"connection": sock, "name": "me", "socketCloseTimeout": 0}
    connection = SMTPConnection(options, reactor=reactor)
    diary.listen(connection)
    yield connection, peer, sock
    sock.before = sock.after = lambda *args: None
    sock.close()
    peer.hang_up()


def feed_all(peer, replies):
    for reply in replies:
        peer.feed(f"{reply}\r\n")


def raise_once(sock, moment, condition):
    """Let ``sock`` raise ``Unforeseen`` at the first call that ``condition`` chooses."""

    def trick(name, value):
        if condition(name, value):
            setattr(sock, moment, lambda *args: None)
            raise Unforeseen

    setattr(sock, moment, trick)


def interrupt_once(monkeypatch, owner, name, *, before=True):
    """Let ``owner.name`` raise ``Unforeseen`` at its next call, ``before`` it does anything or at
    its end."""
    method = getattr(owner, name)

    def interrupted(*args, **more):
        monkeypatch.setattr(owner, name, method)
        if not before:
            method(*args, **more)
        raise Unforeseen

    monkeypatch.setattr(owner, name, interrupted)


def run_raises(reactor):
    with pytest.raises(Unforeseen):
        reactor.run()
    reactor.run()


# -- the connection fails at once ------------------------------------------------------------------


@pytest.mark.parametrize("call", ["recv", "send"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_socket_that_raises(tricky, reactor, diary, call, moment):
    connection, peer, sock = tricky
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.reset(diary.callback("later"))
    feed_all(peer, OPENING)
    raise_once(sock, moment, lambda name, value: name == call)
    peer.sock.sendall(b"250 from\r\n")

    run_raises(reactor)
    assert diary.names() == ["connect", "error", "sent", "later", "end"]
    err = diary.error("sent")
    assert (err.code, err.inDoubt) == ("ECONNECTION", False)
    assert isinstance(err.__cause__, Unforeseen)


@pytest.mark.parametrize("name", ["close", "shutdown"])
def test_a_system_that_has_trouble_with_the_end(reactor, diary, monkeypatch, name):
    peer = HandFedPeer(reactor)
    options = {"connection": peer.client_end, "name": "me", "socketCloseTimeout": 60_000}
    connection = SMTPConnection(options, reactor=reactor)
    diary.listen(connection)
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    feed_all(peer, OPENING)
    interrupt_once(monkeypatch, socket.socket, name, before=name == "shutdown")
    if name == "shutdown":
        connection.close()
    else:
        peer.sock.sendall(b"250 from\r\n250 and more\r\n")

    run_raises(reactor)
    failed = [] if name == "shutdown" else ["error"]
    assert diary.names() == ["connect", *failed, "sent", "end"]
    assert peer.client_end.fileno() == -1
    peer.hang_up()


# -- what is certain -------------------------------------------------------------------------------


def send_message(connection, peer, diary, message="hi"):
    connection.connect()
    connection.send(ENVELOPE, message, diary.callback("sent"))
    feed_all(peer, OPENING)
    feed_all(peer, TO_DATA[:2])


def is_end(name, data):
    return name == "send" and bytes(data).endswith(b"\r\n.\r\n")


def test_the_end_of_a_message_may_have_been_sent(tricky, reactor, diary):
    connection, peer, sock = tricky
    send_message(connection, peer, diary)
    raise_once(sock, "after", is_end)
    peer.sock.sendall(b"354 go\r\n")

    run_raises(reactor)
    assert peer.heard().endswith(b"\r\nhi\r\n.\r\n")
    assert diary.error("sent").inDoubt


def test_the_end_of_a_message_that_had_to_wait_may_have_been_sent(tricky, reactor, diary):
    connection, peer, sock = tricky
    send_message(connection, peer, diary, b"x" * 5_000_000)
    peer.feed("354 go\r\n")
    raise_once(sock, "after", is_end)

    pieces = []

    def take():
        pieces.append(peer.heard())
        if not diary.of("sent"):
            reactor.call_soon(take)

    reactor.call_soon(take)
    run_raises(reactor)
    assert diary.error("sent").inDoubt
    while pieces[-1]:
        pieces.append(peer.heard())
    assert b"".join(pieces).endswith(b"x\r\n.\r\n")


def test_the_end_of_a_message_was_not_sent(tricky, reactor, diary):
    connection, peer, _ = tricky
    send_message(connection, peer, diary, b"x" * 5_000_000)
    peer.feed("354 go\r\n")
    connection.close()  # without a reactor that runs: the socket is dropped at once
    reactor.run()
    assert not diary.error("sent").inDoubt


def test_a_verdict_that_was_heard_and_not_understood(by_hand, reactor, diary, monkeypatch):
    """The server may have accepted the message, and the exception has ended the dialogue that would
    have said so."""

    def refuse(*args, **kwargs):
        raise Unforeseen

    connection, peer = by_hand()
    send_message(connection, peer, diary)
    peer.feed("354 go\r\n")
    monkeypatch.setattr("smtp_connection.protocol.transaction.SendInfo", refuse)
    peer.sock.sendall(b"250 taken\r\n")

    run_raises(reactor)
    assert diary.error("sent").inDoubt


# -- an interrupt loses no outcome -----------------------------------------------------------------


def test_a_verdict_counts_from_the_moment_that_it_is_known(by_hand, reactor, diary, monkeypatch):
    connection, peer = by_hand(socketCloseTimeout=0)
    send_message(connection, peer, diary)
    connection.reset(diary.callback("later"))
    peer.feed("354 go\r\n")
    interrupt_once(monkeypatch, Operations, "settle")
    peer.sock.sendall(b"250 taken\r\n")

    run_raises(reactor)
    assert diary.names() == ["connect", "error", "sent", "later", "end"]
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.response == "250 taken"


def test_a_verdict_is_that_of_one_operation_alone(by_hand, reactor, diary, monkeypatch):
    connection, peer = by_hand(socketCloseTimeout=0)
    send_message(connection, peer, diary)
    connection.reset(diary.callback("later"))
    peer.feed("354 go\r\n")
    interrupt_once(monkeypatch, Lifecycle, "dialogue_ended", before=False)
    peer.sock.sendall(b"250 taken\r\n")

    run_raises(reactor)
    assert diary.of("sent")[0][0] is None
    assert diary.error("later").code == "ECONNECTION"


@pytest.mark.parametrize("before", [True, False])
def test_the_callback_of_connect_is_called_if_the_event_is_lost(
    by_hand, reactor, diary, monkeypatch, before
):
    connection, peer = by_hand(socketCloseTimeout=0)
    connection.connect(lambda: diary.entries.append(("connected",)))
    interrupt_once(monkeypatch, Events, "emit", before=before)
    with pytest.raises(Unforeseen):
        feed_all(peer, OPENING)
    connection.close()
    reactor.run()
    assert diary.names().count("connected") == 1
    assert diary.names()[-1] == "end"


def test_a_listener_of_connect_that_raises_keeps_nothing_from_connect_itself(
    by_hand, reactor, diary
):
    def fail():
        raise Unforeseen

    connection, peer = by_hand(socketCloseTimeout=0)
    connection.on("connect", fail)
    connection.connect(diary.callback("connected"))
    with pytest.raises(Unforeseen):
        feed_all(peer, OPENING)
    reactor.run_once(0)
    assert diary.of("connected") == [(None, None)]
    connection.close()
    reactor.run()


@pytest.mark.parametrize("settled", [0, 1, 2])
def test_an_end_that_is_interrupted_gives_nobody_the_error_of_another(
    by_hand, reactor, diary, monkeypatch, settled
):
    settle, calls = Operations.settle, []

    def interrupted(*args):
        settle(*args)
        calls.append(args)
        if len(calls) == settled + 1:
            raise Unforeseen

    connection, _ = by_hand(socketCloseTimeout=0)
    for name in ("connect", "login"):
        getattr(connection, name)(*([PASSWORD] if name == "login" else []), diary.callback(name))
    connection.reset(diary.callback("reset"))
    monkeypatch.setattr(Operations, "settle", interrupted)
    connection.close()
    run_raises(reactor)
    assert diary.names() == ["connect", "login", "reset", "end"]
    assert len({id(diary.error(name)) for name in diary.names()[:-1]}) == 3


# -- the second close() finishes what the first could not ------------------------------------------


def test_a_close_that_was_interrupted_says_no_more(by_hand, reactor, diary, monkeypatch):
    connection, peer = by_hand(socketCloseTimeout=0)
    connection.connect()
    connection.reset(diary.callback("reset"))
    interrupt_once(monkeypatch, Exchange, "halt")
    with pytest.raises(Unforeseen):
        connection.close()

    peer.sock.sendall(b"220 hi\r\n")
    reactor.call_soon(connection.close)
    reactor.run()
    assert diary.commands() == []
    assert diary.names() == ["reset", "end"]


def test_a_source_that_was_not_let_go_of_is_let_go_of_then(by_hand, reactor, diary, monkeypatch):
    closed = []

    def source():
        try:
            yield "some text\n" * 500_000
            yield "more"
        finally:
            closed.append(True)

    held = source()
    connection, peer = by_hand(socketCloseTimeout=0)
    send_message(connection, peer, diary, held)
    peer.feed("354 go\r\n")
    interrupt_once(monkeypatch, IterableSource, "close")
    connection.close()
    with pytest.raises(Unforeseen):
        reactor.run()
    assert not closed
    connection.close()
    reactor.run()
    assert closed == [True]
    assert diary.names() == ["connect", "sent", "end"]


@pytest.mark.parametrize(("owner", "name"), [(Handle, "close"), (Timer, "_fire")])
def test_a_socket_that_was_not_dropped_is_dropped_then(
    by_hand, reactor, movable_clock, monkeypatch, owner, name
):
    connection, peer = by_hand(socketCloseTimeout=1000)
    connection.connect()
    feed_all(peer, OPENING)
    connection.close()
    peer.settle()
    interrupt_once(monkeypatch, owner, name)
    movable_clock.ahead += 1
    with pytest.raises(Unforeseen):
        reactor.run()
    connection.close()
    while peer.client_end.fileno() >= 0 and reactor.next_timeout() == 0:
        with contextlib.suppress(Unforeseen):  # from other timers
            reactor.run_once(0)
    assert peer.client_end.fileno() == -1


def test_a_socket_that_was_not_let_go_of_is_let_go_of_at_once(by_hand, reactor, diary, monkeypatch):
    connection, peer = by_hand(socketCloseTimeout=0)
    connection.connect()
    feed_all(peer, OPENING)
    connection.close()
    interrupt_once(monkeypatch, Dialing, "close")
    run_raises(reactor)
    assert diary.names() == ["connect", "end"]
    assert peer.client_end.fileno() == -1


def test_nothing_is_logged_after_the_end(by_hand, reactor, diary, monkeypatch):
    connection, peer = by_hand(socketCloseTimeout=0)
    connection.on("log", lambda entry: diary.entries.append(("log",)))
    connection.connect()
    peer.settle()
    interrupt_once(monkeypatch, Dialing, "close")
    connection.close()
    with pytest.raises(Unforeseen):
        reactor.run()
    peer.sock.sendall(b"220 hi\r\n")
    reactor.run()
    assert diary.names()[-1] == "end"


def test_a_second_close_gives_the_peer_no_more_time(by_hand, reactor, movable_clock):
    connection, peer = by_hand(socketCloseTimeout=1000)
    connection.connect()
    feed_all(peer, OPENING)
    for _ in range(2):
        connection.close()
        peer.settle()
        assert peer.client_end.fileno() >= 0
        movable_clock.ahead += 0.6
    peer.settle()
    assert peer.client_end.fileno() == -1


def test_close_in_the_middle_of_connect(by_hand, reactor, diary, monkeypatch):
    connection, _ = by_hand()
    keep = Events.keep

    def close_first(events):
        connection.close()
        keep(events)

    monkeypatch.setattr(Events, "keep", close_first)
    connection.connect(diary.callback("connected"))
    connection.send({"from": "a@example.com", "to": []}, "hi", diary.callback("sent"))
    reactor.run()
    assert diary.error("sent").code == "ECONNECTION"
    assert diary.error("connected").code == "ECONNECTION"
    assert diary.names().count("end") == 1


def test_what_comes_after_the_end_is_told_again_as_well(by_hand, reactor, diary, monkeypatch):
    connection, _ = by_hand(socketCloseTimeout=0)
    connection.connect()
    connection.on("end", lambda: connection.reset(diary.callback("late")))
    connection.close()
    reactor.run_once(0)
    interrupt_once(monkeypatch, Operation, "tell")
    with pytest.raises(Unforeseen):
        reactor.run()
    connection.close()
    reactor.run()
    assert diary.error("late").code == "ECONNECTION"
