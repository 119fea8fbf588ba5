"""Calls that are due later.

Most timers are time-outs, and most time-outs are cancelled.  To take an entry out of the middle of
a heap means to search for it, so :meth:`Timer.cancel` only empties the timer: its entry stays in
the heap until it comes to the top, or until the cancelled entries are many, and the majority.  Then
the heap is rebuilt without them, so that a long time-out on each of many short operations is cheap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

__all__ = ["Timer", "Timers"]

# How many cancelled entries are worth a look at all the others.
_MANY_CANCELLED = 64


class Timer:
    """A call that is due later; :meth:`cancel` takes it back."""

    __slots__ = ("_args", "_callback", "_timers", "deadline")

    def __init__(
        self, timers: Timers, deadline: float, callback: Callable[..., object], args: Any
    ) -> None:
        self.deadline = deadline
        """When the call is due, on the reactor's clock, seconds."""
        self._timers = timers
        self._callback: Callable[..., object] | None = callback
        self._args = args

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None

    def cancel(self) -> None:
        """Take the call back; nothing happens if it has been made or cancelled already."""
        if self._callback is not None:
            self._callback = self._args = None
            self._timers._one_cancelled()

    def _fire(self) -> None:
        callback, args = self._callback, self._args
        if callback is not None:
            self._callback = self._args = None
            self._timers.live -= 1
            callback(*args)


class Timers:
    """The timers of one reactor.

    - ``heap``: entries (deadline, sequence, timer), those of cancelled timers included; the
      sequence is that of the calls of :meth:`add`, and decides between equal deadlines
    - ``live``: how many timers are still to fire
    """

    __slots__ = ("_sequence", "heap", "live")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self.live = 0
        self._sequence = 0

    def add(self, deadline: float, callback: Callable[..., object], args: Any) -> Timer:
        """Return a new timer, which will call ``callback(*args)``."""
        timer = Timer(self, deadline, callback, args)
        self._sequence += 1
        heappush(self.heap, (deadline, self._sequence, timer))
        self.live += 1
        return timer

    def next_deadline(self) -> float | None:
        """Return when the next timer is due; ``None`` if there is none."""
        heap = self.heap
        while heap and not heap[0][2].active:
            heappop(heap)
        return heap[0][0] if heap else None

    def move_due(
        self, now: float, ready: deque[tuple[Callable[..., object], tuple[Any, ...]]]
    ) -> None:
        """Move what is due at ``now`` from the heap to the end of ``ready``, in its order.

        None of it has run by then: a timer that starts itself anew without a delay is not due
        before the next turn.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            ready.append((heappop(heap)[2]._fire, ()))

    def _one_cancelled(self) -> None:
        self.live -= 1
        cancelled = len(self.heap) - self.live
        if cancelled > _MANY_CANCELLED and cancelled > self.live:
            self.heap = [entry for entry in self.heap if entry[2].active]
            heapify(self.heap)
