"""The event loop: sockets, timers, worker threads and callbacks meet here, and only here.

The facts
---------

**Selectors know numbers, not sockets.**  When a descriptor is closed, epoll and kqueue forget it
without a word, poll reports an event, select fails, and the system gives its number to the next
socket that is opened.  An event that was collected before that may thus belong to somebody else.
When ``modify()`` fails, Python's selectors have forgotten the descriptor as well.

**An epoll object is shared across fork().**  The child inherits a descriptor of the same object of
the kernel: what the child registers, removes or waits for, it does to its parent.

**A thread that waits notices only its descriptors.**  It notices neither a callback that another
thread appends nor a signal that arrives just before the wait begins.  Something has to make a
descriptor readable (``wakeup.py``), which costs a system call.  Callbacks may also arrive between
the reactor's last look at its queue and the beginning of its wait.

**Clocks and waits are inexact.**  The monotonic clock never goes back, but it may stand still or
jump ahead when the machine sleeps.  A wait may end early, late, or without a reason: a socket that
is reported as readable may have nothing to read.  epoll refuses to wait for longer than 24 days.

The strategy
------------

A turn is: wait for a descriptor, a deadline or a wake-up call; read the clock (``now``); call the
readers and writers; move the timers that are due to the end of the queue of callbacks; call as many
callbacks as the queue holds by then; last, call what ``call_last()`` was given.  While callbacks
are waiting, the wait is only a look at the descriptors.  It costs as much as many callbacks, so
``run()`` leaves it out if the turn before had one.

- *Order.*  Callbacks run in the order of the calls, timers by deadline, and timers of one deadline
  in the order in which they were started.  No callback runs inside the call that schedules it.
- *A turn is bounded.*  What a callback schedules runs on a later turn, so callbacks that schedule
  callbacks without end starve neither sockets nor timers.
- *Nothing gets lost.*  A callback leaves the queue before it is called.  When it raises, ``run()``
  ends, and its siblings run when ``run()`` is called again.  A descriptor that was not served by
  then is still ready on the next turn, since selectors report a state and not a change.
- *The receiver of an event is looked up when the event is dispatched*, not when it was collected:
  an earlier callback of the turn may have removed it.  Whoever closes a descriptor closes its
  handle first; what becomes of handles whose files others have closed is told in ``handles.py``.
- *Append first, look second.*  A caller appends its callback, then looks whether the reactor waits.
  The reactor notes that it waits, then looks at its queue.  So at least one of the two sees the
  other, without a lock.  Within a turn no wake-up call is made at all.
- *A child leaves the selector of its parent alone.*  It can remove readers and writers from its own
  copy of the reactor's books; it cannot run that reactor.
- ``run()`` *returns when nothing can happen any more*: there is no callback, no watched descriptor,
  no job, and no timer but those that do not count (``unref()``).

Who may call what
-----------------

Any thread and any signal handler may call ``call_soon()`` (``call_soon_threadsafe()`` is another
name for it) and ``stop()``, and may ask for ``on_thread()`` and ``is_parents``.  ``start()`` is for
any thread.  ``call_last()`` is for the thread inside ``run()``, its signal handlers included.
``wait()`` is for one thread of a host at a time, between two turns.  Everything else is for the
thread inside ``run()`` alone or, as long as the reactor does not run, for the one that is going to
run it.
"""

from __future__ import annotations

import os
import selectors
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from .handles import Handle, Handles, HasFileno, number_of
from .threads import Job, Jobs, Workers
from .timers import Timer, Timers
from .wakeup import WakeUp

if TYPE_CHECKING:
    from typing import Protocol

    from .background import Background

    class Hosting(Protocol):
        """What has another event loop turn a reactor."""

        def detach(self) -> object:
            """Have it turn the reactor no more."""


__all__ = ["Reactor", "running"]

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE

# Seconds; a little less than epoll can wait for.
_LONGEST_WAIT = 24 * 3600.0


