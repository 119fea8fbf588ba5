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
        while entries:
            entry = entries[0]
            if entry.queued and not entry.settled:
                return entry
            entries.popleft()
            if not entry.queued:
                self._taken_out -= 1
        self._taken_out = 0  # an interrupt may have kept somebody from counting
        return None

    def popleft(self) -> Entry | None:
        """Take out the first entry, whose turn it is, and return it, if there is one."""
        entry = self.first
        if entry is not None:
            self._entries.popleft()
            entry.queued = False
        return entry

    def take_out(self, entry: Entry) -> None:
        """Let ``entry`` have no turn, if it waits for one."""
        if entry.queued:
            entry.queued = False
            self._taken_out += 1

    def clear(self) -> list[Entry]:
        """Take out all of them, and return them in their order."""
        cleared = []
        while (entry := self.popleft()) is not None:  # others may append meanwhile
            cleared.append(entry)
        return cleared
