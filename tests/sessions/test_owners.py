"""Sockets and pipes that were handed over, and that their owners close at any moment."""

from __future__ import annotations

import os
import socket

import pytest

from smtp_connection import Reactor, SMTPConnection
from tests.support.helpers import SELECTORS
from tests.support.sessions import ENVELOPE

SAID = ("220 ready", "250 me", "250 ok", "250 ok", "354 go")


@pytest.fixture(params=SELECTORS, ids=lambda kind: kind.__name__)
def reactor(request, movable_clock):
    """A reactor that has one of the selectors of this system."""
    with Reactor(clock=movable_clock, selector=request.param()) as reactor:
        yield reactor
        assert not reactor._handles
        assert not reactor._timers.live


@pytest.fixture
def stranger_is_served(reactor):
    """Check that the sockets that come next, with the numbers of the last ones, are served."""

    def check():
        pairs = [socket.socketpair() for _ in range(4)]
        read = []

        def readable(near):
            read.append(near.recv(10))
            reactor.remove_reader(near)

        for near, far in pairs:
            reactor.add_reader(near, lambda near=near: readable(near))
            far.send(b"hello")
        reactor.run()
        for pair in pairs:
            for end in pair:
                end.close()
        assert read == [b"hello"] * len(pairs)

    return check


@pytest.mark.parametrize("stage", range(len(SAID) + 1))
@pytest.mark.parametrize("then", ["waits", "closes", "goes on"])
def test_a_connection_that_its_owner_closes_ends(
    by_hand, diary, reactor, movable_clock, stranger_is_served, stage, then
):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.settle()
    for reply in SAID[:stage]:
        peer.feed(f"{reply}\r\n")
    peer.client_end.close()
    if then == "closes":
        connection.close()
    elif then == "goes on":
        connection.send(ENVELOPE, "hi", diary.callback("next"))
    movable_clock.ahead += 2
    reactor.run()

    connected = ["connect"] if stage > 1 else []
    failed = [] if then == "closes" else ["error"]
    more = ["next"] if then == "goes on" else []
    assert diary.names() == [*connected, *failed, "sent", *more, "end"]
    code = "ECONNECTION" if then == "closes" else "EBADF"
    assert diary.error("sent").code == code
    stranger_is_served()


@pytest.mark.parametrize("then", ["waits", "closes"])
def test_a_socket_that_its_owner_closes_while_it_is_being_connected(
    full_port, diary, reactor, movable_clock, stranger_is_served, then
):
    own = socket.socket()
    connection = SMTPConnection(host="127.0.0.1", port=full_port, socket=own, reactor=reactor)
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    for _ in range(3):
        reactor.run_once(0)
    own.close()
    if then == "closes":
        connection.close()
    else:
        movable_clock.ahead += 2
    reactor.run()
    assert diary.names() == [*([] if then == "closes" else ["error"]), "connected", "end"]
    assert diary.error("connected").code == ("ECONNECTION" if then == "closes" else "EBADF")
    stranger_is_served()


def test_a_connection_that_its_owner_closes_harms_no_other(by_hand, diary, reactor, movable_clock):
    connection, peer = by_hand()
    connection.connect()
    peer.settle()
    connection, other = by_hand(errors=False)
    connection.connect(diary.callback("other"))
    other.settle()
    peer.client_end.close()
    for reply in ("220 ready", "250 me"):
        other.feed(f"{reply}\r\n")
    assert ("other", None, None) in diary.entries
    connection.close()
    other.hang_up()
    movable_clock.ahead += 2
    reactor.run()


def test_an_idle_connection_that_its_owner_closes_just_ends(
    by_hand, diary, reactor, movable_clock, stranger_is_served
):
    connection, peer = by_hand()
    connection.connect()
    for reply in SAID[:2]:
        peer.feed(f"{reply}\r\n")
    peer.client_end.close()
    movable_clock.ahead += 2
    reactor.run()
    assert diary.names() == ["connect", "end"]
    stranger_is_served()


def test_a_connection_may_be_closed_in_the_listener_of_error(
    by_hand, diary, reactor, stranger_is_served
):
    connection, peer = by_hand()
    connection.on("error", lambda err: peer.client_end.close())
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.feed("554 no\r\n")
    reactor.run()
    assert diary.names() == ["error", "sent", "end"]
    stranger_is_served()


def test_a_connection_may_be_closed_while_a_message_is_sent(
    by_hand, diary, reactor, stranger_is_served
):
    def pieces():
        yield "x" * 100_000
        peer.client_end.close()
        yield "y"

    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, pieces(), diary.callback("sent"))
    for reply in SAID:
        peer.feed(f"{reply}\r\n")
        peer.heard()
    reactor.run()
    assert diary.names() == ["connect", "error", "sent", "end"]
    assert diary.error("sent").code == "EBADF"
    stranger_is_served()


def test_a_connection_may_be_closed_while_its_end_is_waited_for(
    by_hand, diary, reactor, movable_clock, stranger_is_served
):
    connection, peer = by_hand(socketCloseTimeout=1e9)
    connection.connect()
    for reply in SAID[:2]:
        peer.feed(f"{reply}\r\n")
    connection.close()
    peer.settle()
    peer.client_end.close()
    movable_clock.ahead += 2
    reactor.run()
    assert diary.names() == ["connect", "end"]
    stranger_is_served()


@pytest.mark.parametrize("when", ["before", "while it is waited for", "in between"])
@pytest.mark.parametrize("kind", ["pipe", "buffered pipe", "socket"])
def test_a_source_that_its_owner_closes_fails(
    by_hand, diary, reactor, movable_clock, stranger_is_served, kind, when
):
    if kind == "socket":
        source, other = socket.socketpair()
    else:
        ends = os.pipe()
        source = open(ends[0], "rb", buffering=-1 if kind == "buffered pipe" else 0)  # noqa: SIM115
        other = open(ends[1], "wb", buffering=0)  # noqa: SIM115
    write = other.send if kind == "socket" else other.write
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, source, diary.callback("sent"))
    connection.send(ENVELOPE, "hi", diary.callback("next"))
    if when == "before":
        source.close()
    for reply in SAID[:2]:
        peer.feed(f"{reply}\r\n")
    if when == "while it is waited for":
        source.close()
        movable_clock.ahead += 2
        peer.settle()
    elif when == "in between":
        write(b"the first piece")
        peer.settle()
        for reply in SAID[2:]:
            peer.feed(f"{reply}\r\n")
        source.close()
        movable_clock.ahead += 2
        peer.settle()
        assert diary.error("sent").code == "ESTREAM"
    if when != "in between":
        for reply in (*SAID[2:], "250 queued"):
            peer.feed(f"{reply}\r\n")
        assert diary.error("sent").code == "ESTREAM"
        assert diary.of("next")[0][0] is None
    connection.close()
    peer.hang_up()
    reactor.run()
    assert diary.names()[-1] == "end"
    other.close()
    stranger_is_served()
