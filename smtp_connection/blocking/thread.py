"""The thread that carries out what blocking connections and transports ask for."""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

from ..errors import SMTPError
from ..reactor.background import Background
from ..reactor.loop import Reactor

__all__ = ["Home", "Outcome", "home", "wait_for"]

# Windows does not interrupt a thread that waits for a lock; it has to look up now and then.
_LOOK_UP_EVERY = None if os.name == "posix" else 0.2


class Home(NamedTuple):
    """Where all blocking connections of the process live."""

    reactor: Reactor
    thread: Background


_shared: Home | None = None
_lock = threading.Lock()


def home() -> Home:
    global _shared
    with _lock:
        # It is closed when the program ends, before functions run that are registered with atexit.
        if _shared is None or not _shared.reactor.may_register:
            reactor = Reactor()
            _shared = Home(reactor, Background(reactor, forever=False))
        return _shared


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that does not exist here may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Outcome:
    """What becomes of one operation.

    - ``known`` (threading.Event): it is over
    - ``error``, ``value``: what its callback got
    """

    __slots__ = ("error", "known", "value")

    def __init__(self) -> None:
        self.known = threading.Event()
        self.error: SMTPError | None = None
        self.value: Any = None

    def tell(self, err: SMTPError | None = None, value: Any = None) -> None:
        """The callback of the operation."""
        self.error, self.value = err, value
        self.known.set()


def wait_for(event: threading.Event) -> None:
    while not event.wait(_LOOK_UP_EVERY):
        pass
