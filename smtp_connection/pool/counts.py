"""Counts what a pool has done."""

from __future__ import annotations

__all__ = ["Counts"]

_SECONDS = 60


class Counts:
    """Counts what becomes of messages; ``sent_at()`` keeps the last minute second by second."""

    __slots__ = ("_began", "_second", "_seconds", "failed", "in_doubt", "requeued", "sent")

    def __init__(self, now: float) -> None:
        self.sent = self.failed = self.in_doubt = self.requeued = 0
        self._began = now
        self._second = int(now)
        self._seconds = [0] * _SECONDS

    def sent_at(self, now: float) -> None:
        """Count a message that is sent at ``now``, seconds."""
        self.sent += 1
        second = int(now)
        if second != self._second:
            self._move_to(second)
        self._seconds[second % _SECONDS] += 1

    def _move_to(self, second: int) -> None:
        for passed in range(max(self._second + 1, second + 1 - _SECONDS), second + 1):
            self._seconds[passed % _SECONDS] = 0
        self._second = second

    def rate(self, now: float) -> float:
        """Return the messages sent in a second, on the average of the minute before ``now``, or of
        the time since the beginning if that is shorter.  Any thread may ask."""
        second = int(now)
        sent = sum(
            self._seconds[each % _SECONDS]
            for each in range(second + 1 - _SECONDS, self._second + 1)
        )
        return sent / min(max(now - self._began, 1.0), float(_SECONDS))
