"""The reactor that is running on a thread, and the default reactor of the process."""

from __future__ import annotations

import os
import threading

from .loop import Reactor, running

__all__ = ["current_reactor", "get_reactor", "run"]

_default: Reactor | None = None
_lock = threading.Lock()


def current_reactor() -> Reactor | None:
    """Return the reactor that is running on the calling thread, ``None`` if there is none."""
    reactor = running.reactor
    # An interrupt may have kept it from taking itself out.
    return reactor if reactor is not None and reactor.is_running else None


def get_reactor() -> Reactor:
    """Return the default reactor, which is made on first use, and anew after a ``fork()``."""
    global _default
    with _lock:
        if _default is None or _default.is_parents:
            _default = Reactor()
        return _default


def run() -> None:
    """Run the default reactor until nothing is left that could still happen."""
    get_reactor().run()


def _after_fork_in_child() -> None:
    # The lock may have been held by a thread that does not exist here.  The parent's reactor is
    # dropped without being closed: its epoll descriptor is shared.
    global _lock
    _lock = threading.Lock()
    running.reactor = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
