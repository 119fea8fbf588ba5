"""Cancellation: nothing is out of step, no verdict is lost, and no cancellation either."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from smtp_connection import SMTPError
from tests.aio.conftest import turns
from tests.support.sessions import ENVELOPE, PASSWORD

TO_THE_VERDICT = ["250 ok", "250 ok", "354 go"]


async def wait_for(awaitable, seconds):
    return await asyncio.wait_for(awaitable, seconds)


async def timeout(awaitable, seconds):
    async with asyncio.timeout(seconds):
        return await awaitable


TIME_OUTS = [wait_for] + [timeout] * hasattr(asyncio, "timeout")
every_time_out = pytest.mark.parametrize("time_out", TIME_OUTS)


@pytest.fixture
def cancel(run_here, at_desk):
    """Run ``scene(desk)`` at an open session."""

    def run(scene, **options):
        async def main():
            desk = at_desk(**options)
            await desk.open("AUTH PLAIN")
            await scene(desk)

        run_here(main())

    return run


def begin(coroutine):
    return asyncio.ensure_future(coroutine)


async def cancelled(task):
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


# -- taken back, or cut off ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["login", "send", "reset", "noop", "command", "probe"])
def test_what_is_queued_is_taken_back_and_the_connection_goes_on(cancel, name):
    arguments = {
        "login": [PASSWORD],
        "send": [ENVELOPE, "no"],
        "command": ["VRFY a"],
        "probe": [ENVELOPE],
    }

    async def scene(desk):
        connection = desk.connection
        first = begin(connection.noop())
        queued = begin(getattr(connection, name)(*arguments.get(name, ())))
        behind = begin(connection.noop())
        await turns()
        queued.cancel()
        await cancelled(queued)
        await desk.feed("250 ok", "250 ok")
        assert await first
        assert await behind
        assert desk.peer.heard() == b"NOOP\r\nNOOP\r\n"

    cancel(scene)


def test_what_is_under_way_closes_the_connection_before_anybody_hears_of_it(cancel):
    async def scene(desk):
        connection = desk.connection
        ended = []
        connection.on("end", lambda: ended.append("end"))
        sending = begin(connection.send(ENVELOPE, "hi"))
        behind = begin(connection.noop())
        await desk.feed("250 ok")
        sending.cancel()
        await cancelled(sending)
        assert connection.destroyed
        assert ended == ["end"]
        with pytest.raises(SMTPError, match="the operation before was aborted") as caught:
            await behind
        assert caught.value.code == "ECONNECTION"

    cancel(scene)


@every_time_out
def test_a_time_out_closes_the_connection_too(cancel, time_out):
    async def scene(desk):
        with pytest.raises(asyncio.TimeoutError):
            await time_out(desk.connection.noop(), 0.01)
        assert desk.connection.destroyed

    cancel(scene)


@every_time_out
def test_a_time_out_in_the_queue_leaves_the_connection_alone(cancel, time_out):
    async def scene(desk):
        first = begin(desk.connection.noop())
        await turns()
        with pytest.raises(asyncio.TimeoutError):
            await time_out(desk.connection.reset(), 0.01)
        await desk.feed("250 ok")
        assert await first
        again = begin(desk.connection.noop())
        await desk.feed("250 ok")
        assert await again

    cancel(scene)


def test_a_connect_that_is_cancelled_is_closed(run_here, at_desk):
    async def main():
        for replies in ([], ["220 ready"], ["220 ready", "250 me"]):
            desk = at_desk()
            connecting = begin(desk.connection.connect())
            await turns()
            for reply in replies:
                desk.peer.feed(f"{reply}\r\n")  # the last one comes with the cancellation
            connecting.cancel()
            await cancelled(connecting)
            assert desk.connection.destroyed
            await desk.connection.wait_closed()

    run_here(main())


def test_a_block_that_is_cancelled_is_closed(run_here, at_desk):
    async def main():
        desk = at_desk()

        async def block():
            async with desk.connection as connection:
                await connection.noop()

        task = begin(block())
        await desk.feed("220 ready", "250 me")
        task.cancel()
        await cancelled(task)
        assert desk.connection.destroyed

    run_here(main())


def test_a_quit_that_is_cancelled_is_taken_back_or_closes(cancel):
    async def queued(desk):
        first = begin(desk.connection.noop())
        quitting = begin(desk.connection.quit())
        await turns()
        quitting.cancel()
        await cancelled(quitting)
        await desk.feed("250 ok")
        assert await first
        again = begin(desk.connection.noop())
        await desk.feed("250 ok")
        assert await again

    async def said(desk):
        quitting = begin(desk.connection.quit())
        await turns()
        assert desk.peer.heard() == b"QUIT\r\n"
        quitting.cancel()
        await cancelled(quitting)
        desk.peer.hang_up()
        await desk.connection.wait_closed()
        assert desk.connection.destroyed

    cancel(queued)
    cancel(said)


def test_many_are_cancelled_at_once(cancel):
    async def scene(desk):
        connection = desk.connection
        tasks = [begin(connection.command(f"VRFY {number}")) for number in range(20)]
        await turns()
        for task in tasks[1::2]:
            task.cancel()
        await turns()
        await desk.feed(*(f"250 {number}" for number in range(0, 20, 2)))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            if number % 2:
                assert isinstance(result, asyncio.CancelledError)
            else:
                assert result.text == str(number)

    cancel(scene)


# -- what may have been accepted -------------------------------------------------------------------


async def to_the_verdict(desk, sending):
    await desk.feed(*TO_THE_VERDICT)
    assert desk.peer.heard().endswith(b"\r\n.\r\n")
    return sending


def test_a_verdict_that_comes_in_time_is_returned_and_the_cancellation_follows(cancel):
    async def scene(desk):
        steps = []

        async def worker():
            steps.append(await desk.connection.send(ENVELOPE, "hi"))
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                steps.append("cancelled")
                raise

        task = begin(worker())
        await to_the_verdict(desk, task)
        task.cancel()
        await turns()
        assert not steps
        await desk.feed("250 taken")
        info, rest = steps
        assert (info.response, rest) == ("250 taken", "cancelled")
        await cancelled(task)
        assert not desk.connection.destroyed

    cancel(scene)


def test_the_last_thing_of_a_task_is_returned(cancel):
    async def scene(desk):
        task = begin(desk.connection.send(ENVELOPE, "hi"))
        await to_the_verdict(desk, task)
        task.cancel()
        await desk.feed("250 taken")
        assert (await task).response == "250 taken"

    cancel(scene)


def test_a_verdict_that_comes_with_the_cancellation_is_returned(cancel):
    async def scene(desk):
        task = begin(desk.connection.send(ENVELOPE, "hi"))
        await to_the_verdict(desk, task)
        desk.peer.feed("250 taken\r\n")  # nobody has told the task yet
        task.cancel()
        assert (await task).response == "250 taken"

    cancel(scene)


def test_a_refusal_is_not_worth_more_than_the_cancellation(cancel):
    async def scene(desk):
        task = begin(desk.connection.send(ENVELOPE, "hi"))
        await to_the_verdict(desk, task)
        task.cancel()
        await desk.feed("550 no")
        await cancelled(task)
        again = begin(desk.connection.noop())
        await desk.feed("250 ok")
        assert await again

    cancel(scene)


@every_time_out
def test_a_time_out_that_gets_a_verdict_is_none(cancel, time_out):
    async def scene(desk):
        async def worker():
            info = await time_out(desk.connection.send(ENVELOPE, "hi"), 0.05)
            for _ in range(3):
                await asyncio.sleep(0)  # no cancellation follows
            return info

        task = begin(worker())
        await to_the_verdict(desk, task)
        await asyncio.sleep(0.1)
        await desk.feed("250 taken")
        assert (await task).response == "250 taken"

    cancel(scene)


@every_time_out
def test_a_time_out_around_more_strikes_at_the_next_thing(cancel, time_out):
    async def scene(desk):
        async def both():
            seen.append(await desk.connection.send(ENVELOPE, "hi"))
            await asyncio.Event().wait()

        seen = []
        task = begin(time_out(both(), 0.05))
        await to_the_verdict(desk, task)
        await asyncio.sleep(0.1)
        await desk.feed("250 taken")
        with pytest.raises(asyncio.TimeoutError):
            await task
        assert len(seen) == 1

    cancel(scene)


@pytest.mark.parametrize("time_out", [None, *TIME_OUTS])
def test_without_a_verdict_it_is_in_doubt(cancel, movable_clock, time_out):
    async def scene(desk):
        sending = desk.connection.send(ENVELOPE, "hi")
        task = begin(sending if time_out is None else time_out(sending, 0.05))
        await to_the_verdict(desk, task)
        if time_out is None:
            task.cancel()
        else:
            await asyncio.sleep(0.1)
        await turns()
        movable_clock.ahead += 6
        desk.peer.settle()
        with pytest.raises(SMTPError) as caught:
            await task
        assert (caught.value.code, caught.value.inDoubt) == ("EABORT", True)
        assert desk.connection.destroyed

    cancel(scene)


def test_after_a_doubt_the_cancellation_follows(cancel, movable_clock):
    async def scene(desk):
        async def worker():
            while True:
                try:
                    await desk.connection.send(ENVELOPE, "hi")
                except SMTPError as error:
                    errors.append(error)
                    await asyncio.sleep(0)

        errors = []
        task = begin(worker())
        await to_the_verdict(desk, task)
        task.cancel()
        await turns()
        movable_clock.ahead += 6
        desk.peer.settle()
        await cancelled(task)
        assert errors[0].inDoubt

    cancel(scene)


def test_a_second_cancellation_does_not_wait(cancel):
    async def scene(desk):
        task = begin(desk.connection.send(ENVELOPE, "hi"))
        await to_the_verdict(desk, task)
        task.cancel()
        await turns()
        assert not task.done()
        task.cancel()
        with pytest.raises(SMTPError) as caught:
            await task
        assert (caught.value.code, caught.value.inDoubt) == ("ECONNECTION", True)

    cancel(scene)


def test_others_that_wait_behind_a_verdict_have_their_turn(cancel):
    async def scene(desk):
        task = begin(desk.connection.send(ENVELOPE, "hi"))
        behind = begin(desk.connection.noop())
        await to_the_verdict(desk, task)
        task.cancel()
        await turns()
        await desk.feed("250 taken", "250 ok")
        assert await behind
        with contextlib.suppress(asyncio.CancelledError):
            await task

    cancel(scene)
