"""The reactor that an asyncio loop turns for the connections whose methods are coroutines.

There is one for each loop.  The loop turns it as long as it has something to do, so that a loop
that is closed when all connections are leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import weakref

from ..reactor.loop import Reactor

__all__ = ["LoopReactor", "reactor_here"]


class LoopReactor(Reactor):
    """A reactor that lets go of its loop when it has nothing left to do."""

    def __init__(self) -> None:
        super().__init__()
        self._connections = 0
        self._waiters: list[asyncio.Future[None]] = []

    def begin(self) -> None:
        """One more connection is open."""
        self._connections += 1

    def end(self) -> None:
        """One of the connections is over."""
        self._connections -= 1

    async def wait_quiet(self) -> None:
        """Wait until all connections have let go of their sockets; while one of them is still open
        there is no need for that."""
        while self.hosting is not None and not self._connections and self.has_work:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def run_once(self, timeout: float | None = 0) -> bool:
        """Run one turn, as :meth:`Reactor.run_once` does; after the last one, leave the loop."""
        try:
            return super().run_once(timeout)
        finally:
            if not (self._connections or self.has_work):
                self._leave_loop()

    def _leave_loop(self) -> None:
        if self.hosting is not None:
            self.hosting.detach()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


# Each loop has one as long as a connection uses it.
_reactors: weakref.WeakValueDictionary[asyncio.AbstractEventLoop, LoopReactor] = (
    weakref.WeakValueDictionary()
)


def reactor_here() -> LoopReactor:
    """Return the reactor of the loop that is running, or a new one if none is."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return LoopReactor()
    reactor = _reactors.get(loop)
    if reactor is None or reactor.is_parents:
        _reactors[loop] = reactor = LoopReactor()
    return reactor
