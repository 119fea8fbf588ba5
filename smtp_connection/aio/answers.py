"""What a coroutine waits for, and what becomes of that when its task is cancelled.

The facts
---------

**A task is cancelled once.**  ``CancelledError`` is raised where the task waits.  If it gets lost
there, nobody raises it again: a worker that is to end goes on for ever.

**A message that has been sent to its end cannot be taken back.**  If its verdict gets lost, whoever
sends it again may send it twice.

**Time-outs cancel**, and take that back when they have been told (``Task.uncancel``).

The strategy
------------

A cancellation aborts the operation (``driver/aborting.py``).  It is raised when that is done, so
that nobody is left with a connection that is about to close.

A message that was accepted all the same, or may have been, is the exception: what is known of it is
returned or raised instead, and the task is cancelled once more where it waits next, unless the
cancellation has been taken back by then.

A second cancellation closes the connection: there is no time to wait for a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..abort import AbortController, AbortSignal
from ..errors import SMTPError
from ..records import SendInfo

__all__ = ["Answer"]


class Answer:
    """The outcome of one operation, for the one coroutine that waits for it.

    - ``signal``: what is to be given to the operation as such
    """

    __slots__ = ("_controller", "_known", "_outcome", "_waiter", "signal")

    def __init__(self, signal: object = None) -> None:
        """``signal`` is the caller's own, if there is one."""
        self._controller = AbortController()
        self.signal: Any = self._controller.signal
        if isinstance(signal, AbortSignal):
            self.signal = AbortSignal.any((self.signal, signal))
        elif signal is not None:
            self.signal = signal  # the operation refuses it
        self._known = False
        self._outcome: tuple[SMTPError | None, Any] = (None, None)
        self._waiter: asyncio.Future[None] | None = None

    def give(self, error: SMTPError | None, value: Any) -> None:
        """This is the outcome."""
        self._outcome = error, value
        self._known = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abort(self) -> None:
        """Nobody wants it any more."""
        self._controller.abort()

    async def outcome(self, close: Callable[[], object]) -> Any:
        """Wait for the outcome, and return or raise it; ``close()`` ends the connection.

        Raises ``CancelledError`` if the task is cancelled and nothing is lost by that.
        """
        try:
            await self._wait()
        except asyncio.CancelledError:
            self._controller.abort()
            await self._see_out(close)
            if not self._must_be_told:
                raise
            _cancel_again_later()
        (error, value), self._outcome = self._outcome, (None, None)
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # it knows this frame

    async def _wait(self) -> None:
        while not self._known:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def _see_out(self, close: Callable[[], object]) -> None:
        """Wait for the outcome, whatever happens."""
        while True:
            try:
                await self._wait()
            except asyncio.CancelledError:
                close()
            else:
                return

    @property
    def _must_be_told(self) -> bool:
        """Whether the outcome is of a message that was, or may have been, accepted."""
        error, value = self._outcome
        return isinstance(value, SendInfo) if error is None else error.inDoubt


def _cancel_again_later() -> None:
    """Have the cancellation that was caught raised where the task waits next."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().call_soon(_cancel_again, task, _cancellations(task))


def _cancel_again(task: asyncio.Task[Any], count: int) -> None:
    if _cancellations(task) == count:  # nobody has taken it back
        if count:
            task.uncancel()  # type: ignore[attr-defined,unused-ignore]
        task.cancel()


def _cancellations(task: asyncio.Task[Any]) -> int:
    """Return how many cancellations of ``task`` have not been taken back: 0 before Python 3.11,
    where that cannot be done."""
    count = getattr(task, "cancelling", None)
    return 0 if count is None else int(count())
