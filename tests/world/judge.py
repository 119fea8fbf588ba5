"""The invariants, and who watches over them.

What a callback or an event tells is compared with what the server knows and with what went over
the wire.  A broken invariant is noted as well as raised: somebody may catch what is raised.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NoReturn

from smtp_connection import SMTPError

from .raised import Interrupt, Planted, Raised

if TYPE_CHECKING:
    from smtp_connection import SMTPConnection

    from .messages import Mail
    from .network import VirtualReactor
    from .voice import Reply

MOST_TURNS = 5_000
MOST_LAST_TURNS = 60
"""Between the decision to end and ``'end'``: each callback may raise, and take a turn."""
_SLACK = 1e-6  # of deadlines that are sums, seconds


class BrokenInvariant(AssertionError):
    """What must never happen has happened; the text says what, in words."""


class Operation:
    """A call of ``connect``, ``login``, ``send``, ``reset`` or ``quit``, and what became of it.

    - ``late`` (bool): the connection was over already when it was called
    - ``at_once`` (bool): it need not wait its turn, because it cannot be carried out
    - ``callback``: what the connection was given, if anything
    - ``cut_short`` (bool): the call was interrupted; it may have been in vain
    """

    __slots__ = (
        "at_once",
        "callback",
        "calls",
        "cut_short",
        "error",
        "has_callback",
        "kind",
        "late",
        "mail",
        "name",
    )

    def __init__(self, kind: str, name: str, has_callback: bool, mail: Mail | None) -> None:
        self.kind = kind
        self.name = name
        self.has_callback = has_callback
        self.mail = mail
        self.callback: Any = None
        self.late = self.at_once = self.cut_short = False
        self.calls = 0
        self.error: Any = None


class Judge:
    """Watches one schedule.

    - ``close_called`` (bool): ``close()`` has been called
    - ``over`` (bool): ``'end'`` has been emitted
    - ``interrupted`` (bool): the program was interrupted, and has not called ``close()`` since
    - ``disturbed`` (bool): it was interrupted at least once
    - ``uncertain`` (bool): what the client was just reading may not have counted any more
    - ``may_have_a_hole`` (bool): a piece of a message was lost on its way to the connection
    - ``tls_done`` (bool): a handshake has succeeded
    - ``stream_failed`` (bool): TLS has, which is only an end for those who wait for nothing
    - ``stalled`` (bool): as far as an interrupted program goes on, nothing happens any more
    - ``tally``: how often what has happened
    - ``history``: what has happened, in order, if somebody wants to know
    """

    def __init__(self, tally: Counter[Any], history: list[str] | None = None) -> None:
        self.tally = tally
        self.history = history
        self.verdict: BrokenInvariant | None = None
        self.over = False
        self.operations: list[Operation] = []
        self.connection: SMTPConnection
        self.reactor: VirtualReactor
        self.clock: Any
        self.bounds: Any = None
        self.close_called = self._closing = False
        self.interrupted = self.disturbed = self.stalled = False
        self.uncertain = self.may_have_a_hole = False
        self.tls_done = self.stream_failed = False
        self.noticed_by = -math.inf  # that the owner of the socket has closed it
        self._turns = 0
        self._inside: list[Operation] = []
        self._open: dict[Any, int] = {}
        self._queue: deque[Operation] = deque()
        self._errors: list[SMTPError] = []  # that were emitted or raised
        self._told: list[Any] = []  # the errors that callbacks got
        self._raised = Raised()
        self._plants = 0
        self._quit_heard = False
        self._arrived: set[int] = set()  # the mails that the server got to their end
        self._progress = self._ended_at = 0.0
        self._begun = self._end_due = math.inf
        self._last_turn = 0  # in which 'end' has to come, once it is due
        self._stage = "init"

    def fail(self, text: str) -> NoReturn:
        """An invariant is broken; ``text`` tells which, and how."""
        broken = BrokenInvariant(text)
        if self.verdict is None:
            self.verdict = broken
            self.note("BROKEN: " + text)
        raise broken

    def require(self, condition: object, text: str) -> None:
        if not condition:
            self.fail(text)

    def note(self, text: str) -> None:
        if self.history is not None:
            self.history.append(f"{self.clock():10.4f}  {text}")

    # -- descriptors ------------------------------------------------------------------------------

    def opened(self, sock: Any) -> None:
        self._open = {one: number for one, number in self._open.items() if one.fileno() >= 0}
        self._open[sock] = sock.fileno()

    def closed(self, sock: Any, number: int) -> None:
        if number in self.reactor.virtual_selector.get_map():
            self.fail(f"descriptor {number} was closed while it was still watched")
        self._open.pop(sock, None)

    # -- calls and callbacks ----------------------------------------------------------------------

    def called(self, operation: Operation) -> None:
        """The client is about to call a method, which may not call anything back by itself."""
        self.note(f"-> {operation.name}")
        operation.late = self.connection.destroyed
        self.operations.append(operation)
        self.progress()
        self._inside.append(operation)

    def returned(self, operation: Operation, *, cut_short: bool) -> None:
        """The call is over; ``cut_short``: it was interrupted."""
        self._inside.pop()
        operation.cut_short = cut_short
        if cut_short:
            return
        if operation.kind == "close" and not self._closing:
            self.close_called = True
        if not operation.late and not operation.at_once and operation.has_callback:
            self._queue.append(operation)

    def called_back(self, operation: Operation, error: Any) -> None:
        """The callback of ``operation`` is called, with ``error``."""
        if self.history is not None:
            self.note(f"<- {operation.name}: {'well' if error is None else repr(error)}")
        operation.calls += 1
        operation.error = error
        self.progress()
        if operation.calls > 1:
            self.fail(f"the callback of {operation.name} is called again")
        if self._inside:
            self.fail(f"the callback of {operation.name} is called from within a method")
        if self.over and not operation.late:
            self.fail(f"the callback of {operation.name} is called after 'end'")
        if operation.late:
            code = getattr(error, "code", None)
            self.require(
                code == "ECONNECTION",
                f"{operation.name}, called when all was over, gets {error!r}, not ECONNECTION",
            )
        elif not operation.at_once:
            self._take_out(operation)
            if self._quit_heard and getattr(error, "code", None) == "ECONNECTION":
                kinds = [one.kind for one in self.operations]
                ridden_behind = operation.mail is not None and self._has_arrived(operation.mail)
                if self.operations.index(operation) < kinds.index("quit") and not ridden_behind:
                    self.fail(f"QUIT was said before {operation.name} was carried out")
        if error is not None:
            self._told.append(error)
            self._check_error(error)

    def _has_arrived(self, mail: Mail) -> bool:
        return mail.number in self._arrived

    def _take_out(self, operation: Operation) -> None:
        if not self.disturbed:
            if self._queue[0] is not operation:
                self.fail(f"{operation.name} is settled before {self._queue[0].name}")
            self._queue.popleft()
        elif not operation.cut_short:
            self._queue.remove(operation)  # what was interrupted is made up for later

    def called_within(self, name: str, times: int) -> None:
        """Something is called that is part of an operation, as a handler of ``customAuth`` is."""
        self.note(f"<- {name}")
        if times > 1:
            self.fail(f"{name} is called again")
        if self._inside:
            self.fail(f"{name} is called from within a method")
        if self.over:
            self.fail(f"{name} is called after 'end'")

    def comes_later(self, kind: str) -> None:
        """The callback of the first operation, if it is of that kind, need not be the first."""
        if self._queue and self._queue[0].kind == kind:
            self._queue.popleft().at_once = True

    def _check_error(self, error: Any) -> None:
        self._raised.told(error)
        if self.tls_done and getattr(error, "code", None) == "ETLS":
            self.fail(f"{error!r} is told, and the handshake had succeeded")
        if not isinstance(error, SMTPError) or not error.code or not error.command:
            self.fail(f"{error!r} is no proper SMTPError")

    def event(self, name: str, error: Any = None) -> None:
        """The connection emits ``name``."""
        if self.history is not None:
            self.note(f"<- event {name}{'' if error is None else f' {error!r}'}")
        self.progress()
        if self._inside:
            self.fail(f"{name!r} is emitted from within a method")
        if self.over and name != "error":
            self.fail(f"{name!r} is emitted after 'end'")
        if name == "end":
            self.over = True
            self._ended_at = self.clock()
            self.require(self.connection.destroyed, "'end' is emitted, and it is not destroyed")
            unsettled = [one.name for one in self._queue if not one.calls]
            self.require(not unsettled, f"'end' is emitted before {unsettled} are settled")
        elif name == "error":
            self._error_heard(error)

    def _error_heard(self, error: Any) -> None:
        self._check_error(error)
        if any(error is one for one in self._errors):
            self.fail(f"{error!r} is reported a second time")
        self._errors.append(error)
        self._check_idle(error)
        if self.over and not any(one.late and not one.has_callback for one in self.operations):
            # An operation without a callback that came too late may say so.
            self.fail(f"'error' ({error!r}) is emitted after 'end'")

    def _check_idle(self, error: SMTPError) -> None:
        """That the server hangs up is an error only for those who wait for something."""
        silent = any(not one.has_callback and one.kind != "quit" for one in self.operations)
        if str(error).startswith("Connection closed unexpectedly") and not silent:
            self.require(self._queue, f"the end of an idle session is reported as {error!r}")

    # -- exceptions -------------------------------------------------------------------------------

    def plant(self) -> NoReturn:
        """Raise an exception in a callback."""
        self._plants += 1
        raise self._raised.plant(Planted(f"planted {self._plants}"))

    def surprise(self, exc: BaseException, place: str) -> NoReturn:
        """Raise ``exc``, which nobody has foreseen, in ``place``."""
        self.note(f"surprise: {place} raises {exc!r}")
        self.tally[f"surprise: {place}"] += 1
        self.uncertain = True
        # Some of the system's are foreseen where they are raised; and what login() was given is
        # told when it is its turn, if that comes.
        may_be_silent = isinstance(exc, (OSError, ValueError)) or place == "auth"
        due = not (may_be_silent or self.connection.destroyed or self.reactor.elsewhere)
        self._raised.surprise(exc, self.clock(), self._turns, due=due)
        raise exc

    def surfaced(self, exc: BaseException) -> None:
        """``exc`` has left the reactor, or a method that was interrupted."""
        heard = bool(self.connection.listeners("error"))
        self.note(f"{exc!r} is raised")
        wrong = self._raised.surfaced(exc)
        if wrong is not None:
            self.require(not wrong, wrong)
            return
        if not isinstance(exc, SMTPError):
            broken = BrokenInvariant(f"{exc!r} is raised, and no callback has raised it")
            self.verdict = self.verdict or broken
            raise broken from exc
        if heard:
            self.fail(f"{exc!r} is raised although somebody listens to 'error'")
        if any(exc is one for one in self._told):
            self.fail(f"{exc!r} is raised although a callback got it")
        self.tally["an unheard error was raised"] += 1
        self._check_error(exc)
        if any(exc is one for one in self._errors):
            self.fail(f"{exc!r} is reported a second time")
        self._errors.append(exc)

    # -- interrupts -------------------------------------------------------------------------------

    def interrupt(self, place: str) -> NoReturn:
        """Raise an exception in the handler of a signal, which interrupts ``place``."""
        self.interrupted = self.disturbed = self.uncertain = True
        raise self._raised.plant(Interrupt(place))

    def closed_meanwhile(self) -> None:
        """The handler of a signal calls ``close()``: what it has interrupted may come too late,
        and what is just being said to the server is said."""
        for operation in self._inside:
            operation.at_once = True
        self._closing = self.uncertain = True

    def lost_callback(self, callback: object) -> None:
        """An interrupt takes the place of the call of ``callback``."""
        for operation in self.operations:
            if operation.callback is callback:
                self.tally["an interrupt in the place of a callback"] += 1
                operation.has_callback = False
                if operation in self._queue:
                    self._queue.remove(operation)

    def lost_end(self) -> None:
        """An interrupt takes the place of ``'end'``."""
        self.tally["an interrupt in the place of 'end'"] += 1
        self.over = True
        self._ended_at = self.clock()

    def recovered(self) -> None:
        """The program that was interrupted has called ``close()``: all has to end now."""
        self.interrupted = self.stalled = False
        self._end_due, self._ended_at = math.inf, self.clock()
        self.progress()

    # -- each step --------------------------------------------------------------------------------

    def progress(self) -> None:
        """Something was read or written, or an operation begins or ends."""
        self._progress = self.clock()

    def clock_jumped(self, at_once: bool) -> None:
        """Time has passed in which nothing could happen; ``at_once``: something was about to."""
        if at_once:
            self.progress()  # what was to begin at once begins only now
        self._raised.late(self.clock())
        if self._end_due < math.inf:
            self._end_due = self.clock()

    def begin(self) -> None:
        self._begun = self._progress = self.clock()

    def after_step(self) -> None:
        """Look around between two turns of the reactor."""
        if self.verdict is not None:
            raise self.verdict
        self._turns += 1
        if self._closing:
            self.close_called, self._closing = True, False
        if self._turns > MOST_TURNS:
            self.fail("it goes on and on")
        if self.interrupted:
            return  # it may wait for what has been lost, until close() is called
        now = self.clock()
        overdue = self._raised.overdue(now, self._turns)
        self.require(not overdue, overdue)
        if self.over:
            reactor = self.reactor
            if not self._open and now > self.noticed_by:
                if reactor._timers.live or reactor._handles or len(reactor._jobs.unfinished):
                    self._nothing_alive("after 'end', with every socket closed,")
            elif self._open and now > self._ended_at + self.bounds.close + _SLACK:
                self.fail("a socket is open for longer than socketCloseTimeout after 'end'")
            return
        connection = self.connection
        if connection.destroyed:
            self._end_is_due(now)
            return
        if connection.stage != self._stage:
            self._stage = connection.stage
            self._progress = now
        limit = (
            self._begun + self.bounds.connection
            if self._stage == "init"
            else self._progress + self.bounds.socket
        )
        if now > limit + _SLACK:
            self.fail(f"the connection is still there after {limit}, when a time-out was due")

    def _end_is_due(self, now: float) -> None:
        """The connection is over, or about to be: ``'end'`` waits for nothing any more."""
        if self._end_due == math.inf:
            self._end_due, self._last_turn = now, self._turns + MOST_LAST_TURNS
        elif now > self._end_due + _SLACK or self._turns > self._last_turn:
            self.fail("'end' is due, and does not come")

    def _nothing_alive(self, when: str) -> None:
        reactor = self.reactor
        self.require(not reactor._handles, f"{when} a descriptor is still watched")
        self.require(not reactor._timers.live, f"{when} a timer is still alive")
        self.require(not len(reactor._jobs.unfinished), f"{when} a thread is still waited for")

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, started: bool, peer_ended: bool) -> None:
        """The reactor has nothing left to do; ``started``: there was a ``connect()``;
        ``peer_ended``: it was perhaps the server that ended the session, as it may."""
        if self.verdict is not None:
            raise self.verdict
        self._nothing_alive("when all is over,")
        self.require(not self.reactor._ready, "when all is over, a callback is still due")
        self.require(not self.reactor.is_running, "when all is over, run() is still under way")
        self.require(self.over or not started, "'end' was never emitted")
        if self.over:
            self.require(not self._open, f"sockets are left open: {list(self._open.values())}")
            self.require(not self.connection.secure, "it is over, and still 'secure'")
            asked = any(one.kind in ("close", "quit") for one in self.operations)
            asked = asked or self.noticed_by >= 0  # its owner has closed the socket
            asked = asked or self.stream_failed or self._raised.surprise_was_raised
            reported = self._errors or any(one.error for one in self.operations if not one.at_once)
            self.require(asked or peer_ended or reported, "the connection failed, and nobody knows")
        lost = self._raised.never_surfaced()
        self.require(not lost, lost)
        for operation in self.operations:
            if operation.cut_short:
                continue  # if it has begun, it was settled as well
            if operation.has_callback and operation.calls != 1:
                self.fail(f"the callback of {operation.name} was called {operation.calls} times")
            mail = operation.mail
            if mail is None or operation.late or operation.at_once:
                continue
            if self.disturbed and "call connect() first" in str(operation.error):
                continue  # connect() was interrupted
            if not mail.let_go():
                self.fail(f"the source of mail {mail.number} was not let go of")

    # -- what the server says ---------------------------------------------------------------------

    def heard(self, line: bytes) -> None:
        """The server got a command."""
        if self.history is not None:
            self.note(f"   server got {line!r}")
        if line == b"QUIT":
            self._quit_heard = True

    def arrived(self, number: int) -> None:
        """The server got something to its end, whatever that is."""
        self._arrived.add(number)

    def received(
        self,
        number: int,
        content: bytes,
        mails: dict[int, Mail],
        verdicts: dict[int, list[Reply]],
    ) -> None:
        """The server got a message to its end."""
        self.note(f"   server got mail {number}, {len(content)} bytes")
        mail = mails.get(number)
        if mail is None:
            self.fail(f"{content!r} arrived outside of a transaction")
        self.require(not mail.doomed, f"mail {number} arrived, although its source failed")
        if content != mail.wire and not (self.may_have_a_hole and mail.guise == "emitter"):
            self.fail(f"mail {number} arrived as {content!r} instead of {mail.wire!r}")
        self.require(number not in verdicts, f"mail {number} arrived twice")
