"""Virtual time, and what the reactor waits with: a selector that asks what happens next."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from selectors import EVENT_READ
from typing import Any, Protocol

from smtp_connection import Reactor

from .chance import Chance
from .judge import Judge
from .surprises import Surprises

# How often the scheduler does what it need not do, per wait.
_HOLDS_BACK = 0.08
_NOTHING_THERE = 0.01
_SEVERAL_AT_ONCE = 0.3

_FIRST_DESCRIPTOR = 1 << 20


class Endpoint(Protocol):
    """What has a descriptor in the world."""

    def readiness(self) -> int:
        """Return for what the selector would wake the reactor up."""


class Network:
    """Time, what is on its way in it, and the descriptors."""

    def __init__(self, chance: Chance, judge: Judge) -> None:
        self.chance = chance
        self.judge = judge
        self.now = 0.0
        self.endpoints: dict[int, Endpoint] = {}
        self.surprises: Surprises | None = None
        self.wakeup = -1  # the descriptor that signals write to
        # What becomes of an attempt to connect (an errno, 0 or None, and after how long), whom
        # one meets when it succeeds, and what a name stands for.
        self.dial: Callable[[], tuple[int | None, float]]
        self.accept: Callable[[], Any]
        self.resolve: Callable[[str, int, int], list[Any]]
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._sequence = 0

    def clock(self) -> float:
        return self.now

    def strike(self, place: str, *, done: bool = False) -> None:
        """``place`` is called: perhaps it raises what nobody has foreseen (surprises.py)."""
        if self.surprises is not None:
            self.surprises.strike(place, done=done)

    def at(self, time: float, function: Callable[..., object], *args: Any) -> None:
        """Let ``function(*args)`` happen at ``time``, while the reactor waits."""
        self._sequence += 1
        heappush(self._due, (time, self._sequence, function, args))

    def later(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self.at(self.now + seconds, function, *args)

    @property
    def next_due(self) -> float:
        return self._due[0][0] if self._due else math.inf

    def happen(self) -> None:
        """Let happen what is due next; time moves on to it."""
        time, _, function, args = heappop(self._due)
        if time > self.now:
            self.now = time
        function(*args)

    def submit(self, function: Callable[[], object]) -> None:
        """Run ``function`` on a thread: that is, at some time, or after everything is over."""
        if self.chance.happens(0.03):
            self.chance.slow = True
            return
        self.later(self.chance.delay(), function)

    def withdraw(self, function: Callable[[], object]) -> None:
        """Do not run ``function``, if that is still to come; every other one has begun."""
        self._due = [each for each in self._due if each[2] != function or each[1] % 2]
        heapify(self._due)

    def open(self, endpoint: Endpoint) -> int:
        """Return the lowest free descriptor, as systems do: numbers come back soon.

        No real descriptor has such a number, should one ever get to the real system.
        """
        number = _FIRST_DESCRIPTOR
        while number in self.endpoints:
            number += 1
        self.endpoints[number] = endpoint
        return number


class Pipe:
    """One end of the pair with which another thread wakes the reactor up."""

    def __init__(self, network: Network) -> None:
        self.waiting = 0
        self.other = self
        self._network = network
        self._number = network.open(self)

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        pass

    def send(self, data: bytes) -> int:
        self.other.waiting += len(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        if not self.waiting:
            raise BlockingIOError
        taken = min(size, self.waiting)
        self.waiting -= taken
        return bytes(taken)

    def readiness(self) -> int:
        return EVENT_READ if self.waiting else 0

    def close(self) -> None:
        self._network.endpoints.pop(self._number, None)


class _Key:
    """What somebody waits for at one descriptor (as ``selectors.SelectorKey``)."""

    __slots__ = ("data", "events", "fd")

    def __init__(self, number: int, events: int, data: Any) -> None:
        self.fd = number
        self.events = events
        self.data = data


class VirtualSelector:
    """Never waits: it lets happen what happens next, or the time pass that may pass."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._keys: dict[int, _Key] = {}
        self._forgotten: set[int] = set()
        self.each_turn: Callable[[], None] = lambda: None
        """Called before each wait, that is, after each step of the reactor."""
        self.next_deadline: Callable[[], float | None] = lambda: None
        self.rush = 0.0
        """How probable it is that time jumps to the next deadline, whatever else there is."""

    def get_map(self) -> dict[int, _Key]:
        return self._keys

    def register(
        self, file: Any, events: int, data: Any = None, *, place: str = "register"
    ) -> None:
        self._network.strike(place)
        number = file if isinstance(file, int) else file.fileno()
        if number not in self._network.endpoints:
            if number in self._forgotten:
                raise OSError(errno.EBADF, "Bad file descriptor")
            self._network.judge.fail(f"descriptor {number} is watched, and not open")
        self._keys[number] = _Key(number, events, data)

    def modify(self, number: int, events: int, data: Any = None) -> None:
        self.register(number, events, data, place="modify")

    def forget(self, number: int) -> None:
        """Somebody closes the descriptor, as epoll sees it: it is watched no more."""
        self._keys.pop(number, None)
        self._forgotten.add(number)

    def unregister(self, number: int) -> None:
        del self._keys[number]

    def close(self) -> None:
        self._keys.clear()

    def select(self, timeout: float | None = None) -> list[tuple[_Key, int]]:
        network = self._network
        chance = network.chance
        self.each_turn()
        network.strike("select")
        roll = chance.random()
        if roll < _HOLDS_BACK and timeout == 0:
            return []
        if roll > 1 - _NOTHING_THERE:
            # Linux reports sockets as readable that turn out not to be (select(2), BUGS).
            return [(key, EVENT_READ) for key in self._keys.values() if key.events & EVENT_READ]
        deadline = math.inf if timeout is None else network.now + timeout
        if self.rush and chance.happens(self.rush):
            self._jump()
            network.judge.clock_jumped(timeout == 0)
        while not (ready := self._ready()):
            due = network.next_due
            if due < deadline or (due == deadline < math.inf and chance.happens(0.5)):
                network.happen()
            elif deadline == math.inf and network.judge.interrupted:
                network.judge.stalled = True
                return []
            elif deadline == math.inf:
                network.judge.fail("the reactor waits, and nothing will ever happen")
            else:
                network.now = max(network.now, deadline)
                return []
            while network.next_due <= network.now and chance.happens(_SEVERAL_AT_ONCE):
                network.happen()
        return ready

    def _jump(self) -> None:
        """The machine has slept: timers are due, and so is what came in meanwhile."""
        deadline = self.next_deadline()
        if deadline is not None and deadline > self._network.now:
            self._network.now = deadline
            self._network.chance.slow = True
            self._network.judge.tally["the clock jumped to a deadline"] += 1

    def _ready(self) -> list[tuple[_Key, int]]:
        endpoints = self._network.endpoints
        ready = []
        for number, key in self._keys.items():
            mask = key.events & endpoints[number].readiness()
            if mask:
                ready.append((key, mask))
        if len(ready) > 1 and self._network.chance.happens(0.5):
            ready.reverse()
        return ready


class VirtualReactor(Reactor):
    """A reactor whose threads are virtual, too.

    ``elsewhere``: what runs just now is on another thread than the reactor's.
    """

    def __init__(self, network: Network) -> None:
        self.elsewhere = False
        self._network = network
        self.virtual_selector = VirtualSelector(network)
        super().__init__(clock=network.clock, selector=self.virtual_selector)  # type: ignore[arg-type]
        self.virtual_selector.next_deadline = self._next_deadline

    def _next_deadline(self) -> float | None:
        return min(
            (deadline for deadline, _, timer in self._timers.heap if timer.active), default=None
        )

    def on_thread(self) -> bool:
        return not self.elsewhere

    def job(self, function: Any, callback: Any, workers: Any = None) -> Any:
        network: Any = self._network  # takes the place of the threads
        return super().job(self._on_other_thread(function), callback, network)

    def _on_other_thread(self, function: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            before, self.elsewhere = self.elsewhere, True
            try:
                return function()
            finally:
                self.elsewhere = before

        return run

    def from_elsewhere(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)`` as if another thread did."""
        self._on_other_thread(lambda: function(*args))()
