"""What is special about asyncio."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from typing import Any

import pytest

from smtp_connection.hosting import attach
from tests.hosting.loops import KINDS, AsyncioLoop
from tests.support.helpers import fail_with


@pytest.fixture(scope="module", params=[name for name in KINDS if name.startswith(("a", "u"))])
def kind(request) -> Iterator[Any]:
    kind = KINDS[request.param]
    with kind.prepare():
        yield kind


@pytest.fixture
def loop(kind) -> Iterator[asyncio.AbstractEventLoop]:
    loop: AsyncioLoop = kind.make()
    yield loop.own
    loop.close()
    assert loop.errors == []


def test_coroutines_wait_for_what_callbacks_bring(loop, hosted):
    async def main() -> Any:
        with attach(hosted):
            called = loop.create_future()
            hosted.call_later(0.001, called.set_result, "called")
            return await asyncio.wait_for(called, 10)

    assert loop.run_until_complete(main()) == "called"


def test_the_handler_is_told_what_has_failed(loop, hosted):
    async def main() -> None:
        with attach(hosted):
            called = loop.create_future()
            hosted.call_soon(fail_with, "one")
            hosted.call_soon(called.set_result, None)
            await called

    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    loop.run_until_complete(main())
    (context,) = contexts
    assert context["message"] == "A callback of smtp_connection has failed"
    assert str(context["exception"]) == "one"


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
