"""How many transactions may begin in which time."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Window"]

_SOON = 0.0001
"""Seconds: the least that is worth a timer."""

_LONGEST_PAUSE = 60.0

_MANY = 1 << 62


class Window:
    """At most ``limit`` transactions begin in any ``delta`` seconds, however one lays the window.

    Whoever wants to begin takes a permit, and says later when the transaction began, if it did.
    Until then the permit counts as if it began just now, so that nothing that comes in between
    makes a window hold more.  With ``limit`` 0 there is no limit but the pauses.
    """

    __slots__ = (
        "_begun",
        "_delta",
        "_limit",
        "_paused_until",
        "_pending",
        "_throttled",
        "limited",
        "open",
    )

    def __init__(self, limit: int, delta: float) -> None:
        self._limit = limit
        self._delta = delta
        self._begun: deque[float] = deque()
        self._pending = 0
        self._paused_until = 0.0
        self._throttled = 0  # times in a row that the server has asked for a pause
        self.limited = limit > 0
        """Whether there is a limit at all."""
        self.open = not self.limited
        """Whether ``wait()`` need not be asked: there is no limit, and no pause."""

    def wait(self, now: float) -> float:
        """Return for how many seconds nobody may begin: 0 if one may now, infinity if that depends
        on those who have a permit."""
        pause = self._paused_until - now
        if pause > 0:
            return pause
        self.open = not self.limited
        surplus = -self.free(now)
        if surplus < 0:
            return 0.0
        if surplus >= len(self._begun):
            return math.inf
        return max(self._begun[surplus] + self._delta - now, 0.0) + _SOON

    def free(self, now: float) -> int:
        """Return how many permits there are, were it not for a pause."""
        if not self._limit:
            return _MANY
        # Two moments that are so close to one delta apart are taken for being in one window: the
        # last digit of a float must not decide.
        begun, edge = self._begun, now - self._delta - _SOON / 2
        while begun and begun[0] < edge:
            begun.popleft()
        return self._limit - len(begun) - self._pending

    def take(self) -> None:
        """Take a permit."""
        if self._limit:
            self._pending += 1

    def began(self, now: float) -> None:
        """The transaction of one of the permits has begun, at ``now`` or before."""
        if self._limit:
            self._pending = max(self._pending - 1, 0)
            self._begun.append(now)

    def forget(self, now: float) -> None:
        """Take all permits for transactions that have begun."""
        while self._pending > 0:
            self.began(now)

    def pause(self, now: float, seconds: float | None) -> float:
        """Let nobody begin for ``seconds``, if the server has named a time, or else for a second,
        and each time in a row for twice as long; return for how long."""
        if now < self._paused_until:
            return self._paused_until - now  # others have been told the same
        if seconds is None:
            seconds = min(2.0**self._throttled, _LONGEST_PAUSE)
        self._throttled += 1
        self._paused_until = now + seconds
        self.open = False
        return seconds

    def accepted(self) -> None:
        """The server has taken a message: it does not ask for a pause any more."""
        self._throttled = 0
