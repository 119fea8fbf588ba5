"""Connections whose reactor has not run yet: a program that ends with one has forgotten run()."""

from __future__ import annotations

import atexit
import sys
import warnings
import weakref
from typing import Protocol

__all__ = ["watch"]


class Unstarted(Protocol):
    """A connection that has been told to connect."""

    @property
    def waits_for_run(self) -> bool:
        """Whether it waits for a reactor that has never run, and is this process's own."""


# Weak: a connection that is gone has nothing to wait for.
_watched: weakref.WeakSet[Unstarted] = weakref.WeakSet()


def watch(connection: Unstarted) -> None:
    """Warn at the end of the program if ``connection`` still waits for its reactor then."""
    _watched.add(connection)


def _warn() -> None:
    waiting = sum(connection.waits_for_run for connection in list(_watched))
    # After a traceback it is clear why nothing was done.
    if waiting and not hasattr(sys, "last_value"):
        which = "a connection has" if waiting == 1 else f"{waiting} connections have"
        # Not a ResourceWarning: nobody sees these unless he asks for them.  There is no caller, so
        # that Python names no line of this file.
        warnings.warn(
            f"the program ends, and {which} done nothing: the reactor was never run; call"
            " smtp_connection.run(), or the run() of your own reactor, after connect()",
            RuntimeWarning,
            stacklevel=2,
        )


atexit.register(_warn)
