"""Who is told about which descriptor.

A selector, like the system, knows descriptors by their number alone, and a number goes on to
somebody else as soon as its file is closed.  Files that were handed over may be closed by their
owners at any moment, and most selectors say nothing of that: epoll and kqueue forget a closed
descriptor without a word, poll reports an event, and select() fails for all the others as well.
So:

- A handle asks its file for the number once.  What it has registered it takes back by that number,
  whatever has become of the file.
- Two handles of one number mean that one of the files is closed.  That file's handle is *lost*: it
  is out of the table for good, its methods do nothing any more, and its owner is told.
- The selector may have forgotten a number that is in the table.  Then it is registered again.
- When select() fails, the handles whose numbers the system does not know are lost.
- As long as handles are watched whose owners want to know (``lost``), a timer looks once a second
  whether their files are still open.

An interrupt may come between any two lines.  Each step may be repeated after that, and what the
selector holds then is found out by trying.
"""

from __future__ import annotations

import errno
import select
import selectors
from collections.abc import Callable
from typing import Any, Protocol

from .timers import Timer

__all__ = ["Handle", "Handles", "HasFileno", "number_of"]

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE

# How often files are looked at that their owners may close, seconds.
_LOOK_EVERY = 1.0


class HasFileno(Protocol):
    """Anything with a descriptor: a socket, a pipe, a file."""

    def fileno(self) -> int: ...


class Host(Protocol):
    """What a handle needs of its reactor."""

    @property
    def may_register(self) -> bool:
        """Whether the selector is open, and this process's own."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None: ...

    def timer(self, callback: Callable[..., object], *args: Any) -> Timer: ...


def number_of(file: int | HasFileno) -> int:
    """Return the descriptor of ``file``; a negative number if it is closed."""
    if isinstance(file, int):
        return file
    try:
        return file.fileno()
    except ValueError:  # what files say, where sockets return -1
        return -1


def _can_be_waited_for(number: int) -> bool:
    try:
        select.select([number], [], [], 0)
    except OSError:
        return False
    return True


class Handle:
    """One descriptor, and who is told about it: ``reader()`` whenever it is readable, ``writer()``
    whenever it is writable.  Made by :meth:`Reactor.handle`.

    - ``file``: what has the descriptor; where that moves on to another object, as to the socket
      that wraps it in TLS, the user of the handle names that one here
    - ``number`` (int): the descriptor; -1 once the handle is closed or lost
    """

    __slots__ = ("_handles", "_host", "events", "file", "lost", "number", "reader", "writer")

    def __init__(
        self,
        handles: Handles,
        host: Host,
        file: int | HasFileno,
        lost: Callable[[], object] | None = None,
    ) -> None:
        """Raises ``ValueError`` if ``file`` is closed."""
        self.file = file
        self.number = number_of(file)
        if self.number < 0:
            raise ValueError(f"{file!r} is closed")
        self.events = 0  # what the selector watches the descriptor for
        self.reader: Callable[[], object] | None = None
        self.writer: Callable[[], object] | None = None
        self.lost = lost
        self._handles = handles
        self._host = host

    def set_reader(self, reader: Callable[[], object] | None) -> None:
        """Call ``reader()`` whenever the descriptor is readable; with ``None`` nobody.

        Raises ``OSError`` if the descriptor cannot be watched, except where ``lost`` tells of it.
        """
        if self.number >= 0:
            self.reader = reader
            self.update()

    def set_writer(self, writer: Callable[[], object] | None) -> None:
        """Call ``writer()`` whenever the descriptor is writable; otherwise as
        :meth:`set_reader`."""
        if self.number >= 0:
            self.writer = writer
            self.update()

    def update(self) -> None:
        """Watch the descriptor for what there is a reader or a writer for."""
        events = (_READ if self.reader else 0) | (_WRITE if self.writer else 0)
        if not events:
            self._handles.remove(self)
        elif self._handles.add(self) and self._host.may_register and self.events != events:
            self._register(events)

    def check(self) -> None:
        """Make sure that the system has not forgotten the descriptor."""
        events, self.events = self.events, 0
        if events and self._host.may_register:
            self._register(events)

    def _register(self, events: int) -> None:
        more = events & ~self.events
        try:
            self._handles.register(self, events)
        except BaseException as exc:
            self.reader = self.writer = None
            self._handles.remove(self)
            if getattr(exc, "errno", None) != errno.EBADF or (more and self.lost is None):
                raise
            self.lose()

    def close(self) -> None:
        """Watch the descriptor no more.  To be called before the file is closed; idempotent."""
        self.reader = self.writer = None
        self._handles.remove(self)
        self.number = -1
        self.lost = None

    def lose(self) -> None:
        """The file is closed: tell the owner on a later turn."""
        lost = self.lost
        if lost is not None and self.number >= 0:
            self._host.call_soon(lost)
        self.close()

    @property
    def is_stale(self) -> bool:
        """Whether the file is closed, so that the number may be somebody else's."""
        return number_of(self.file) != self.number

    @property
    def may_register(self) -> bool:
        """Whether the selector may be asked for anything."""
        return self._host.may_register

    def timer(self, look: Callable[[], object]) -> Timer:
        """Return a timer that calls ``look()``."""
        return self._host.timer(look)


