"""Waking up for signals.

Python runs a signal handler between two of its own instructions.  For a signal that arrives just
before the system begins to wait, that would be when there is something else to wake up for; so the
system is asked to write a byte for each signal.
"""

from __future__ import annotations

import socket

__all__ = ["wake_no_more_on_signals", "wake_on_signals"]


def wake_on_signals(sock: socket.socket) -> bool:
    """Have every signal write to ``sock``; return whether that is so now.

    Whoever has asked for the same before, another event loop say, keeps it.
    """
    import signal  # 1 ms, for which nobody who imports the package need wait

    try:
        others = signal.set_wakeup_fd(sock.fileno(), warn_on_full_buffer=False)
    except ValueError:
        return False  # not on the main thread of the main interpreter, the only one to get signals
    if others != -1:
        signal.set_wakeup_fd(others, warn_on_full_buffer=False)
    return others == -1


def wake_no_more_on_signals(sock: socket.socket) -> None:
    """Undo it, unless meanwhile somebody else has claimed it."""
    import signal

    current = signal.set_wakeup_fd(-1)
    if current != sock.fileno():
        signal.set_wakeup_fd(current, warn_on_full_buffer=False)
