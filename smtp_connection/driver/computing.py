"""Computations that would stop the reactor, on threads of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..reactor.loop import Reactor
from ..reactor.threads import Job, Workers

__all__ = ["computation"]

# No more at a time than can run at once.  So when many connections of a pool log in together, most
# of them have their turn when the first has found what all of them need.
_workers = Workers(limit=os.cpu_count() or 1)


def computation(
    reactor: Reactor,
    function: Callable[[], Any],
    done: Callable[[Any, BaseException | None], object],
) -> Job:
    """Return a job that runs ``function()`` on a thread, then ``done(value, error)`` on that of
    ``reactor``."""
    return reactor.job(function, done, _workers)
