"""A reactor on a thread of its own, beside whatever the program does.

The facts
---------

**A thread may be asked to end at any moment**, also by a callback that runs on it, which cannot
wait for itself, and by the handler of a signal, which may have interrupted somebody whose lock a
callback is waiting for.

**Python ends without asking daemon threads**, and takes their world to pieces while they run.  For
all other threads it waits, for ever if need be.

**Nobody is there to hear an exception** that a callback raises on such a thread.

The strategy
------------

- The thread is a daemon: a server that is silent must not hold up the end of the program.  At exit
  it is stopped, and waited for a moment, so that callbacks do not run in a world that is half gone.
- Whoever starts it waits until the reactor runs, so that a ``stop()`` right behind it finds
  something to stop, and a reactor that cannot run says so to him.
- Exceptions go to ``threading.excepthook``, which is where programs, and the services that collect
  errors, hear of exceptions on threads.  The reactor goes on, for the sake of other connections.
- A thread that is there only while something may happen ends under the lock under which it is
  started: whoever has work either finds it running, or starts the next one.
"""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

__all__ = ["Background", "report"]

# How long a callback may hold up the end of the program, seconds.
_LAST_MOMENT = 1.0


class Runnable(Protocol):
    """What a thread needs of its reactor."""

    @property
    def has_work(self) -> bool:
        """Whether anything is left that could still happen."""

    def run_reporting(
        self,
        forever: bool,
        entered: Callable[[], object],
        report: Callable[[BaseException], object],
    ) -> None:
        """Run; call ``entered()`` once it does, and ``report(exc)`` for what callbacks raise."""

    def stop(self, timeout: float | None = None) -> None:
        """End the run that is under way."""


class Background:
    """The thread that runs one reactor; with ``forever`` until that is stopped, else as long as
    something may happen."""

    def __init__(self, reactor: Runnable, *, forever: bool) -> None:
        self._reactor = reactor
        self._forever = forever
        self._lock = threading.Lock()
        self._runs = False  # guarded by the lock
        self._ends = False
        self._thread: threading.Thread | None = None  # the last one

    def start(self) -> None:
        """Start the thread, unless there is one; return when the reactor runs.

        Raises ``RuntimeError`` if the reactor cannot run, or no thread can be started.
        """
        begun = threading.Event()
        failures: list[BaseException] = []
        with self._lock:
            if self._runs:
                return
            self._ends = False
            _backgrounds.add(self)
            # Registered last, called first: before reactors are closed.
            atexit.unregister(_end_all)
            atexit.register(_end_all)
            threading.Thread(
                target=self._main,
                args=(begun, failures),
                name="smtp_connection reactor",
                daemon=True,
            ).start()
        begun.wait()
        for error in failures:
            raise error

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that has not ended yet."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, at most ``timeout`` seconds; on the thread itself do
        nothing."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def end(self, timeout: float) -> None:
        """Stop the reactor, whatever is left to do, and wait as :meth:`join` does."""
        if self.is_alive:
            self._ends = True
            self._reactor.stop(0)
            self.join(timeout)

    def _main(self, begun: threading.Event, failures: list[BaseException]) -> None:
        def entered() -> None:
            begun.set()
            if self._ends:
                self._reactor.stop(0)  # what end() has stopped may have been the run before

        with self._lock:
            # Not noted by start(), which may be interrupted before there is a thread.
            if self._runs:
                begun.set()
                return
            self._runs = True
            self._thread = threading.current_thread()
        try:
            while True:
                self._reactor.run_reporting(self._forever, entered, report)
                with self._lock:
                    if self._forever or self._ends or not self._reactor.has_work:
                        self._runs = False
                        return
        except BaseException as exc:  # it cannot run
            with self._lock:
                self._runs = False
            if begun.is_set():
                raise
            failures.append(exc)
            begun.set()


def report(exc: BaseException) -> None:
    """Tell the program of an exception that was raised on the current thread, as Python itself
    does when a thread ends with one."""
    args = threading.ExceptHookArgs((type(exc), exc, exc.__traceback__, threading.current_thread()))
    try:
        threading.excepthook(args)
    except BaseException as own:  # the hook's
        sys.excepthook(type(own), own, own.__traceback__)


_backgrounds: weakref.WeakSet[Background] = weakref.WeakSet()


def _end_all() -> None:
    for background in list(_backgrounds):
        background.end(_LAST_MOMENT)
