"""The event loop: sockets, timers, worker threads and callbacks meet here, and only here.

A turn is: wait for a descriptor, a deadline or a wake-up; dispatch what is readable and writable;
then run the callbacks that were due when the turn began.  All of it happens on the thread that is
inside :meth:`Reactor.run`.
"""

from __future__ import annotations

import heapq
import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .threads import Workers
from .wakeup import wake_no_more_on_signals, wake_on_signals

__all__ = ["Job", "Reactor", "Timer", "current_reactor", "get_reactor", "run"]

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE

# Cancelled timers stay in the heap until they are due.  Once there are this many of them, and they
# are the majority, the heap is rebuilt: a long time-out on each of many short operations is cheap.
_MANY_CANCELLED = 64

# Seconds; epoll refuses to wait for more than 24 days.
_LONGEST_WAIT = 24 * 3600.0


class HasFileno(Protocol):
    """Anything with a descriptor: a socket, a pipe, a file."""

    def fileno(self) -> int: ...


class Timer:
    """A call that is due later; :meth:`cancel` takes it back."""

    __slots__ = ("_args", "_callback", "_reactor", "deadline")

    def __init__(
        self, reactor: Reactor, deadline: float, callback: Callable[..., object], args: Any
    ) -> None:
        self.deadline = deadline
        self._reactor = reactor
        self._callback: Callable[..., object] | None = callback
        self._args = args

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None

    def cancel(self) -> None:
        """Take the call back; nothing happens if it has been made or cancelled already."""
        if self._callback is not None:
            self._callback = self._args = None
            self._reactor._timer_cancelled()

    def _fire(self) -> None:
        callback, args = self._callback, self._args
        if callback is not None:
            self._callback = self._args = None
            self._reactor._live_timers -= 1
            callback(*args)


class Job:
    """A function that runs on a worker thread; see :meth:`Reactor.run_in_thread`."""

    __slots__ = ("_callback", "_reactor")

    def __init__(
        self, reactor: Reactor, callback: Callable[[Any, BaseException | None], object]
    ) -> None:
        self._reactor = reactor
        self._callback: Callable[[Any, BaseException | None], object] | None = callback

    def cancel(self) -> None:
        """Forget the job: its callback is not called and ``run()`` no longer waits for it.

        The thread itself cannot be stopped; it ends when the function returns.
        """
        if self._callback is not None:
            self._callback = None
            self._reactor._live_jobs -= 1

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            result, error = function(), None
        except BaseException as exc:
            result, error = None, exc
        self._reactor.call_soon_threadsafe(self._finish, result, error)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        callback = self._callback
        if callback is not None:
            self._callback = None
            self._reactor._live_jobs -= 1
            callback(result, error)


class _Handle:
    """Who is told about one descriptor."""

    __slots__ = ("events", "reader", "writer")

    def __init__(self) -> None:
        self.events = 0  # of which the selector knows
        self.reader: Callable[[], object] | None = None
        self.writer: Callable[[], object] | None = None


