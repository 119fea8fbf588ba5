"""What ends the wait of a reactor from outside: a byte on a socket pair.

A thread that waits in ``select()`` notices neither a new callback nor a new timer.  So one end of a
socket pair is watched like any other descriptor, and whoever has news writes to the other end.  One
byte is enough until the reactor has read it.

Signals need the same.  Python runs a signal handler between two of its own instructions.  For a
signal that arrives after the last instruction before the wait, this means after the wait, however
long that is.  ``signal.set_wakeup_fd()`` makes the system's own handler write the byte at once.
There is one such descriptor for the whole process, and only the main thread may set it.
"""

from __future__ import annotations

import socket

__all__ = ["WakeUp"]


class WakeUp:
    """The socket pair of one reactor.

    - ``receiver``: the end to be watched for reading; when it is readable, call :meth:`drain`
    - ``sender``: the end that is written to
    """

    __slots__ = ("_sent", "receiver", "sender")

    def __init__(self) -> None:
        self.receiver, self.sender = socket.socketpair()
        self.receiver.setblocking(False)
        self.sender.setblocking(False)
        self._sent = False

    def send(self) -> None:
        """Wake the reactor up; may be called from any thread and from a signal handler."""
        if not self._sent:
            try:
                self._sent = True
                self.sender.send(b"\0")
            except BaseException as exc:
                # Nothing waits here: a TimeoutError is from the handler of a signal.
                if isinstance(exc, OSError) and not isinstance(exc, TimeoutError):
                    return  # the reactor is closed, or the pair is full and wakes it up anyway
                self._sent = False  # interrupted: who comes next has to try
                raise

    def drain(self) -> None:
        """Read what was sent, so that it does not end the next wait as well."""
        try:
            while len(self.receiver.recv(4096)) == 4096:
                pass
        except OSError:
            pass
        # Only now: a caller that still saw the flag set has its callback in the queue already.
        self._sent = False

    def claim_signals(self) -> bool:
        """Have every signal write to ``sender``; return whether that is so now.

        Whoever has asked for the same before, another event loop for example, keeps it.
        """
        import signal  # 1 ms, for which nobody who imports the package need wait

        try:
            others = signal.set_wakeup_fd(self.sender.fileno(), warn_on_full_buffer=False)
        except ValueError:
            return False  # only the main thread of the main interpreter handles signals
        if others in (-1, self.sender.fileno()):
            return True
        signal.set_wakeup_fd(others, warn_on_full_buffer=False)
        return False

    def release_signals(self) -> None:
        """Undo :meth:`claim_signals`, unless somebody else has claimed the signals meanwhile."""
        import signal

        current = signal.set_wakeup_fd(-1)
        if current != self.sender.fileno():
            signal.set_wakeup_fd(current, warn_on_full_buffer=False)

    def close(self) -> None:
        """Close both ends."""
        self.receiver.close()
        self.sender.close()
