"""The program for asyncio stands what happens in asyncio: cancelled callers, and exceptions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smtp_connection import SMTPConnection, SMTPError
from smtp_connection.testing import SMTPServer
from tests.support.manual import PROGRAMS


def recipe() -> dict[str, Any]:
    """Return what the program for asyncio defines."""
    definitions, call, _ = PROGRAMS["inside-asyncio"].partition("asyncio.run(")
    assert call
    found: dict[str, Any] = {}
    exec(definitions, found)
    return found


def send_into(connection: SMTPConnection, callback: Any) -> None:
    connection.send({"from": "a@x.org", "to": "b@x.org"}, "Subject: hi\n\nhello", callback)


def test_a_cancelled_caller_stops_nobody_else(reactor, smtp_server):
    async def main(host: Any, into: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        given_up, sent = loop.create_future(), loop.create_future()
        connection.connect()
        send_into(connection, into(given_up))
        send_into(connection, into(sent))
        connection.quit()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(given_up, 0)
        assert given_up.cancelled()
        hosting = asyncio.create_task(host(reactor))
        assert (await sent).accepted == ["b@x.org"]
        await hosting

    failures: list[dict[str, Any]] = []
    connection = SMTPConnection(host=smtp_server.host, port=smtp_server.port, reactor=reactor)
    found = recipe()
    asyncio.run(main(found["host"], found["into"]))
    assert len(smtp_server.messages) == 2
    assert connection.destroyed
    assert failures == []


def test_a_failure_reaches_the_caller(reactor):
    async def main(host: Any, into: Any) -> None:
        sent = asyncio.get_running_loop().create_future()
        connection.connect()
        send_into(connection, into(sent))
        await host(reactor)
        with pytest.raises(SMTPError) as caught:
            await sent
        assert caught.value.code == "ECONNREFUSED"

    with SMTPServer() as gone:
        pass
    connection = SMTPConnection(host=gone.host, port=gone.port, reactor=reactor)
    found = recipe()
    asyncio.run(main(found["host"], found["into"]))


def test_a_callback_that_raises_stops_nobody_else(reactor, smtp_server):
    def fail() -> None:
        raise ZeroDivisionError

    async def main(host: Any, into: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        sent = loop.create_future()
        connection.connect(fail)
        send_into(connection, into(sent))
        connection.quit()
        await host(reactor)
        reactor.call_soon(fail)  # the last thing that happens
        await host(reactor)
        assert (await sent).accepted == ["b@x.org"]

    failures: list[Exception] = []
    connection = SMTPConnection(host=smtp_server.host, port=smtp_server.port, reactor=reactor)
    found = recipe()
    asyncio.run(main(found["host"], found["into"]))
    assert [type(failure) for failure in failures] == [ZeroDivisionError, ZeroDivisionError]


def test_a_cancelled_host_can_be_started_again(reactor, smtp_server):
    async def main(host: Any, into: Any) -> None:
        sent = asyncio.get_running_loop().create_future()
        connection.connect()
        send_into(connection, into(sent))
        connection.quit()
        hosting = asyncio.create_task(host(reactor))
        await asyncio.wait([hosting], timeout=0)
        hosting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hosting
        assert not sent.done()
        assert not asyncio.get_running_loop().remove_reader(reactor.fileno())
        await host(reactor)
        assert (await sent).accepted == ["b@x.org"]

    connection = SMTPConnection(host=smtp_server.host, port=smtp_server.port, reactor=reactor)
    found = recipe()
    asyncio.run(main(found["host"], found["into"]))
