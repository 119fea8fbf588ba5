"""asyncio turns a reactor: each kind of loop, with sessions that are real."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smtp_connection import Reactor, SMTPConnection
from smtp_connection.hosting import attach
from tests.support.helpers import fail_with, in_thread


class Proactor(asyncio.SelectorEventLoop):
    """Watches no descriptors, as the loop that Windows has."""

    def add_reader(self, *args: Any) -> None:
        raise NotImplementedError


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "selector": asyncio.SelectorEventLoop,
    "proactor": Proactor,
}
if importlib.util.find_spec("uvloop"):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
    uvloop.new_event_loop().close()  # the first one opens a pipe for all of them


@pytest.fixture(params=list(LOOPS))
def loop(request) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of each kind, in debug mode, that fails the test when its handler gets an error."""
    loop = LOOPS[request.param]()
    loop.set_debug(True)
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield loop
    loop.close()
    assert errors == []


def send(server: Any, reactor: Reactor, callback: Callable[..., object]) -> SMTPConnection:
    connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
    connection.connect()
    connection.send({"from": "a@x.org", "to": "b@x.org"}, "Subject: hi\n\nhello", callback)
    return connection


def test_sessions_run_beside_coroutines(loop, hosted, smtp_server):
    async def main() -> None:
        hosting = attach(hosted)
        sent = [loop.create_future() for _ in range(3)]
        for each in sent:
            connection = send(
                smtp_server, hosted, lambda err, info, each=each: each.set_result(err)
            )
            connection.quit()
            ends.append(loop.create_future())
            connection.on("end", lambda end=ends[-1]: end.set_result(None))
        assert await asyncio.gather(*sent) == [None] * 3
        await asyncio.gather(*ends)
        while hosted.has_work:
            await asyncio.sleep(0)
        hosting.detach()

    ends: list[asyncio.Future[None]] = []
    loop.run_until_complete(main())
    assert len(smtp_server.messages) == 3


def test_it_survives_that_it_is_idle(loop, hosted, smtp_server):
    async def main() -> None:
        with attach(hosted):
            for _ in range(2):
                ended = loop.create_future()
                connection = send(smtp_server, hosted, lambda err: errors.append(err))
                connection.quit()
                connection.on("end", lambda ended=ended: ended.set_result(None))
                await ended
                while hosted.has_work:
                    await asyncio.sleep(0)
                for _ in range(20):
                    await asyncio.sleep(0)

    errors: list[Any] = []
    loop.run_until_complete(main())
    assert errors == [None, None]
    assert len(smtp_server.messages) == 2


def test_idle_it_is_not_turned(loop, hosted, monkeypatch):
    async def main() -> None:
        with attach(hosted):
            called = loop.create_future()
            hosted.call_soon(called.set_result, None)
            await called
            for _ in range(5):
                await asyncio.sleep(0)
            turns: list[None] = []
            run_once = hosted.run_once
            monkeypatch.setattr(
                hosted, "run_once", lambda wait: (turns.append(None), run_once(wait))
            )
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert turns == []
            called = loop.create_future()
            hosted.call_soon(called.set_result, None)
            await called
            assert turns

    loop.run_until_complete(main())


def test_errors_reach_the_exception_handler_and_stop_nobody(loop, hosted):
    async def main() -> None:
        with attach(hosted):
            called = loop.create_future()
            hosted.call_soon(fail_with, "one")
            hosted.call_soon(fail_with, "two")
            hosted.call_soon(called.set_result, None)
            await called

    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    loop.run_until_complete(main())
    assert [str(each["exception"]) for each in contexts] == ["one", "two"]
    assert {each["message"] for each in contexts} == {"A callback of smtp_connection has failed"}


def test_an_error_that_nobody_hears_reaches_the_exception_handler(loop, hosted, smtp_server):
    async def main() -> None:
        smtp_server.reply("EHLO", "421 not now")
        with attach(hosted):
            ended = loop.create_future()
            connection = SMTPConnection(
                host=smtp_server.host, port=smtp_server.port, reactor=hosted
            )
            connection.on("end", lambda: ended.set_result(None))
            connection.connect()
            await ended
            while hosted.has_work:
                await asyncio.sleep(0)

    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    loop.run_until_complete(main())
    assert [each["exception"].code for each in contexts] == ["ECONNECTION"]


def test_the_end_of_the_program_passes(loop, hosted):
    def end() -> None:
        raise SystemExit(3)

    async def main() -> None:
        attach(hosted)
        hosted.call_soon(end)
        await loop.create_future()

    task = loop.create_task(main())
    with pytest.raises(SystemExit):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert hosted.hosting is not None
    hosted.hosting.detach()


def test_timers_fire(loop, hosted):
    async def main() -> None:
        with attach(hosted):
            fired = loop.create_future()
            hosted.call_later(0.001, fired.set_result, "fired")
            assert await fired == "fired"

    loop.run_until_complete(main())


def test_other_threads_are_heard(loop, hosted):
    async def main() -> None:
        with attach(hosted):
            called = loop.create_future()
            thread = in_thread(hosted.call_soon, called.set_result, "called")
            assert await called == "called"
            thread.join()

    loop.run_until_complete(main())


def test_a_closed_loop_makes_room_for_the_next_one(loop, hosted):
    async def main() -> None:
        attach(hosted)
        called = asyncio.get_running_loop().create_future()
        hosted.call_soon(called.set_result, None)
        await called

    asyncio.run(main())
    loop.run_until_complete(main())
    loop.close()
    hosted.hosting.detach()


def test_attached_twice_it_is_the_same(loop, hosted):
    async def main() -> None:
        with attach(hosted) as hosting:
            assert attach(hosted) is hosting

    loop.run_until_complete(main())


def test_callbacks_do_not_run_in_the_context_of_who_attached_the_reactor(loop, hosted):
    async def main() -> None:
        request.set("of somebody")
        with attach(hosted):
            seen = loop.create_future()
            hosted.call_later(0, lambda: seen.set_result(request.get(None)))
            assert await seen is None

    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    loop.run_until_complete(main())


def test_a_loop_has_to_run(hosted):
    with pytest.raises(RuntimeError, match="no running event loop"):
        attach(hosted)
