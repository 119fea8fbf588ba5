"""What waits for its turn."""

from __future__ import annotations

from collections import deque

from .entry import Entry

__all__ = ["Queue"]


class Queue:
    """Entries in the order of their turns, of which any may be taken out.

    That one is not looked for: it is marked, and left out when its turn comes.  Any thread may
    append.
    """

    __slots__ = ("_entries", "_taken_out")

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._taken_out = 0

    def __len__(self) -> int:
        return len(self._entries) - self._taken_out

    def append(self, entry: Entry) -> None:
        """Let ``entry`` have its turn after all others."""
        entry.queued = True
        self._entries.append(entry)

    def appendleft(self, entry: Entry) -> None:
        """Let ``entry`` have its turn before all others."""
        entry.queued = True
        self._entries.appendleft(entry)

    @property
    def first(self) -> Entry | None:
        """The entry whose turn is next, if there is one."""
        entries = self._entries
        while entries and entries[0].settled:
            entries.popleft()
            self._taken_out -= 1
        return entries[0] if entries else None

    def popleft(self) -> Entry:
        """Return the first entry, whose turn it is."""
        entry = self._entries.popleft()
        while entry.settled:
            self._taken_out -= 1
            entry = self._entries.popleft()
        entry.queued = False
        return entry

    def take_out(self, entry: Entry) -> None:
        """Let ``entry``, which has just been settled, have no turn, if it waits for one."""
        self._taken_out += entry.queued
        entry.queued = False

    def clear(self) -> list[Entry]:
        """Take out all of them, and return them in their order."""
        entries = []
        while self._entries:  # others may append meanwhile
            entry = self._entries.popleft()
            if entry.settled:
                self._taken_out -= 1
            else:
                entries.append(entry)
        return entries
