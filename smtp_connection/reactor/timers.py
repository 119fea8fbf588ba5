"""Calls that are due later.

Most timers are time-outs, and most time-outs are cancelled.  To take an entry out of the middle of
a heap means to search for it, so :meth:`Timer.cancel` only disowns the entry: it stays in the heap
until it comes to the top, or until such entries are many, and the majority.  Then the heap is
rebuilt without them, so that a long time-out on each of many short operations is cheap.

An interrupt may come between any two lines.  So how many timers are still to fire is derived from
the heap and not kept, and a timer owns its entry only once that is in the heap.  A caller that
cannot afford to lose hold of a timer that runs makes it first, and starts it then.
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
    """A call that is due later, as soon as it has been started; :meth:`cancel` takes it back."""

    __slots__ = ("_args", "_callback", "_started", "_timers", "counts", "deadline", "entry")

    def __init__(
        self,
        timers: Timers,
        started: Callable[[], object],
        callback: Callable[..., object],
        args: Any,
    ) -> None:
        """``started()`` is called whenever the timer has been started."""
        self.deadline = 0.0
        """When the call is due, on the reactor's clock, seconds; 0 if it was never started."""
        self._timers = timers
        self._started = started
        self._callback = callback
        self._args = args
        self.entry = 0
        """The sequence of its entry in the heap, 0 if the call is not due."""
        self.counts = True
        """Whether ``run()`` goes on for the sake of the call."""

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self.entry != 0

    def start(self, seconds: float) -> None:
        """Let the call be due when ``seconds`` have passed, and not when it was due before."""
        self.cancel()
        self._timers.add(self, seconds)
        self._started()

    def unref(self) -> Timer:
        """Let ``run()`` return although the call is still to come, as in Node; return the timer."""
        self.counts = False
        return self

    def cancel(self) -> None:
        """Take the call back; nothing happens if it has been made or cancelled already."""
        if self.entry:
            self.entry = 0
            self._timers.one_cancelled()

    def _fire(self, entry: int) -> None:
        if self.entry == entry:
            self.entry = 0
            self._callback(*self._args)


class Timers:
    """The timers of one reactor.

    - ``heap``: entries (deadline, sequence, timer), those of cancelled timers included; the
      sequence is that in which they were started, and decides between equal deadlines
    """

    __slots__ = ("_cancelled", "_clock", "_sequence", "heap")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self._clock = clock
        self._cancelled = 0  # at most so many since the heap was rebuilt
        self._sequence = 0

    def add(self, timer: Timer, seconds: float) -> None:
        """Let ``timer`` be due when ``seconds`` have passed."""
        deadline = self._clock() + seconds
        self._sequence = sequence = self._sequence + 1
        heappush(self.heap, (deadline, sequence, timer))
        timer.deadline = deadline
        timer.entry = sequence

    @property
    def live(self) -> int:
        """How many timers are still to fire."""
        return sum(timer.entry == sequence for _, sequence, timer in self.heap)

    def any_counts(self) -> bool:
        """Whether a timer is still to fire for which ``run()`` goes on."""
        if self.next_deadline() is None:
            return False
        # Nearly always it is the first.
        return any(timer.counts and timer.entry == entry for _, entry, timer in self.heap)

    def next_deadline(self) -> float | None:
        """Return when the next timer is due; ``None`` if there is none."""
        heap = self.heap
        while heap and heap[0][2].entry != heap[0][1]:
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
            _, sequence, timer = heap[0]
            ready.append((timer._fire, (sequence,)))
            heappop(heap)

    def one_cancelled(self) -> None:
        """Take note that one more entry of the heap is of no use."""
        self._cancelled += 1
        if self._cancelled > _MANY_CANCELLED and 2 * self._cancelled > len(self.heap):
            self.heap = [entry for entry in self.heap if entry[2].entry == entry[1]]
            heapify(self.heap)
            self._cancelled = 0
