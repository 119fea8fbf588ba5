"""trio turns a reactor, in a task of its own."""

from __future__ import annotations

import math

import trio

from ..reactor.default import get_reactor
from ..reactor.loop import Reactor
from .core import Claim

__all__ = ["host_trio"]


async def host_trio(reactor: Reactor | None = None) -> None:
    """Turn ``reactor``, by default that of ``get_reactor()``, until this task is cancelled.

    What a callback raises, or an error that nobody hears, leaves this function, and goes to the
    nursery of the task, as is usual with trio.  Nothing else is lost: the function may be called
    again.  It returns if the reactor is closed.  Raises ``RuntimeError`` if the reactor is running,
    is closed, or is attached to a loop of another thread.
    """
    reactor = reactor or get_reactor()
    lot = trio.lowlevel.ParkingLot()
    tell = trio.lowlevel.current_trio_token().run_sync_soon
    with trio.CancelScope() as scope, Claim(reactor, scope.cancel) as claim:
        try:
            descriptor = reactor.fileno()
        except RuntimeError:  # it has none
            wait = claim.wait_on_thread(tell, lot.unpark_all)
            while True:
                reactor.run_once(0)
                wait(reactor.next_timeout())
                await lot.park()
        while True:
            reactor.run_once(0)
            seconds = reactor.next_timeout()
            with trio.move_on_after(math.inf if seconds is None else seconds):
                await trio.lowlevel.wait_readable(descriptor)
