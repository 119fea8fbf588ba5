"""Coroutines on each kind of loop, and a server that the coroutine itself plays."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from smtp_connection import Reactor
from smtp_connection.aio import SMTPConnection
from tests.hosting.loops import Proactor
from tests.support.scripted_server import HandFedPeer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "selector": asyncio.SelectorEventLoop,
    "proactor": Proactor,
}
if importlib.util.find_spec("uvloop"):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
    uvloop.new_event_loop().close()  # the first one opens a pipe for all of them


class Runner:
    """Runs coroutines to their end, on a loop in debug mode.

    - ``errors``: what the loop's exception handler got; empty at the end, unless the test takes it
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.errors: list[dict[str, Any]] = []
        loop.set_debug(True)
        loop.set_exception_handler(lambda _, context: self.errors.append(context))

    def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        assert self.errors == []


@pytest.fixture(params=list(LOOPS))
def run(request) -> Iterator[Runner]:
    """Run a coroutine on each kind of loop: ``run(main())``."""
    runner = Runner(LOOPS[request.param]())
    yield runner
    runner.close()


@pytest.fixture
def run_here() -> Iterator[Runner]:
    """Run a coroutine on asyncio's usual loop."""
    runner = Runner(asyncio.new_event_loop())
    yield runner
    runner.close()


class Desk:
    """A connection whose server is the coroutine of the test.

    - ``connection``: the connection
    - ``peer`` (HandFedPeer): the server's end
    """

    def __init__(self, reactor: Reactor, **options: Any) -> None:
        self.peer = HandFedPeer(reactor)
        options = {"connection": self.peer.client_end, "name": "me", **options}
        self.connection = SMTPConnection(options, reactor=reactor)
        self.connection.on("error", lambda: None)

    async def feed(self, *replies: str) -> None:
        """Let the server say ``replies``, one after the other; let tasks do what follows."""
        await turns()
        for reply in replies:
            self.peer.feed(f"{reply}\r\n")
            await turns()

    async def open(self, *extensions: str) -> None:
        """Open the session."""
        connecting = asyncio.ensure_future(self.connection.connect())
        lines = ["me", *extensions]
        await self.feed(
            "220 ready", "\r\n".join([f"250-{x}" for x in lines[:-1]] + ["250 " + lines[-1]])
        )
        await connecting
        self.peer.heard()

    def close(self) -> None:
        self.peer.hang_up()
        self.peer.client_end.close()


async def turns() -> None:
    """Let the tasks of the loop do all that can be done now."""
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.fixture
def at_desk(reactor) -> Iterator[Callable[..., Desk]]:
    """Make a connection whose server is the coroutine of the test."""
    desks: list[Desk] = []

    def make(**options: Any) -> Desk:
        desks.append(Desk(reactor, **options))
        return desks[-1]

    yield make
    if reactor.hosting is not None:
        reactor.hosting.detach()
    for desk in desks:
        desk.close()
