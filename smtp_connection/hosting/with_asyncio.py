"""asyncio turns a reactor: its own loops, uvloop, and on Windows the proactor's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from ..reactor.loop import Reactor
from .core import Hosting, host

__all__ = ["attach"]


class _Asyncio:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.call_soon_threadsafe = loop.call_soon_threadsafe

    def watch(self, descriptor: int, readable: Callable[[], object]) -> Callable[[], object]:
        self.loop.add_reader(descriptor, readable)
        return lambda: self.loop.remove_reader(descriptor)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], object]:
        return self.loop.call_later(seconds, callback).cancel

    def report(self, error: Exception) -> None:
        self.loop.call_exception_handler(
            {"message": "A callback of smtp_connection has failed", "exception": error}
        )


def attach(reactor: Reactor | None = None) -> Hosting:
    """Have the running asyncio loop turn ``reactor``, by default that of ``get_reactor()``.

    It does so until ``detach()`` of what is returned, or until the ``with`` block that begins with
    it is left; it costs nothing while nothing happens.  What callbacks raise, and errors that
    nobody hears, go to the loop's exception handler, and everything else goes on.

    Attached to the same loop again, the reactor stays attached, and the same object is returned.
    Raises ``RuntimeError`` if no asyncio loop is running on this thread, or if the reactor is
    running, is closed, or is attached to a loop of another thread.
    """
    # In a context of its own: the caller's, of one request of many perhaps, would be kept.
    return Context().run(host, asyncio.get_running_loop(), _Asyncio, reactor)
