"""The event ``'progress'`` while a large message is sent."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPConnection
from tests.support.sessions import ENVELOPE
from tests.support.smtp_server import BackgroundServer

LARGE = b"one line of many, ending as it should\r\n" * 40_000


@pytest.fixture
def send(reactor, diary):
    """Send ``messages`` to a server that takes them; return what has been told of them."""

    def run(*messages, listen=True):
        told = []
        with BackgroundServer() as server:
            connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
            diary.listen(connection)
            if listen:
                connection.on("progress", told.append)
                connection.on("progress", lambda progress: diary.entries.append(("progress",)))
            connection.connect()
            for message in messages:
                connection.send(ENVELOPE, message, diary.callback("sent"))
            connection.quit()
            reactor.run()
        return [(progress.sent, progress.total) for progress in told]

    return run


def test_a_large_message_is_followed_to_its_end(send, diary):
    told = send(LARGE)
    size = diary.of("sent")[0][1].messageSize
    assert size == len(LARGE) + 3
    assert len(told) > 10
    assert told == sorted(told)
    assert {total for _, total in told} == {size}
    assert told[-1] == (size, size)
    # All of it comes before the callback.
    assert diary.names() == ["connect", *["progress"] * len(told), "sent", "end"]


def test_where_the_size_is_not_known_there_is_no_total(send, diary):
    told = send(LARGE[start : start + 100_000] for start in range(0, len(LARGE), 100_000))
    assert {total for _, total in told} == {None}
    assert told[0][0] > 256 * 1024
    assert told[-1][0] == len(LARGE) + 3


def test_each_message_is_counted_by_itself_and_small_ones_are_not(send):
    half = LARGE[: len(LARGE) // 2]
    totals = [total for _, total in send("small", LARGE, half, b"x" * 200_000)]
    assert sorted(set(totals)) == [len(half) + 3, len(LARGE) + 3]


def test_nobody_has_to_listen(send, diary):
    assert send(LARGE, listen=False) == []
    assert diary.names() == ["connect", "sent", "end"]


def test_after_a_source_has_failed_nothing_is_told(send, diary):
    def pieces():
        yield LARGE
        raise OSError("disk on fire")

    send(pieces())
    assert diary.error("sent").code == "ESTREAM"
    assert diary.names()[-3:] == ["error", "sent", "end"]


def test_a_listener_may_close_the_connection(reactor, diary):
    with BackgroundServer() as server:
        connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
        diary.listen(connection)
        connection.once("progress", lambda progress: connection.close())
        connection.connect()
        connection.send(ENVELOPE, LARGE, diary.callback("sent"))
        reactor.run()
    assert diary.names() == ["connect", "sent", "end"]
    assert diary.error("sent").code == "ECONNECTION"