class Handles:
    """The handles of one reactor that are watched; ``table`` has them by number."""

    __slots__ = ("_foreign", "_selector", "_timer", "table")

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.table: dict[int, Handle] = {}
        self._selector = selector
        self._foreign: dict[Handle, None] = {}  # those whose owners want to know
        self._timer: Timer | None = None

    def add(self, handle: Handle) -> bool:
        """Enter ``handle`` in the table; return whether the number is its own."""
        other = self.table.get(handle.number)
        if other is not handle:
            if other is not None:
                if handle.is_stale:
                    handle.lose()
                    return False
                other.lose()
            self.table[handle.number] = handle
        if handle.lost is not None and handle not in self._foreign:
            self._foreign[handle] = None
            self._look_later(handle)
        return True

    def register(self, handle: Handle, events: int) -> None:
        """Have the selector watch for ``events``."""
        selector, number = self._selector, handle.number
        if handle.events:
            try:
                selector.modify(number, events, handle)
                handle.events = events
                return
            except (KeyError, FileNotFoundError):
                handle.events = 0  # the selector or the system has forgotten it
        try:
            selector.register(number, events, handle)
        except KeyError:
            # It is to be checked, or an interrupt has kept somebody from noting it.
            selector.unregister(number)
            selector.register(number, events, handle)
        handle.events = events

    def remove(self, handle: Handle) -> None:
        """Take ``handle`` out, of the selector as well."""
        number = handle.number  # close() may come between, in the handler of a signal
        if number >= 0 and self.table.get(number, handle) is handle:
            # First of all: the reactor waits for what is in the table, and takes it out of the
            # selector itself if an interrupt comes now.
            self.table.pop(number, None)
            handle.events = 0
            # What a child takes out of the shared epoll object is lost to the parent.
            if handle.may_register:
                try:
                    self._selector.unregister(number)
                except KeyError:
                    pass  # done, or forgotten by the selector
        if handle.lost is not None:
            self._foreign.pop(handle, None)
            if not self._foreign and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def find(self, file: int | HasFileno) -> Handle | None:
        """Return the handle that watches ``file``, which may be closed by now."""
        number = number_of(file)
        if number >= 0:
            return self.table.get(number)
        return next((handle for handle in self.table.values() if handle.file is file), None)

    def lose_closed(self) -> bool:
        """Lose the handles whose files are closed; return whether there are any."""
        closed = [
            handle
            for number, handle in self.table.items()
            if handle.is_stale or not _can_be_waited_for(number)
        ]
        for handle in closed:
            handle.lose()
        return bool(closed)

    def _look(self) -> None:
        for handle in list(self._foreign):
            if handle.is_stale:
                handle.lose()
        for handle in self._foreign:
            self._look_later(handle)
            break

    def _look_later(self, handle: Handle) -> None:
        # Made first and started then, so that no interrupt leaves one that nobody can cancel.
        if self._timer is None:
            self._timer = handle.timer(self._look)
        if not self._timer.active:
            self._timer.start(_LOOK_EVERY)
