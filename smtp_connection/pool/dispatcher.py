"""Which message goes over which connection, and when.

The facts
---------

**A message is not the connection's.**  A connection can fail before it is open, between two
messages, within one, or behind one.  What that means for a message depends on how far that message
had come, and for the others it means nothing, unless the error is about all of them.

**Servers limit what one client may do**: how many connections it has, how many messages it sends in
a minute, how often it gets a password wrong.  They do not announce these limits.  Whoever goes on
as before when one is hit is locked out.

**Anything may be interrupted**, as in ``driver/lifecycle.py``: the outcome of a message may be
known to its connection, and not reach the pool.

The strategy
------------

- *A message stays in the queue until a connection is open and logged in.*  So what fails before has
  no message, the queue keeps its order, and nobody's attempts are used up while one looks for out
  how many connections the server takes.
- *After each error the table decides* (``verdicts.py``); this file only does what it says.
- *One login at a time, until the server has accepted one.*  A wrong password is tried once.
- *Nothing is looked for.*  A turn looks at the head of the queue and at one idle connection; what
  becomes possible later is a timer, and there is one of each kind.
- *Every message is in one book, from ``accept()`` until it is settled.*  When the last connection
  has ended after ``close()``, what is still in it was lost in an interrupt: it is settled then, as
  in doubt if a connection had it.  What is settled is in another one until it has been told.

Who may call what
-----------------

``accept``, ``close``, ``stats`` and the properties are for any thread and any signal handler.  All
else is called by slots and by the reactor, on the reactor's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..abort import abort_error
from ..driver.trace import Trace
from ..errors import SMTPError
from ..options.transport import PoolOptions
from ..reactor.loop import Reactor
from ..reactor.timers import Timer
from ..records import LogEntry, SendInfo
from .ceiling import Ceiling, Openings
from .counts import Counts
from .entry import Entry
from .failures import lost, never_sent, own_copy, queue_full
from .permits import Permits
from .queue import Queue
from .records import PoolLogEntry, PoolStats
from .slot import Slot, State
from .verdicts import Stage, Verdict, again_after, verdict_on

__all__ = ["Dispatcher"]

_FOR_EVER = float("inf")
_SOON = 0.001
"""Seconds: what is due so soon is due now, whatever the last digits say."""


class _Closing:
    """How far ``close()`` has got; what is larger comes later."""

    NO = 0
    DRAIN = 1  # everything that is queued is sent first
    FINISH = 2  # what is being sent is, and nothing else
    FORCE = 3
    DONE = 4


class Dispatcher:
    """The queue, the connections and the limits of one pool."""

    def __init__(
        self,
        emit: Callable[..., object],
        reactor: Reactor,
        options: PoolOptions,
        login: Mapping[str, Any] | None,
        trace: Trace | None,
    ) -> None:
        self._emit = emit
        self._reactor = reactor
        self._options = options
        self.login = login
        self._trace = trace
        self._queue = Queue()
        self._delayed: dict[Entry, Timer] = {}  # that are queued again after a while
        self._unsettled: dict[Entry, None] = {}  # all that nobody knows the outcome of
        self._untold: deque[Entry] = deque()  # all whose outcome is known, and has not been told
        self._telling_since = -1.0  # on a later turn; the reactor's clock, seconds
        self._slots: dict[Slot, None] = {}
        self._idle: dict[Slot, None] = {}  # the last one was used last
        self._ceiling = Ceiling(options.maxConnections)
        self._openings = Openings(options.maxRequeues)
        self._permits = Permits(reactor, options, self._look_again_in, self._limiter_failed)
        self._trusted = login is None  # the server has accepted the login
        self._counts = Counts(reactor.time())
        self._closing = _Closing.NO
        self._close_callbacks: list[Callable[[], object]] = []
        self._woken = False
        self._later = reactor.timer(self._turn)  # something is possible then
        self._sweep = reactor.timer(self._retire)
        self._sweeps = bool(options.idleTimeout or options.maxLifetime)
        self.idling = True
        """Whether there is room in the queue."""

    # -- what may be called at any time -----------------------------------------------------------

    @property
    def pending(self) -> int:
        """How many messages are not settled yet."""
        return len(self._unsettled)

    @property
    def queued(self) -> int:
        """How many messages wait for their turn, also for another attempt."""
        return len(self._queue) + len(self._delayed)

    @property
    def waits_for_run(self) -> bool:
        """Whether messages wait for a reactor of this process that has never run."""
        reactor = self._reactor
        return bool(self._unsettled) and not (reactor.has_run or reactor.is_parents)

    def accept(self, entry: Entry) -> None:
        """Queue a message."""
        if self._closing:
            self._refuse(entry, never_sent())
            return
        if entry.signal is not None and entry.signal.aborted:
            self._refuse(entry, abort_error(entry.signal.reason))
            return
        options = self._options
        if options.maxQueued and self.queued >= options.maxQueued:
            self._refuse(entry, queue_full(options.maxQueued))
            return
        entry.since = self._openings.count
        self._unsettled[entry] = None
        self._queue.append(entry)
        if entry.signal is not None:
            entry.follow(lambda: self._reactor.call_soon(self._aborted, entry), self._reactor)
        # At once, because a caller may send as long as there is room.
        if self.idling and len(self._queue) >= options.maxConnections:
            self.idling = False
        self._wake()

    def close(self, *, drain: bool, force: bool, callback: Callable[[], object] | None) -> None:
        """End it; ``callback()`` is called when the last connection is over."""
        level = _Closing.FORCE if force else _Closing.DRAIN if drain else _Closing.FINISH
        self._closing = max(self._closing, level)
        if callback is not None:
            self._close_callbacks.append(callback)
        for slot in list(self._slots):
            if force or slot.destroyed:
                slot.drop()  # what was interrupted before is done now
        self._reactor.call_soon(self._go_on_closing)

    def stats(self) -> PoolStats:
        """Return the state of affairs."""
        connections = dict.fromkeys((State.OPENING, State.IDLE, State.SENDING, State.CLOSING), 0)
        for slot in list(self._slots):
            if slot.state in connections:
                connections[slot.state] += 1
        now, counts, queued = self._reactor.time(), self._counts, self.queued
        return PoolStats(
            queued=queued,
            sending=max(len(self._unsettled) - queued, 0),
            sent=counts.sent,
            failed=counts.failed,
            inDoubt=counts.in_doubt,
            requeued=counts.requeued,
            connections=connections,
            ceiling=self._ceiling.at(now),
            rate=counts.rate(now),
        )

    # -- the turn ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        # Append first, look second: whoever finds the flag set has appended before it is cleared.
        if not self._woken:
            self._woken = True
            self._reactor.call_soon(self._turn)

    def _turn(self) -> None:
        self._woken = False
        self._dispatch()

    def _dispatch(self) -> None:
        """Give idle connections what is queued, as far as the limits allow."""
        queue, idle = self._queue, self._idle
        if self._closing and (self._closing > _Closing.DRAIN or not (queue or self._delayed)):
            self._go_on_closing()
            return
        while idle and queue:
            if next(reversed(idle)).destroyed:
                idle.popitem()  # the server has closed it; its 'end' is still to come
            elif self._permits.may_begin():
                entry = queue.popleft()
                if entry is None:
                    break
                slot, _ = idle.popitem()
                self._permits.begin(entry, slot.send)
            else:
                break
        waiting = len(queue)
        if waiting and not idle:
            self._open_more()
        if not self.idling and waiting < self._options.maxConnections:
            self.idling = True
            self._reactor.call_soon(self._emit, "idle")
        if idle and self._sweeps and not self._sweep.active:
            self._retire()
        if self._closing and not (queue or self._delayed):
            self._go_on_closing()

    def _look_again_in(self, seconds: float) -> None:
        later = self._later
        if not seconds:
            self._wake()
        elif not later.active or later.deadline > self._reactor.time() + seconds:
            later.start(seconds)

    def _limiter_failed(self, error: SMTPError) -> None:
        entry = self._queue.popleft()
        if entry is not None:
            self._settle(entry, error)

    # -- connections ------------------------------------------------------------------------------

    def _open_more(self) -> None:
        """Open as many connections as there are messages for them, if the server takes them."""
        if len(self._slots) >= self._options.maxConnections:
            return  # as after almost every message
        now = self._reactor.time()
        openings = self._openings
        if openings.not_before > now:
            self._look_again_in(openings.not_before - now)
            return
        opening = sum(slot.state == State.OPENING for slot in self._slots)
        useful = min(len(self._queue), self._permits.in_sight())
        wanted = min(useful - opening, self._ceiling.at(now) - len(self._slots))
        if openings.in_a_row or not self._trusted:
            wanted = min(wanted, 1 - opening)
        for _ in range(wanted):
            slot = Slot(self, self._reactor, self._options, self.login)
            self._slots[slot] = None
            slot.open()

    def opened(self, slot: Slot) -> None:
        """(SlotOwner)"""
        self._openings.succeeded()
        self._trusted = True
        self._rest(slot)

    def failed(self, slot: Slot, stage: str, error: SMTPError) -> None:
        """(SlotOwner)"""
        now = self._reactor.time()
        verdict = verdict_on(error, stage)
        slot.leave()
        if verdict.lower:
            self._lower_ceiling(slot, error)
        if verdict.all_fail:
            self._tell(lambda: f"Everything that is queued fails: {error}")
            if stage == Stage.LOGIN:
                self._trusted = False
                for other in list(self._slots):
                    if other.state == State.OPENING:
                        other.drop()  # it would try the same password
            self._fail_queue(error)
            return
        alone = not any(each.state in (State.IDLE, State.SENDING) for each in self._slots)
        self._openings.failed(now, slot.began, alone=alone)
        self._tell(lambda: f"No connection: {error}")
        while (first := self._queue.first) and self._openings.exhausted(first.since):
            self._settle(self._queue.popleft() or first, own_copy(error))
        self._wake()

    def _lower_ceiling(self, slot: Slot, error: SMTPError) -> None:
        now = self._reactor.time()
        if self._ceiling.lower(now, slot.began):
            number = self._ceiling.at(now)
            self._tell(lambda: f"At most {number} connections from now on: {error}")

    def ended(self, slot: Slot) -> None:
        """(SlotOwner)"""
        self._slots.pop(slot, None)
        self._idle.pop(slot, None)
        while slot.entries:  # an interrupt has kept them from being told
            entry = slot.entries.pop()
            self._permits.over(entry)
            self._settle(entry, lost())
        if not self._slots and not self._unsettled:
            self._reactor.call_soon(self._emit_clear)
        self._wake()

    def _emit_clear(self) -> None:
        if not self._slots and not self._unsettled:
            self._emit("clear")

    def logged(self, entry: LogEntry, sid: str) -> None:
        """(SlotOwner)"""
        self._emit("log", PoolLogEntry(entry.type, entry.message, sid))

    def _rest(self, slot: Slot) -> None:
        """A connection is ready for the next message, if it stays at all."""
        if self._is_worn(slot) or self._closing > _Closing.DRAIN:
            slot.leave()
        else:
            slot.state = State.IDLE
            slot.idle_since = self._reactor.now
            self._idle[slot] = None
        self._dispatch()

    rested = _rest

    def refill(self, slot: Slot) -> None:
        """(SlotOwner)

        Not the last ones, which go to whoever is free first, and not under a limit: an envelope
        that comes too early for the server is said twice.
        """
        queue, permits = self._queue, self._permits
        if self._idle or len(queue) <= len(self._slots) or self._closing > _Closing.DRAIN:
            return
        if permits.limited or not permits.may_begin() or self._is_worn(slot):
            return
        first = queue.first
        if first is not None and first.may_ride:
            queue.popleft()
            slot.send(first)

    def _is_worn(self, slot: Slot) -> bool:
        options = self._options
        if slot.messages + len(slot.entries) >= options.maxMessages:
            return True
        lifetime = options.maxLifetime
        return bool(lifetime) and self._reactor.now - slot.began >= lifetime / 1000

    def _retire(self) -> None:
        """Let idle connections go that have been there for long enough, and look again in time."""
        now = self._reactor.time()
        idle_time, lifetime = self._options.idleTimeout / 1000, self._options.maxLifetime / 1000
        next_time = _FOR_EVER
        for slot in list(self._idle):
            left = [idle_time - (now - slot.idle_since)] if idle_time else []
            left += [lifetime - (now - slot.began)] if lifetime else []
            if left and min(left) < _SOON:
                del self._idle[slot]
                slot.leave()
            elif left:
                next_time = min(next_time, *left)
        if next_time < _FOR_EVER:
            self._sweep.start(next_time)

    # -- messages ---------------------------------------------------------------------------------

    def sent(
        self, slot: Slot, entry: Entry, error: SMTPError | None, info: SendInfo | None
    ) -> None:
        """(SlotOwner)"""
        self._permits.over(entry)
        if error is None:
            self._permits.accepted()
            self._openings.useful()
            self._settle(entry, None, info)
            # LMTP: some servers keep the transaction of those who were refused.
            self._release(slot, bool(self._options.lmtp and info is not None and info.rejected))
            return
        verdict = verdict_on(error, Stage.MESSAGE, entry.replayable)
        if verdict.lower:
            self._lower_ceiling(slot, error)
        if verdict.pause:
            seconds = self._permits.pause(error)
            self._tell(lambda: f"Nothing is sent for {seconds:.3g} s: {error}")
        if not (verdict.again and self._send_again(entry, error, verdict)):
            self._settle(entry, error)
        if slot.state == State.CLOSING:
            self._dispatch()
        elif verdict.leave:
            if slot.messages == 1 and verdict.again:
                self._openings.dropped(self._reactor.time())
            slot.leave()
            self._dispatch()
        else:
            # A source may have failed in the middle of the envelope; an envelope that this side
            # refuses has not begun.
            self._release(slot, (error.code, error.command) != ("EENVELOPE", "API"))

    def _release(self, slot: Slot, unclean: bool) -> None:
        """A message is over; ``unclean``: the server may still hold a part of its transaction."""
        if slot.entries:
            # The next message is under way; its connection says RSET if need be.  If all others are
            # busy as well, there is nothing to do.
            most = self._options.maxConnections
            if self._closing or len(self._queue) < most or len(self._slots) < most:
                self._dispatch()
        elif slot.state != State.SENDING or (unclean and slot.destroyed):
            slot.leave()  # which it has, or is about to
            self._dispatch()
        elif unclean and not self._is_worn(slot):
            slot.reset()
            self._dispatch()
        else:
            self._rest(slot)

    def _send_again(self, entry: Entry, error: SMTPError, verdict: Verdict) -> bool:
        """Queue a message once more, in front; return whether that may be done."""
        if self._closing > _Closing.DRAIN or (entry.signal is not None and entry.signal.aborted):
            return False
        seconds = again_after(entry.requeues, self._options.maxRequeues)
        if seconds is None:
            return False
        entry.handed_over = False
        entry.requeues += 1
        entry.error = error
        self._counts.requeued += 1
        self._tell(lambda: f"A message is sent again: {error}")
        if verdict.pause:
            self._queue.appendleft(entry)  # the limiter knows for how long
        else:
            self._delayed[entry] = self._reactor.call_later(seconds, self._back, entry)
        return True

    def _back(self, entry: Entry) -> None:
        if self._delayed.pop(entry, None) is not None:
            self._queue.appendleft(entry)
            self._dispatch()

    def _aborted(self, entry: Entry) -> None:
        """The signal of a message is aborted: if no connection has it, it is taken back.  One that
        is being sent is for its connection to abort."""
        if entry.settled or entry.handed_over or entry.signal is None:
            return
        timer = self._delayed.pop(entry, None)
        self._settle(entry, abort_error(entry.signal.reason))
        if timer is not None:
            timer.cancel()
        self._queue.take_out(entry)
        self._wake()

    def _settle(self, entry: Entry, error: SMTPError | None, info: SendInfo | None = None) -> None:
        """A message is over: its callback is called on a later turn."""
        entry.settle(error, info)
        self._untold.append(entry)
        # Once a turn; should an interrupt keep that from being done, the next turn does it.
        now = self._reactor.now
        if self._telling_since != now:
            self._reactor.call_soon(self._tell_outcomes)
            self._telling_since = now
        if self._unsettled.pop(entry, entry) is None:
            counts = self._counts
            if error is None:
                counts.sent_at(now)
            elif error.inDoubt:
                counts.in_doubt += 1
            else:
                counts.failed += 1

    def _refuse(self, entry: Entry, error: SMTPError) -> None:
        entry.settle(error)
        self._untold.append(entry)
        self._reactor.call_soon(self._tell_outcomes)

    def _tell_outcomes(self) -> None:
        """Tell the outcomes that nobody has been told yet."""
        untold = self._untold
        self._telling_since = -1.0
        try:
            for _ in range(len(untold)):
                untold[0].tell(self._report)
                untold.popleft()
        except BaseException:
            self._reactor.call_soon(self._tell_outcomes)  # the others
            raise

    def _report(self, error: SMTPError) -> None:
        self._emit("error", error)  # pyee raises it if nobody listens

    def _fail_queue(self, error: SMTPError) -> None:
        """Settle everything that no connection has, because of ``error``."""
        for timer in self._delayed.values():
            timer.cancel()
        waiting = [*self._delayed, *self._queue.clear()]
        self._delayed.clear()
        for entry in waiting:
            self._settle(entry, own_copy(error))
        self._wake()

    # -- the end ----------------------------------------------------------------------------------

    def _go_on_closing(self) -> None:
        """Do what is left to do after ``close()``; called whenever something has ended.

        Whatever an interrupt has kept from being done is done here: nothing is waited for but
        connections, each of which ends.
        """
        self._woken = False
        if self._closing == _Closing.DRAIN and (self._queue or self._delayed):
            if not any(slot.entries for slot in self._slots):
                self._permits.forget()
            self._wake()
            return
        if self._queue or self._delayed:
            for entry in self._delayed:
                entry.settle(never_sent(entry.error))
            self._fail_queue(never_sent())
        for slot in list(self._slots):
            if slot.state == State.GONE:
                self.ended(slot)
            elif slot.state == State.OPENING or self._closing == _Closing.FORCE:
                slot.drop()
            else:
                self._idle.pop(slot, None)
                slot.leave()
        if not self._slots and not (self._queue or self._delayed):
            self._finish()

    def _finish(self) -> None:
        """The last connection is over."""
        self._closing = _Closing.DONE
        self._later.cancel()
        self._sweep.cancel()
        self._permits.stop()
        for entry in list(self._unsettled):  # lost in an interrupt
            self._settle(entry, lost() if entry.handed_over else never_sent(entry.error))
        self._reactor.call_soon(self._tell_outcomes)
        self._reactor.call_soon(self._tell_closed)

    def _tell_closed(self) -> None:
        """Tell of the end, which comes after all outcomes."""
        if self._untold:
            self._reactor.call_soon(self._tell_closed)  # a callback has raised
            return
        while self._close_callbacks:
            self._reactor.call_soon(self._close_callbacks.pop(0))

    def _tell(self, describe: Callable[[], str]) -> None:
        if self._trace is not None:
            self._trace.socket(describe)
