"""What only whole sessions need: how they end badly, and both sides by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smtp_connection import Reactor, SMTPConnection, SMTPError
from tests.support.diary import Diary
from tests.support.helpers import check_error_of_another
from tests.support.scripted_server import Peer, Script, ScriptedServer
from tests.support.sessions import Point
from tests.support.smtp_server import Session


@pytest.fixture
def fail_at(
    serve: Callable[..., ScriptedServer],
    connect_to: Callable[..., SMTPConnection],
    reactor: Reactor,
    diary: Diary,
) -> Callable[..., SMTPError]:
    """Let a session end badly, check that all who are concerned hear of it once and in order, and
    return the error: ``err = fail_at(point, ending)``."""

    def run(point: Point, ending: Script, **options: Any) -> SMTPError:
        def script(peer: Peer) -> None:
            point.approach(peer)
            ending(peer)

        connection = connect_to(serve(script), **point.options, **options)
        connection.connect(diary.callback("connected"))
        point.call(connection, diary.callback("operation"))
        connection.reset(diary.callback("later"))
        reactor.run()

        pending = ["operation", "later"] if point.connected else ["connected", "operation", "later"]
        before = ["connect", "connected"] if point.connected else []
        assert diary.names() == [*before, "error", *pending, "end"]
        err = diary.error()
        under_way, *others = pending
        assert diary.of(under_way) == [(err, None)]
        for name in others:
            other = diary.error(name)
            check_error_of_another(other, err)
            assert other.permanent == (err.permanent and not point.connected)
        assert len({id(diary.error(name)) for name in pending}) == len(pending)
        assert connection.destroyed
        return err

    return run


@pytest.fixture
def talk(by_hand: Callable[..., Any]) -> Callable[..., Any]:
    """Return a connection, the server's part of the session, and a function that lets both go on
    until nothing happens any more: ``talk(*extensions, **options)``."""

    def open_session(*extensions: str, **options: Any) -> Any:
        connection, peer = by_hand(**options)
        session = Session(*extensions)
        connection.connect()
        peer.feed(session.greet())

        def go_on() -> None:
            peer.settle()
            while heard := peer.heard():
                replies = session.take(heard)
                if replies:
                    peer.feed(replies)
                peer.settle()

        go_on()
        return connection, session, go_on

    return open_session
