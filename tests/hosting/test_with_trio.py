"""trio hosts a reactor in a task, so errors and the end are trio's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from smtp_connection import Reactor, SMTPConnection
from smtp_connection.hosting import host_trio
from tests.support.helpers import fail_with, in_thread


async def beside(reactor: Reactor, main: Callable[[], Awaitable[object]]) -> None:
    """Run ``main()`` while a task hosts ``reactor``."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host_trio, reactor)
        await main()
        nursery.cancel_scope.cancel()


async def idle(reactor: Reactor) -> None:
    """Wait until nothing is left for ``reactor`` that could still happen."""
    while reactor.has_work:
        await trio.sleep(0)


def test_it_runs_sessions_again_and_again(hosted, smtp_server):
    async def main() -> None:
        for count in (1, 2, 5):
            for _ in range(count):
                connection = SMTPConnection(
                    host=smtp_server.host, port=smtp_server.port, reactor=hosted
                )
                connection.connect()
                message = "Subject: hi\n\nhello"
                connection.send({"from": "a@x.org", "to": "b@x.org"}, message, sent.append)
                connection.quit()
            await idle(hosted)

    sent: list[Any] = []
    trio.run(beside, hosted, main)
    assert sent == [None] * 8
    assert len(smtp_server.messages) == 8


def test_it_does_not_turn_an_idle_reactor(hosted, monkeypatch):
    async def main() -> None:
        hosted.call_soon(lambda: None)
        await idle(hosted)
        for _ in range(10):
            await trio.sleep(0.001)
        monkeypatch.setattr(hosted, "run_once", lambda wait: (turns.append(None), run_once(wait)))
        for _ in range(20):
            await trio.sleep(0.001)
        assert turns == []
        called = trio.Event()
        hosted.call_soon(called.set)
        await called.wait()
        assert turns

    turns: list[None] = []
    run_once = hosted.run_once
    trio.run(beside, hosted, main)


def test_it_fires_timers(hosted):
    async def main() -> None:
        late = hosted.call_later(3600, pytest.fail)
        fired = trio.Event()
        hosted.call_later(0.002, fired.set)
        await fired.wait()
        late.cancel()

    trio.run(beside, hosted, main)


def test_the_clock_of_trios_tests_may_jump():
    async def main() -> None:
        fired = trio.Event()
        reactor.call_later(600, fired.set)
        await fired.wait()

    clock = trio.testing.MockClock(autojump_threshold=0)
    with Reactor(clock=clock.current_time) as reactor:
        trio.run(beside, reactor, main, clock=clock)


def test_it_hears_other_threads(hosted):
    async def main() -> None:
        await trio.testing.wait_all_tasks_blocked()
        called = trio.Event()
        thread = in_thread(hosted.call_soon, called.set)
        await called.wait()
        thread.join()

    trio.run(beside, hosted, main)


def test_it_is_not_starved(hosted):
    def again() -> None:
        nonlocal turns
        turns += 1
        if not ended:
            hosted.call_soon(again)

    async def main() -> None:
        hosted.call_soon(again)
        while turns < 2:
            await trio.sleep(0)
        await trio.sleep(0.005)
        ended.append(None)
        await idle(hosted)

    turns = 0
    ended: list[None] = []
    trio.run(beside, hosted, main)


def test_an_error_goes_to_the_nursery_and_nothing_else_is_lost(hosted):
    async def main() -> None:
        hosted.call_soon(fail_with, "one")
        hosted.call_soon(calls.append, "two")
        with pytest.raises(LookupError, match="one"):
            await host_trio(hosted)
        assert hosted.hosting is None
        await beside(hosted, lambda: idle(hosted))

    calls: list[str] = []
    trio.run(main)
    assert calls == ["two"]


def test_an_error_cancels_the_other_tasks(hosted):
    async def main() -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(host_trio, hosted)
                hosted.call_soon(fail_with, "one")
                await trio.sleep_forever()
        except BaseException as exc:  # a group, which Python 3.10 does not have
            raised.append(exc)

    raised: list[Any] = []
    trio.run(main)
    (group,) = raised
    (error,) = group.exceptions
    assert isinstance(error, LookupError)


def test_an_error_that_nobody_hears_goes_to_the_nursery(hosted, smtp_server):
    async def main() -> None:
        SMTPConnection(host=smtp_server.host, port=smtp_server.port, reactor=hosted).connect()
        with pytest.raises(Exception, match="421 not now"):
            await host_trio(hosted)
        await beside(hosted, lambda: idle(hosted))

    smtp_server.reply("EHLO", "421 not now")
    trio.run(main)


def test_cancelled_it_leaves_the_reactor_alone(hosted):
    async def main() -> None:
        await beside(hosted, trio.testing.wait_all_tasks_blocked)
        hosted.call_soon(calls.append, "after that")
        await trio.testing.wait_all_tasks_blocked()

    calls: list[str] = []
    trio.run(main)
    assert calls == []
    assert not hosted.will_turn
    hosted.run()
    assert calls == ["after that"]


def test_it_returns_when_the_reactor_is_detached_or_closed(hosted):
    async def main() -> None:
        for end in (lambda: hosted.hosting.detach(), hosted.close):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(host_trio, hosted)
                await trio.testing.wait_all_tasks_blocked()
                end()

    trio.run(main)


def test_one_reactor_is_hosted_by_one_task(hosted):
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host_trio, hosted)
            while not hosted.will_turn:
                await trio.sleep(0)
            nursery.start_soon(host_trio, hosted)  # takes over, and the first one ends
            while len(nursery.child_tasks) != 1:
                await trio.sleep(0)
            called = trio.Event()
            hosted.call_soon(called.set)
            await called.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)
