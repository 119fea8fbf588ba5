"""A reactor that another event loop turns: what all hosts have in common.

The facts
---------

**A selector is a descriptor, too.**  Where it is (epoll, kqueue), any loop that can watch a
descriptor learns from it that the reactor has work: a socket is ready, or somebody has called
``call_soon()`` or started a timer between two turns, which writes to the reactor's wake-up socket.
What a turn itself leaves behind, callbacks and timers, writes nothing; ``next_timeout()`` tells.

**Some selectors are not** (``select()``, on Windows), **and some loops watch no descriptors**
(asyncio's proactor, Tk on Windows).  There a thread has to wait in the reactor's selector.  It must
not do so during a turn: ``select()`` does not notice the sockets that are added meanwhile.

**A callback may run its host's loop**: a dialog box of Tk or Qt does, until it is closed.  The
reactor cannot be turned inside of its own turn, and its descriptor may be readable all the time.

The strategy
------------

The host calls :meth:`Hosting.turn` when the descriptor is readable, and when the one timer that is
set for the reactor fires.  At the end of a turn that timer is set again, unless it is early enough:
most time-outs are moved on long before they are due, so it often wakes the reactor in vain, once,
instead of being set anew each turn.  An idle reactor costs nothing.

A turn within a turn does nothing, and the descriptor is not watched until the outer one is over.

The thread waits exactly once for each turn, after it: with the time-out that the turn has left.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..reactor.default import get_reactor
from ..reactor.loop import Reactor

if TYPE_CHECKING:
    C = TypeVar("C", bound="Claim")
    L = TypeVar("L")

__all__ = ["Claim", "Host", "Hosting", "host"]

# Seconds that the timer may be late.
_TOLERANCE = 0.001

# Seconds; loops that count milliseconds cannot wait for a month.
_LONGEST = 24 * 3600.0


def _nothing() -> None:
    """Take the place of what is not to be called any more."""


class Host(Protocol):
    """An event loop that can turn a reactor."""

    @property
    def loop(self) -> object:
        """What is the same object for the same loop."""

    def watch(self, descriptor: int, readable: Callable[[], object]) -> Callable[[], object]:
        """Call ``readable()`` whenever ``descriptor`` is readable; return what ends that.

        Raises ``NotImplementedError`` if this loop watches no descriptors.
        """

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], object]:
        """Call ``callback()`` once ``seconds`` have passed; return what takes that back.

        There is never more than one call to be made.
        """

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> object:
        """Call ``callback()`` on the loop's thread.

        Raises ``TimeoutError`` if the loop does not run yet, which is worth another try, and any
        other exception if it is gone.
        """

    def report(self, error: Exception) -> object:
        """Hand what a callback has raised to the loop's usual handler of errors.

        It is called where ``error`` was caught.
        """


class Claim:
    """The right to turn a reactor for another event loop, until :meth:`detach`.  Leaving a
    ``with`` block detaches, too."""

    def __init__(self, reactor: Reactor, released: Callable[[], object]) -> None:
        """``released()`` is called when the claim ends, unless that is in a forked child, which
        shares what its parent's loop has in the kernel.  Raises as
        :meth:`Reactor.begin_hosting` does."""
        self.reactor = reactor
        self.attached = False
        self._released = released
        self._waiter: _Waiter | None = None
        reactor.begin_hosting(self)
        self.attached = True

    def detach(self) -> None:
        """Have the loop turn the reactor no more; may be called again, and from callbacks.

        To be called on the thread of the loop, or when that is over.  What the reactor still has to
        do is done when it is attached again, or by its own ``run()``.
        """
        if not self.attached:
            return
        self.attached = False
        self.reactor.end_hosting(self)
        if self._waiter is not None:
            self._waiter.stop()
        released, self._released = self._released, _nothing  # which knows this claim
        if not self.reactor.is_parents:
            released()

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.detach()

    def wait_on_thread(
        self, tell: Callable[[Callable[[], object]], object], turn: Callable[[], object]
    ) -> Callable[[float | None], object]:
        """Start a thread that waits in the place of the loop.

        Returns a function to be called after each turn with the seconds until the next timer is
        due (``None``: there is none): then ``tell(turn)`` is called, once, on the thread, as soon
        as there is work.  ``tell`` has the loop call a function, and raises if the loop is over.
        The thread ends with the claim, or with the loop.
        """
        self._waiter = _Waiter(self.reactor, tell, turn)
        return self._waiter.wait


class Hosting(Claim):
    """A reactor that another event loop turns, from the first turn of that loop until
    :meth:`detach`.  Leaving a ``with`` block detaches, too."""

    def __init__(self, host: Host, reactor: Reactor) -> None:
        """Raises as :meth:`Reactor.begin_hosting` does."""
        self.host = host
        self._unwatch: Callable[[], object] | None = None
        self._cancel_timer: Callable[[], object] | None = None
        self._due = 0.0  # when the timer fires, on the reactor's clock
        self._wait: Callable[[float | None], object] | None = None  # where a thread does
        super().__init__(reactor, self._stop)
        try:
            try:
                self._watch()
            except RuntimeError:  # no descriptor; or NotImplementedError: nobody watches it
                self._wait = self.wait_on_thread(host.call_soon_threadsafe, self.turn)
            self._turn_within(0)  # there may be work already
        except BaseException:
            self.detach()
            raise

    def turn(self) -> None:
        """Run one turn of the reactor.  For the loop to call."""
        if not self.attached:
            return
        if self.reactor.is_running:  # a callback runs the loop
            self._stop_watching()
            return
        try:
            self.reactor.run_once(0)
        except Exception as exc:
            self.host.report(exc)
        finally:
            if self.attached and self.reactor.may_register:
                self._prepare()

    def _prepare(self) -> None:
        """See to it that the next turn comes."""
        if self._unwatch is None and self._wait is None:
            self._watch()
        self._turn_within(self.reactor.next_timeout())

    def _turn_within(self, seconds: float | None) -> None:
        if self._wait is not None:
            self._wait(seconds)
        elif seconds is not None:
            self._set_timer(min(seconds, _LONGEST))

    def _set_timer(self, seconds: float) -> None:
        due = self.reactor.time() + seconds
        if self._cancel_timer is not None:
            if self._due <= due + _TOLERANCE:
                return
            self._stop_timer()
        self._due = due
        self._cancel_timer = self.host.call_later(seconds, self._timed_out)

    def _timed_out(self) -> None:
        self._cancel_timer = None
        self.turn()

    def _watch(self) -> None:
        self._unwatch = self.host.watch(self.reactor.fileno(), self.turn)

    def _stop_watching(self) -> None:
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()

    def _stop_timer(self) -> None:
        cancel, self._cancel_timer = self._cancel_timer, None
        if cancel is not None:
            cancel()

    def _stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over, and does nothing any more
            self._stop_watching()
            self._stop_timer()


_LOOK_EVERY = 5.0  # seconds


class _Waiter:
    """A thread that waits for a reactor in the place of a loop."""

    def __init__(
        self,
        reactor: Reactor,
        tell: Callable[[Callable[[], object]], object],
        turn: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._tell = tell
        self._turn = turn
        self._rounds: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._waits = threading.Lock()  # held while the thread waits
        self._stopped = False
        thread = threading.Thread(target=self._work, name="smtp_connection waiter", daemon=True)
        thread.start()

    def wait(self, timeout: float | None) -> None:
        """Let the next wait begin, which ends after ``timeout`` seconds."""
        self._rounds.put(timeout)

    def stop(self) -> None:
        """Let the thread end; when this returns it has left the reactor alone."""
        self._stopped = True
        self._rounds.put(None)
        self._reactor.stop(0)  # which ends its wait
        with self._waits:
            pass

    def _work(self) -> None:
        while True:
            try:
                timeout = self._rounds.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                # The loop was told, and has not turned the reactor: it may be closed since.
                if not self._reaches_loop(_nothing):
                    return
                continue
            with self._waits:
                if self._stopped:
                    return
                try:
                    # A loop that is closed tells nobody: it is noticed when it is told something.
                    self._reactor.wait(
                        _LOOK_EVERY if timeout is None else min(timeout, _LOOK_EVERY)
                    )
                except OSError:
                    pass  # the turn fails as well, and tells
            if not self._reaches_loop(self._turn):
                return

    def _reaches_loop(self, call: Callable[[], object]) -> bool:
        """Have the loop call ``call()``; return whether it is still there."""
        while not self._stopped:
            try:
                self._tell(call)
                return True
            except TimeoutError:
                continue
            except Exception:
                break  # the loop is gone
        return False


def host(loop: L, adapt: Callable[[L], Host], reactor: Reactor | None) -> Hosting:
    """Have ``loop``, of which ``adapt(loop)`` makes a host, turn ``reactor``, by default that of
    ``get_reactor()``.

    If it does so already, the same object is returned again.
    """
    reactor = reactor or get_reactor()
    hosting = reactor.hosting
    if isinstance(hosting, Hosting) and hosting.host.loop is loop:
        return hosting
    return Hosting(adapt(loop), reactor)