class _Running(threading.local):
    reactor: Reactor | None = None


running = _Running()
"""``running.reactor`` is the one that began last to run on the calling thread."""


class Reactor:
    """A single-threaded event loop on ``selectors.DefaultSelector``.

    ``clock`` is any function that returns seconds and never goes back.

    Another event loop can host it, as ``smtp_connection.hosting`` does for some: watch
    :meth:`fileno` for reading, wake up after :meth:`next_timeout` seconds at the latest, and call
    ``run_once(0)`` each time.  A host that cannot watch a descriptor has a thread call
    :meth:`wait`.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        selector: selectors.BaseSelector | None = None,
    ) -> None:
        self._clock = clock
        self._selector = selector or selectors.DefaultSelector()
        self._descriptors = Handles(self._selector)
        self._handles = self._descriptors.table
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._last: deque[Callable[[], object]] = deque()
        self._timers = Timers(clock)
        self._jobs = Jobs()
        self._workers = Workers()
        self._pid = os.getpid()
        self._owner = threading.get_ident()
        # The frame of the run() or run_once() under way.  An interrupt may keep that from noting
        # that it is over, so it counts only as long as it is on the stack of its thread.  (It must
        # not be one of its own variables: that would make a circle of it.)
        self._runner: FrameType | None = None
        self.has_run = False
        """Whether ``run()`` or ``run_once()`` has ever been called, by anybody."""
        # Whether another event loop turns it: it does, or it ran last by run_once().
        self._hosted = False
        self.hosting: Hosting | None = None
        """What has another event loop turn it, between :meth:`begin_hosting` and
        :meth:`end_hosting`."""
        self._outer: Reactor | None = None  # the one that runs on this thread, around this one
        self._background: Background | None = None  # the thread of its own, from start() on
        self._starting = threading.Lock()
        self._stopping = False
        self._waiting = True  # between runs as well: there may be a host that waits for it
        self._looked = False  # whether the last turn has looked at the descriptors
        self._wake_up = WakeUp()
        self._selector.register(self._wake_up.receiver, _READ, None)
        self._finalizer = weakref.finalize(self, _close, self._selector, self._wake_up)
        self.now = clock()
        """The clock's reading (seconds) when the current turn began."""

    def time(self) -> float:
        """Return the clock's reading, seconds; :attr:`now` is that of the beginning of the turn."""
        return self._clock()

    # -- callbacks and timers ---------------------------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` from the reactor on a later turn, in the order of the calls.

        It may be called from any thread and from a signal handler.
        """
        self._ready.append((callback, args))
        # Append first, look second.
        if self._waiting:
            self._wake_up.send()

    call_soon_threadsafe = call_soon

    def call_last(self, callback: Callable[[], object]) -> None:
        """Call ``callback()`` at the end of the turn under way, whatever ends it; if none is, at
        the end of the next one.

        It may be called from any thread, and from a signal handler, which cannot know what it has
        interrupted.
        """
        self._last.append(callback)
        if self._waiting:
            self._wake_up.send()

    def _call_last(self) -> None:
        while self._last:
            self._last.popleft()()

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` once ``seconds`` have passed; return the :class:`Timer`.

        To be called on the reactor's thread, like all methods that follow.
        """
        timer = self.timer(callback, *args)
        timer.start(seconds)
        return timer

    def timer(self, callback: Callable[..., object], *args: Any) -> Timer:
        """Return a :class:`Timer` that will call ``callback(*args)`` once it has been started, as
        often as it is started."""
        return Timer(self._timers, self._news, callback, args)

    def _news(self) -> None:
        if self._waiting:
            self._wake_up.send()

    # -- descriptors ------------------------------------------------------------------------

    def handle(self, file: int | HasFileno, lost: Callable[[], object] | None = None) -> Handle:
        """Return a ``Handle`` that watches ``file`` (a descriptor, or what has one) as soon
        as it gets a reader or a writer.  Raises ``ValueError`` if ``file`` is closed.

        ``lost()`` is called if somebody closes a file that belongs to somebody else.
        """
        return Handle(self._descriptors, self, file, lost)

    def add_reader(self, file: int | HasFileno, callback: Callable[[], object]) -> None:
        """Call ``callback()`` whenever ``file`` (a descriptor, or what has one) is readable."""
        self._handle(file).set_reader(callback)
        self._news()  # for a thread in wait(), which may be inside of select()

    def remove_reader(self, file: int | HasFileno) -> None:
        """Stop watching ``file`` for reading."""
        handle = self._descriptors.find(file)
        if handle is not None:
            handle.set_reader(None)

    def add_writer(self, file: int | HasFileno, callback: Callable[[], object]) -> None:
        """Call ``callback()`` whenever ``file`` (a descriptor, or what has one) is writable."""
        self._handle(file).set_writer(callback)
        self._news()

    def remove_writer(self, file: int | HasFileno) -> None:
        """Stop watching ``file`` for writing."""
        handle = self._descriptors.find(file)
        if handle is not None:
            handle.set_writer(None)

    def _handle(self, file: int | HasFileno) -> Handle:
        handle = self._handles.get(number_of(file))
        if handle is None or (handle.file is not file and handle.is_stale):
            return self.handle(file)
        handle.check()
        return handle

    @property
    def may_register(self) -> bool:
        """Whether the selector is open, and this process's own."""
        return self._finalizer.alive and not self.is_parents

    # -- threads ----------------------------------------------------------------------------

    def job(
        self,
        function: Callable[[], Any],
        callback: Callable[[Any, BaseException | None], object],
        workers: Workers | None = None,
    ) -> Job:
        """Return a job that runs ``function()`` on a worker thread as soon as it is started, then
        ``callback(result, error)`` here.

        ``workers`` are the threads to use; by default the reactor's own, as many as are needed.
        """
        return Job(self._jobs, function, callback, workers or self._workers, self.call_soon)

    def run_in_thread(
        self,
        function: Callable[[], Any],
        callback: Callable[[Any, BaseException | None], object],
        workers: Workers | None = None,
    ) -> Job:
        """Start :meth:`job`, and return it."""
        job = self.job(function, callback, workers)
        job.start()
        return job

    def on_thread(self) -> bool:
        """Whether the caller is on the thread that runs, last ran or made this reactor."""
        return self._owner == threading.get_ident()

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child, and the reactor that of its parent."""
        return self._pid != os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether ``run()`` or ``run_once()`` is under way, on whatever thread."""
        runner = self._runner
        if runner is None:
            return False
        frame = sys._current_frames().get(self._owner)
        while frame is not None and frame is not runner:
            frame = frame.f_back
        return frame is runner

    @property
    def will_turn(self) -> bool:
        """Whether somebody turns the reactor: ``run()`` does, or another event loop hosts it."""
        if not self._finalizer.alive or self.is_parents:
            return False
        if self._runner is not None:
            return True
        return self._hosted and self._owner in sys._current_frames()

    # -- running ----------------------------------------------------------------------------

    def run(self) -> None:
        """Run until nothing is left that could still happen, or until :meth:`stop`.

        An exception that a callback raises leaves ``run()`` as it is; nothing else is lost, and
        ``run()`` may be called again.  Raises ``RuntimeError`` if the reactor is running already,
        is closed, is attached to another event loop, or belongs to the parent of a forked process.
        """
        self._run(False)

    def run_forever(self) -> None:
        """Run until :meth:`stop`, also while there is nothing to do; otherwise as :meth:`run`."""
        self._run(True)

    def run_reporting(
        self,
        forever: bool,
        entered: Callable[[], object],
        report: Callable[[BaseException], object],
    ) -> None:
        """Run as :meth:`run` or :meth:`run_forever`, but hand what callbacks raise to ``report``
        and go on; ``entered()`` is called as soon as the reactor runs."""
        self._run(forever, entered, report)

    def _run(
        self,
        forever: bool,
        entered: Callable[[], object] | None = None,
        report: Callable[[BaseException], object] | None = None,
    ) -> None:
        has_signals = False
        try:
            self._enter(sys._getframe(), hosted=False)
            has_signals = self._wake_up.claim_signals()
            self._stopping = False
            if entered is not None:
                entered()
            while not self._stopping and (forever or self.has_work):
                try:
                    self._turn(None)
                except BaseException as exc:
                    if report is None:
                        raise
                    report(exc)
        finally:
            try:
                if self._runner is sys._getframe():
                    self._leave()
            except BaseException as exc:
                if report is None:
                    raise
                report(exc)
            finally:
                if has_signals:
                    self._wake_up.release_signals()

    def start(self) -> None:
        """Run on a thread of its own until :meth:`stop`, also while there is nothing to do; the
        reactor runs when this returns.

        The thread is a daemon: it does not keep the program from ending.  An exception that a
        callback raises goes to ``threading.excepthook``, and the reactor goes on.  Raises
        ``RuntimeError`` if the reactor runs already, is closed, or belongs to the parent of a
        forked process, and if there are no more threads to be had.
        """
        from .background import Background  # for those who have another thread to spare

        if self.is_parents:
            self._check_may_run()  # the lock may be held by a thread that does not exist here
        with self._starting:
            if self._stopping and self._background is not None:
                self._background.join()
            self._check_may_run()
            self._background = Background(self, forever=True)
            self._background.start()

    def run_once(self, timeout: float | None = 0) -> bool:
        """Run one turn, waiting at most ``timeout`` seconds (``None``: as long as it takes).

        Returns whether anything is left that could still happen.  Raises as :meth:`run` does.
        """
        try:
            self._enter(sys._getframe(), hosted=True)
            # If nothing is left, there may still be a wake-up call to be read.
            self._turn(timeout if self.has_work else 0)
            return self.has_work
        finally:
            if self._runner is sys._getframe():
                self._leave()

    def stop(self, timeout: float | None = None) -> None:
        """Make the run that is under way end after this turn; without one, do nothing.

        It may be called from any thread and from a signal handler.  After :meth:`start` it also
        waits until the thread has ended, at most ``timeout`` seconds (``None``: as long as it
        takes), except on that thread itself.  In a signal handler, which may have interrupted
        somebody whose lock a callback is waiting for, 0 is the right time-out.
        """
        self._stopping = True
        self._wake_up.send()
        background = self._background
        if background is not None and not self.is_parents:
            background.join(timeout)

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
        heap = self._timers.heap
        if not heap:
            return None
        deadline: float | None
        deadline, sequence, timer = heap[0]
        if timer.entry != sequence:
            deadline = self._timers.next_deadline()
            if deadline is None:
                return None
        seconds = deadline - self._clock()
        return seconds if seconds > 0 else 0.0

    def wait(self, timeout: float | None = None) -> None:
        """Wait until ``run_once(0)`` has work, at most ``timeout`` seconds.

        For the thread of a host that cannot watch :meth:`fileno`: it may be called from any thread,
        between two turns.
        """
        if timeout is None or timeout > _LONGEST_WAIT:
            timeout = _LONGEST_WAIT
        self._selector.select(timeout)

    def begin_hosting(self, hosting: Hosting) -> None:
        """Take note that another event loop turns the reactor on this thread from now on.

        ``hosting.detach()`` is called by :meth:`close`, and if another loop of this thread takes
        over.  Raises ``RuntimeError`` if the reactor is running, is closed, is hosted on another
        thread, or belongs to the parent of a forked process.
        """
        self._check_may_run()
        if self.hosting is not None:
            if not self.on_thread() and self.will_turn:
                raise RuntimeError("the reactor is attached to an event loop on another thread")
            self.hosting.detach()
        self._owner = threading.get_ident()
        self.hosting = hosting
        self._hosted = True

    def end_hosting(self, hosting: Hosting) -> None:
        """Take note that ``hosting`` has no other event loop turn the reactor any more."""
        if self.hosting is hosting:
            self.hosting = None
            self._hosted = False

    def close(self) -> None:
        """Close the selector, after :meth:`stop` if the reactor has a thread of its own.  To be
        called when nothing uses the reactor any more."""
        if self._background is not None and self._background.is_alive:
            self.stop()
        if self.is_running:
            raise RuntimeError("the reactor is running: call stop() first")
        if self.hosting is not None:
            self.hosting.detach()
        self._finalizer()

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _check_may_run(self) -> None:
        if self.is_running:
            if self._owner != threading.get_ident():
                raise RuntimeError(
                    "the reactor is running already, on another thread; the methods of connections"
                    " may be called from this one"
                )
            raise RuntimeError("the reactor is running already: call run() once, outside callbacks")
        if not self._finalizer.alive:
            raise RuntimeError("the reactor is closed")
        if self.is_parents:
            # The selector is shared with the parent: using it here would steal its events.
            raise RuntimeError("the reactor belongs to the parent process: make one after fork()")

    def _enter(self, frame: FrameType, *, hosted: bool) -> None:
        self._check_may_run()
        if self.hosting is not None and not hosted:
            raise RuntimeError("the reactor is attached to another event loop: call detach() first")
        self._owner = threading.get_ident()
        self.has_run = True
        if running.reactor is not self:
            self._outer, running.reactor = running.reactor, self
        self._runner = frame
        # Last: until then another thread has to believe that the host will turn it.
        self._hosted = hosted

    def _leave(self) -> None:
        running.reactor, self._outer = self._outer, None
        # Noted first, called second: whoever appends to the list does it the other way round, so
        # that one of the two sees the other.
        self._runner = None
        self._waiting = True
        self._call_last()

    @property
    def has_work(self) -> bool:
        """Whether anything is left that could still happen."""
        return bool(
            self._ready
            or self._handles
            or self._last
            or self._jobs.unfinished
            or self._timers.any_counts()
        )

    def _turn(self, timeout: float | None) -> None:
        events: list[tuple[selectors.SelectorKey, int]] = []
        # A host has seen a descriptor become readable.
        looks = timeout is not None or not (self._looked and self._ready)
        self._looked = False
        self._waiting = looks
        if looks:
            try:
                wait = self.next_timeout()
                if wait is None or (timeout is not None and timeout < wait):
                    wait = timeout
                if wait is not None and wait > _LONGEST_WAIT:
                    wait = _LONGEST_WAIT
                events = self._selector.select(wait)
            except OSError:
                # Where there is only select(), one closed descriptor makes it fail for all of them.
                if not self._descriptors.lose_closed():
                    raise
            finally:
                self._waiting = False
        self.now = now = self._clock()
        for key, mask in events:
            handle: Handle | None = key.data
            if handle is None:
                self._wake_up.drain()
                continue
            # An earlier callback of this turn may have removed the reader or the writer.
            if mask & _READ and handle.reader is not None:
                handle.reader()
            elif handle.writer is None and handle.reader is None and handle.number == key.fd:
                handle.update()  # an interrupt has kept somebody from taking it out
            if mask & _WRITE and handle.writer is not None:
                handle.writer()
        self._looked = looks
        ready = self._ready
        timers = self._timers
        if timers.heap and timers.heap[0][0] <= now:
            timers.move_due(now, ready)
        # Not those that these callbacks append: they must not starve the sockets.
        for _ in range(len(ready)):
            callback, args = ready.popleft()
            callback(*args)
        if self._last:
            self._call_last()


def _close(selector: selectors.BaseSelector, wake_up: WakeUp) -> None:
    selector.close()
    wake_up.close()
