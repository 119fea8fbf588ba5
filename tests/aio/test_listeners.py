"""Listeners that are coroutine functions, and what becomes of what they raise."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from smtp_connection import SMTPConnection as CallbackConnection
from tests.aio.conftest import turns


class Methods:
    def __init__(self):
        self.calls = []

    async def method(self, *args):
        await asyncio.sleep(0)
        self.calls.append(args)

    async def __call__(self, entry=None):
        self.calls.append(("called", entry))


def test_a_coroutine_function_gets_what_it_declares(run_here, at_desk):
    async def main():
        desk = at_desk(debug=True)
        methods = Methods()
        heard = []

        async def one(err):
            heard.append(err)

        async def none():
            heard.append("none")

        connection = desk.connection.on("error", one).on("end", none).on("end", methods.method)
        connection.on("connect", methods)
        connection.on("end", partial(methods.method, "partial"))
        await desk.open()
        desk.peer.feed("250 nobody has asked\r\n")
        await turns()
        error, ended = heard
        assert (error.code, ended) == ("EPROTOCOL", "none")
        assert sorted(methods.calls, key=str) == [("called", None), ("partial",), ()]

    run_here(main())


def test_once_off_and_decorators(run_here, at_desk):
    async def main():
        desk = at_desk(debug=True)
        heard = []

        async def removed(entry):
            heard.append("removed")

        desk.connection.on("log", removed).off("log", removed)

        @desk.connection.once("log")
        async def once(entry):
            heard.append(entry.type)

        await desk.open()
        assert heard == ["socket"]
        assert desk.connection.listenerCount("log") == 0

    run_here(main())


def test_what_it_raises_goes_to_the_handler(run_here, at_desk):
    async def main():
        desk = at_desk()

        async def fail():
            raise LookupError("why")

        async def wait():
            await asyncio.Event().wait()

        desk.connection.on("connect", fail).on("connect", wait)
        await desk.open()
        (waiting,) = desk.connection._tasks._tasks
        waiting.cancel()
        await turns()
        assert not desk.connection._tasks._tasks

    run_here(main())
    (context,) = run_here.errors
    assert context["message"] == "A listener of smtp_connection has failed"
    assert str(context["exception"]) == "why"
    assert context["task"].done()
    run_here.errors.clear()


def test_an_error_that_it_hears_is_heard(run_here, serve):
    from smtp_connection.aio import SMTPConnection

    def script(peer):
        peer.greet()
        peer.send("250 nobody has asked\r\n")
        peer.expect_end()

    async def main():
        connection = SMTPConnection(host=server.host, port=server.port)

        async def hear(err):
            heard.append(err.code)

        connection.on("error", hear)
        await connection.connect()
        await connection.wait_closed()
        await turns()

    heard = []
    server = serve(script)
    run_here(main())
    assert heard == ["EPROTOCOL"]


def test_what_cannot_be_called_is_refused(at_desk, reactor):
    connection = at_desk().connection
    with pytest.raises(TypeError, match="a callback is a callable"):
        connection.on("end", 5)

    async def generator():
        yield

    with pytest.raises(TypeError, match="async def"):
        connection.on("end", generator)

    async def listener():
        pass

    with pytest.raises(TypeError, match=r"smtp_connection\.aio"):
        CallbackConnection(reactor=reactor).on("end", listener)