class Reactor:
    """A single-threaded event loop on ``selectors.DefaultSelector``.

    ``clock`` is any function that returns seconds and never goes back.

    Another event loop can host it: watch :meth:`fileno` for reading, wake up after
    :meth:`next_timeout` seconds at the latest, and call ``run_once(0)`` each time.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        selector: selectors.BaseSelector | None = None,
    ) -> None:
        self._clock = clock
        self._selector = selector or selectors.DefaultSelector()
        self._handles: dict[int, _Handle] = {}
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._last: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_sequence = 0
        self._live_timers = 0
        self._live_jobs = 0
        self._workers = Workers()
        self._pid = os.getpid()
        self._owner = threading.get_ident()
        self._running = False
        self._outer: Reactor | None = None  # the one that runs on this thread, around this one
        self._stopping = False
        self._waiting = True  # between runs as well: there may be a host that waits for it
        self._woken = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, _READ, None)
        self._finalizer = weakref.finalize(
            self, _close_all, self._selector, self._wake_receiver, self._wake_sender
        )
        self.now = clock()
        """The clock's reading (seconds) when the current turn began."""

    # -- callbacks and timers ---------------------------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` from the reactor on a later turn, in the order of the calls.

        It may be called from any thread and from a signal handler.
        """
        self._ready.append((callback, args))
        # Appended first, looked at second: the reactor does it the other way round (it says that
        # it waits, then looks for callbacks), so that one of the two sees the other.
        if self._waiting:
            self._wake()

    call_soon_threadsafe = call_soon

    def call_last(self, callback: Callable[[], object]) -> None:
        """Call ``callback()`` at the end of the turn under way, whatever ends it.

        To be called while the reactor runs, on its thread, if need be by a signal handler, which
        cannot know what it has interrupted.
        """
        self._last.append(callback)
        if self._waiting:
            self._wake()

    def _call_last(self) -> None:
        while self._last:
            self._last.popleft()()

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` once ``seconds`` have passed; return the :class:`Timer`.

        To be called on the reactor's thread, as all that follows.
        """
        deadline = self._clock() + seconds
        timer = Timer(self, deadline, callback, args)
        self._timer_sequence += 1
        heapq.heappush(self._timers, (deadline, self._timer_sequence, timer))
        self._live_timers += 1
        if self._waiting:
            self._wake()
        return timer

    def _timer_cancelled(self) -> None:
        self._live_timers -= 1
        cancelled = len(self._timers) - self._live_timers
        if cancelled > _MANY_CANCELLED and cancelled > self._live_timers:
            self._timers = [entry for entry in self._timers if entry[2].active]
            heapq.heapify(self._timers)

    # -- descriptors ------------------------------------------------------------------------

    def add_reader(self, file: int | HasFileno, callback: Callable[[], object]) -> None:
        """Call ``callback()`` whenever ``file`` (a descriptor, or what has one) is readable."""
        self._handle(file).reader = callback
        self._watch(file)

    def remove_reader(self, file: int | HasFileno) -> None:
        """Stop watching ``file`` for reading."""
        handle = self._handles.get(_descriptor(file))
        if handle is not None and handle.reader is not None:
            handle.reader = None
            self._watch(file)

    def add_writer(self, file: int | HasFileno, callback: Callable[[], object]) -> None:
        """Call ``callback()`` whenever ``file`` (a descriptor, or what has one) is writable."""
        self._handle(file).writer = callback
        self._watch(file)

    def remove_writer(self, file: int | HasFileno) -> None:
        """Stop watching ``file`` for writing."""
        handle = self._handles.get(_descriptor(file))
        if handle is not None and handle.writer is not None:
            handle.writer = None
            self._watch(file)

    def _handle(self, file: int | HasFileno) -> _Handle:
        descriptor = _descriptor(file)
        if descriptor < 0:
            raise ValueError(f"{file!r} is closed")
        handle = self._handles.get(descriptor)
        if handle is None:
            handle = self._handles[descriptor] = _Handle()
        return handle

    def _watch(self, file: int | HasFileno) -> None:
        descriptor = _descriptor(file)
        handle = self._handles[descriptor]
        events = (_READ if handle.reader else 0) | (_WRITE if handle.writer else 0)
        if self.is_parents:
            # epoll is shared: what is taken out here is lost to the parent.
            if not events:
                del self._handles[descriptor]
            return
        known, handle.events = handle.events, events
        if not events:
            del self._handles[descriptor]
            if known:
                self._selector.unregister(descriptor)
        elif known != events:
            watch = self._selector.modify if known else self._selector.register
            try:
                watch(descriptor, events, handle)
            except BaseException:
                # A selector forgets what it cannot modify.
                del self._handles[descriptor]
                raise

    # -- threads ----------------------------------------------------------------------------

    def run_in_thread(
        self,
        function: Callable[[], Any],
        callback: Callable[[Any, BaseException | None], object],
        workers: Workers | None = None,
    ) -> Job:
        """Run ``function()`` on a worker thread, then ``callback(result, error)`` here.

        ``workers`` are the threads to use; by default the reactor's own, as many as are needed.
        """
        job = Job(self, callback)
        self._live_jobs += 1
        try:
            (workers or self._workers).submit(lambda: job._run(function))
        except RuntimeError as exc:  # there are no more threads to be had
            self.call_soon(job._finish, None, exc)
        return job

    def on_thread(self) -> bool:
        """Whether the caller is on the thread that runs, last ran or made this reactor."""
        return self._owner == threading.get_ident()

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child, and the reactor that of its parent."""
        return self._pid != os.getpid()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            try:
                self._wake_sender.send(b"\0")
            except OSError:
                pass  # closed, or full and therefore about to wake up anyway

    def _drain_wake_ups(self) -> None:
        try:
            while len(self._wake_receiver.recv(4096)) == 4096:
                pass
        except OSError:
            pass
        # Only now: a caller that still saw the flag set has its callback in the queue already.
        self._woken = False

    # -- running ----------------------------------------------------------------------------

    def run(self) -> None:
        """Run until nothing is left that could still happen, or until :meth:`stop`.

        An exception that a callback raises leaves ``run()`` as it is; nothing else is lost, and
        ``run()`` may be called again.  Raises ``RuntimeError`` if the reactor is running already,
        is closed, or belongs to the parent of a forked process.
        """
        self._enter()
        woken_by_signals = wake_on_signals(self._wake_sender)
        try:
            self._stopping = False
            while not self._stopping and self._alive():
                self._turn(None)
        finally:
            if woken_by_signals:
                wake_no_more_on_signals(self._wake_sender)
            self._leave()

    def run_once(self, timeout: float | None = 0) -> bool:
        """Run one turn, waiting at most ``timeout`` seconds (``None``: as long as it takes).

        Returns whether anything is left that could still happen.  Raises as :meth:`run` does.
        """
        self._enter()
        try:
            # Where nothing is left there may still be a wake-up call to take off the pipe.
            self._turn(timeout if self._alive() else 0)
            return self._alive()
        finally:
            self._leave()

    def stop(self) -> None:
        """Make the ``run()`` under way return after this turn; may be called from any thread and
        from a signal handler."""
        self._stopping = True
        self._wake()

    def fileno(self) -> int:
        """Return the descriptor of the selector: it is readable when ``run_once(0)`` has work.

        Raises ``RuntimeError`` on platforms whose selector has none.
        """
        fileno = getattr(self._selector, "fileno", None)
        if fileno is None:
            raise RuntimeError(f"{type(self._selector).__name__} has no descriptor to watch")
        return int(fileno())

    def next_timeout(self) -> float | None:
        """Return the seconds until the next timer is due: 0 if callbacks are waiting, ``None`` if
        only a descriptor or another thread can bring the next event."""
        if self._ready or self._last:
            return 0.0
        timers = self._timers
        while timers and not timers[0][2].active:
            heapq.heappop(timers)
        return max(0.0, timers[0][0] - self._clock()) if timers else None

    def close(self) -> None:
        """Close the selector.  To be called when nothing uses the reactor any more."""
        if self._running:
            raise RuntimeError("the reactor is running: call stop() first")
        self._finalizer()

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _enter(self) -> None:
        if self._running:
            raise RuntimeError("the reactor is running already: call run() once, outside callbacks")
        if not self._finalizer.alive:
            raise RuntimeError("the reactor is closed")
        if self.is_parents:
            # The selector is shared with the parent: using it here would steal its events.
            raise RuntimeError("the reactor belongs to the parent process: make one after fork()")
        self._owner = threading.get_ident()
        self._running = True
        self._outer, _running.reactor = current_reactor(), self

    def _leave(self) -> None:
        try:
            self._call_last()
        finally:
            _running.reactor, self._outer = self._outer, None
            self._running = False
            self._waiting = True

    def _alive(self) -> bool:
        return bool(self._ready or self._handles or self._live_timers or self._live_jobs)

    def _turn(self, timeout: float | None) -> None:
        self._waiting = True
        try:
            wait = self.next_timeout()
            if wait is None or (timeout is not None and timeout < wait):
                wait = timeout
            if wait is not None and wait > _LONGEST_WAIT:
                wait = _LONGEST_WAIT
            events = self._selector.select(wait)
        finally:
            self._waiting = False
        self.now = now = self._clock()
        for key, mask in events:
            handle: _Handle | None = key.data
            if handle is None:
                self._drain_wake_ups()
                continue
            # Looked up now, not when the events were collected: an earlier callback of this turn
            # may have taken the descriptor out.
            if mask & _READ and handle.reader is not None:
                handle.reader()
            if mask & _WRITE and handle.writer is not None:
                handle.writer()
        ready = self._ready
        timers = self._timers
        while timers and timers[0][0] <= now:
            ready.append((heapq.heappop(timers)[2]._fire, ()))
        # Only what is due by now: callbacks that schedule callbacks must not starve the sockets.
        for _ in range(len(ready)):
            callback, args = ready.popleft()
            callback(*args)
        if self._last:
            self._call_last()


def _descriptor(file: int | HasFileno) -> int:
    return file if isinstance(file, int) else file.fileno()


def _close_all(selector: selectors.BaseSelector, *sockets: socket.socket) -> None:
    selector.close()
    for sock in sockets:
        sock.close()


_running = threading.local()


def current_reactor() -> Reactor | None:
    """Return the reactor that is running on the calling thread, ``None`` if there is none."""
    return getattr(_running, "reactor", None)


_default: Reactor | None = None
_default_lock = threading.Lock()


def get_reactor() -> Reactor:
    """Return the default reactor, which is made on first use, and anew after a ``fork()``."""
    global _default
    with _default_lock:
        if _default is None or _default.is_parents:
            _default = Reactor()
        return _default


def run() -> None:
    """Run the default reactor until nothing is left that could still happen."""
    get_reactor().run()


def _after_fork_in_child() -> None:
    # The lock may have been held by a thread that does not exist here.  The parent's reactor is
    # dropped without being closed: its epoll descriptor is shared.
    global _default_lock
    _default_lock = threading.Lock()
    _running.reactor = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
