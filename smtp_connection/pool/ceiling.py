"""How many connections the server takes, as far as one knows, and when the next may be opened.

Both are plain books: they are told the time, and do nothing by themselves.
"""

from __future__ import annotations

import math

from .verdicts import again_after

__all__ = ["Ceiling", "Openings"]

_QUIET = 60.0
"""Seconds without a complaint after which one more connection is tried."""


class Ceiling:
    """At most so many connections: halved when the server complains, then one more a minute.

    Several connections that were opened together may all be turned away, one after another.  That
    is one complaint: it is about the number that there was when they were opened.
    """

    __slots__ = ("_lowered", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        # To what, and when; in one, so that neither an interrupt nor a thread comes between.
        self._lowered = most, -math.inf

    def at(self, now: float) -> int:
        """Return how many connections there may be at ``now``.  Any thread may ask."""
        value, since = self._lowered
        if value == self._most:
            return value
        minutes = int((now - since) / _QUIET)
        return min(value + max(minutes, 0), self._most)

    def lower(self, now: float, began: float) -> bool:
        """The server has turned a connection away that was opened at ``began``; return whether the
        ceiling is lower now."""
        _, since = self._lowered
        if began < since:
            return False
        self._lowered = max(1, self.at(now) // 2), now
        return True


class Openings:
    """The failures to open a connection, while there is none that works.

    After each of them the next attempt is put off, for longer and longer, and it is a single one.
    What has waited through more than ``most`` of them in a row is not going to be sent (-1: it
    waits for ever).
    """

    __slots__ = ("_drops", "_forgiven", "_most", "_noted", "count", "not_before")

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0
        """How many failures there have been; never smaller than before."""
        self._forgiven = 0  # so many of them came before the last success
        self._noted = 0.0  # when the last one was counted
        self._drops = 0  # of connections in a row that were open, and did nothing
        self.not_before = 0.0
        """When the next connection may be opened."""

    @property
    def in_a_row(self) -> int:
        """How many failures there have been since a connection was opened."""
        return self.count - self._forgiven

    def failed(self, now: float, began: float, *, alone: bool) -> None:
        """An attempt that began at ``began`` has failed; ``alone``: there is no connection that
        works."""
        # Attempts that were made together fail together: that is one failure.
        if alone and (not self.in_a_row or began > self._noted):
            self.count += 1
            self._noted = now
        self._put_off(now, self.in_a_row - 1)

    def _put_off(self, now: float, attempts: int) -> None:
        delay = again_after(max(attempts, 0), -1) or 0.0
        self.not_before = max(self.not_before, now + delay)

    def succeeded(self) -> None:
        """A connection is open."""
        self._forgiven = self.count

    def dropped(self, now: float) -> None:
        """A connection was open, and dropped with its first message."""
        self._put_off(now, self._drops)
        self._drops += 1

    def useful(self) -> None:
        """A message was sent."""
        self._drops = 0
        self.not_before = 0.0

    def exhausted(self, since: int) -> bool:
        """Whether what waits since there were ``since`` failures has waited through too many."""
        return 0 <= self._most < self.count - max(since, self._forgiven)
