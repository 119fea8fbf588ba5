"""What must hold for a pool, whatever its servers do, and who watches over it.

- Every message is settled once, and told about once, from the reactor.
- A message that any server may have accepted is never sent again.
- What is told is true: a message that succeeds was accepted, one that fails without doubt was not.
- In no window do more transactions begin than the limit allows.
- There are never more connections than allowed.
- A password that was refused is not tried again before somebody sends.
- ``close()`` ends everything, with ``drain`` after all has been sent.
- In the end nothing is left: no socket, no timer, no source, and the pool's own books agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from smtp_connection import SMTPError, SMTPPool

from ..judge import BrokenInvariant, Planted
from ..messages import Mail
from ..outcomes import end_was_sent
from ..voice import Reply

if TYPE_CHECKING:
    from ..network import VirtualReactor
    from .site import SiteServer

MOST_TURNS = 20_000

_MAIL = re.compile(rb"MAIL FROM:<m([0-9]+)@")
_LONGEST_COMMAND = 60


class Message:
    """A call of ``send`` of a pool, and what became of it.

    - ``at_once`` (bool): the pool need not queue it, because it is closed or full
    - ``drained`` (bool): it was queued before ``close({'drain': True})``
    """

    def __init__(self, mail: Mail, has_callback: bool) -> None:
        self.mail = mail
        self.has_callback = has_callback
        self.at_once = self.drained = False
        self.calls = 0
        self.error: Any = None


class PoolJudge:
    """Watches one schedule: what its network, its servers and its client tell it."""

    over = close_called = False  # as one connection has it; a pool has several
    interrupted = False  # by a signal: nobody does that

    def __init__(self, tally: Counter[Any], history: list[str] | None) -> None:
        self.tally = tally
        self.history = history
        self.verdict: BrokenInvariant | None = None
        self.reactor: VirtualReactor
        self.clock: Callable[[], float]
        self.pool: SMTPPool
        self.servers: list[SiteServer] = []
        self.messages: list[Message] = []
        self.forced = False  # or closed at once, so that what is queued fails
        self.emitted: list[SMTPError] = []
        self._open: set[Any] = set()
        self._inside = 0
        self._turns = 0
        self._planted: list[Planted] = []
        self._begun: list[float] = []
        self._begun_on: set[tuple[int, int]] = set()  # servers' numbers, and those of mails
        self._seen: set[tuple[int, int]] = set()
        self._first_attempts: list[int] = []
        self._refusals: set[int] = set()  # servers whose refusal of the login was heard
        self._locked = False

    # -- as others know a judge -------------------------------------------------------------------

    def fail(self, text: str) -> NoReturn:
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

    def progress(self) -> None:
        """Something was read or written."""

    late = progress

    def clock_jumped(self, at_once: bool) -> None:
        """Time has passed in which nothing could happen."""

    def opened(self, sock: Any) -> None:
        self._open = {one for one in self._open if one.fileno() >= 0}
        self._open.add(sock)

    def closed(self, sock: Any, number: int) -> None:
        if number in self.reactor.virtual_selector.get_map():
            self.fail(f"descriptor {number} was closed while it was still watched")
        self._open.discard(sock)

    def heard(self, line: bytes) -> None:
        self.note(f"   server got {line!r}")

    # -- what the client's system is given --------------------------------------------------------

    def said(self, server: SiteServer, data: bytes) -> None:
        """The client wants ``data`` to be sent to ``server``."""
        if b"AUTH " in data:
            self._check_login()
        if b"MAIL FROM" not in data:
            return
        stream = server.stream
        before = b"".join(stream.sent)[-_LONGEST_COMMAND:]
        for found in _MAIL.finditer(before + data):
            place = stream.sent_total - len(before) + found.start()
            if (server.number, place) not in self._seen:
                self._seen.add((server.number, place))
                self._begins(server, int(found[1]))

    def _begins(self, server: SiteServer, number: int) -> None:
        now, options = self.clock(), self.pool.options
        self.note(f"   mail {number} begins on connection {server.number}")
        self._begun.append(now)
        if options.rateLimit:
            edge = now - options.rateDelta / 1000
            count = sum(time >= edge for time in self._begun)
            if count > options.rateLimit:
                self.fail(f"{count} transactions begin within rateDelta")
        # An envelope that has ridden, and came too early, is said again on the same connection.
        place = server.number, number
        again = number in self._first_attempts
        if server.may_want_it_again and place in self._begun_on:
            again = False
            self._begun_on.remove(place)  # once
        else:
            self._begun_on.add(place)
        self.require(not again or options.maxRequeues, f"mail {number} is sent again, and may not")
        self._check_order(number)
        mail = self.messages[number].mail
        for other in self.servers:
            if other is not server and end_was_sent(mail, other.stream):
                self.require(
                    other.refused_and_heard(number),
                    f"mail {number}, which is in doubt, is sent again",
                )

    def _check_order(self, number: int) -> None:
        """First in, first out: each message that can begin at once does so in its turn, unless its
        connection has been dropped before."""
        if number in self._first_attempts:
            return
        self._first_attempts.append(number)
        if self.messages[number].mail.guise not in ("bytes", "text") or self.pool.stats().requeued:
            return
        later = [
            other
            for other in self._first_attempts
            if other > number and self.messages[other].mail.guise in ("bytes", "text")
        ]
        self.require(not later, f"mail {number} begins after {later}")

    def _check_login(self) -> None:
        """A login that was refused is not tried again before somebody sends."""
        for server in self.servers:
            if server.login_refused_and_heard and server.number not in self._refusals:
                self._refusals.add(server.number)
                self._locked = True
        if self._locked and not any(server.granted["login"] for server in self.servers):
            self.fail("a password that was refused is tried again")

    # -- what the client does, and hears ----------------------------------------------------------

    def called(self) -> None:
        self._inside += 1

    def returned(self) -> None:
        self._inside -= 1

    def sends(self, message: Message) -> None:
        """The client is about to send ``message``."""
        self._locked = False
        for server in self.servers:
            if server.login_refused_and_heard:
                self._refusals.add(server.number)
        self.messages.append(message)

    def event(self, name: str, error: Any = None) -> None:
        self.note(f"<- event {name}{'' if error is None else f' {error!r}'}")
        if self._inside:
            self.fail(f"{name!r} is emitted from within a method")
        if name == "error":
            self.require(isinstance(error, SMTPError) and error.code, f"{error!r} is no SMTPError")
            self.require(not any(error is one for one in self.emitted), f"{error!r} comes twice")
            self.emitted.append(error)

    def called_back(self, message: Message, error: Any) -> None:
        number = message.mail.number
        self.note(f"<- mail {number}: {'well' if error is None else repr(error)}")
        message.calls += 1
        message.error = error
        if message.calls > 1:
            self.fail(f"the callback of mail {number} is called again")
        if self._inside:
            self.fail(f"the callback of mail {number} is called from within a method")
        if error is not None and not (isinstance(error, SMTPError) and error.code):
            self.fail(f"{error!r} is no proper SMTPError")
        if message.at_once:
            self.require(error is not None, f"mail {number} succeeds, and cannot")
            return
        self._judge_truth(message, error)
        closed = error is not None and str(error) == "The pool is closed"
        if closed and message.drained and not self.forced:
            self.fail(f"mail {number} fails, although it was queued before close() with drain")

    def _judge_truth(self, message: Message, error: Any) -> None:
        number = message.mail.number
        name = f"mail {number}"
        accepted = [server for server in self.servers if server.has_accepted(number)]
        heard = [server for server in accepted if server.accepted_and_heard(number)]
        if len(accepted) > 1:
            self.fail(f"{name} was accepted {len(accepted)} times")
        if error is None:
            self.tally["outcome: sent"] += 1
            self.require(heard, f"{name} succeeds, and nobody has said so")
            self.require(not message.mail.doomed, f"{name} succeeds without a source")
        elif error.inDoubt:
            self.tally["outcome: in doubt"] += 1
            self.require(
                any(end_was_sent(message.mail, server.stream) for server in self.servers),
                f"{name} is in doubt, and its end was never sent",
            )
            self.require(not heard, f"{name} is in doubt, and was accepted")
        else:
            self.tally[f"outcome: failed with {error.code}"] += 1
            self.require(not accepted, f"{name} fails without doubt, and was accepted")

    def arrived(self, number: int) -> None:
        """(world.judge.Judge)"""

    def received(
        self,
        number: int,
        content: bytes,
        mails: dict[int, Mail],
        verdicts: dict[int, list[Reply]],
    ) -> None:
        """A server got a message to its end."""
        self.note(f"   server got mail {number}, {len(content)} bytes")
        mail = mails[number]
        self.require(not mail.doomed, f"mail {number} arrived, although its source failed")
        if content != mail.wire:
            self.fail(f"mail {number} arrived as {content!r} instead of {mail.wire!r}")
        for server in self.servers:
            if number in server.verdicts and end_was_sent(mail, server.stream):
                self.tally["a message arrived again after a refusal"] += 1
                self.require(
                    server.refused_and_heard(number), f"mail {number} arrived a second time"
                )

    # -- exceptions -------------------------------------------------------------------------------

    def plant(self) -> NoReturn:
        planted = Planted(f"planted {len(self._planted)}")
        self._planted.append(planted)
        raise planted

    def surfaced(self, exc: Exception) -> None:
        """``exc`` has left ``run_once()``."""
        self.note(f"run_once() raises {exc!r}")
        if isinstance(exc, Planted):
            if exc not in self._planted:
                self.fail(f"{exc!r} surfaces a second time")
            self._planted.remove(exc)
        elif isinstance(exc, SMTPError):
            if self.pool.listeners("error"):
                self.fail(f"{exc!r} is raised although somebody listens to 'error'")
            self.emitted.append(exc)
        else:
            broken = BrokenInvariant(f"run_once() raises {exc!r}, which no callback has raised")
            self.verdict = self.verdict or broken
            raise broken from exc

    # -- each step, and the end -------------------------------------------------------------------

    def after_step(self) -> None:
        """Look around between two turns of the reactor."""
        if self.verdict is not None:
            raise self.verdict
        self._turns += 1
        if self._turns > MOST_TURNS:
            self.fail("it goes on and on")
        number = sum(self.pool.stats().connections.values())
        if number > self.pool.options.maxConnections:
            self.fail(f"there are {number} connections")

    def finish(self, closed: bool) -> None:
        """The reactor has nothing left to do; ``closed``: ``close()`` was called."""
        if self.verdict is not None:
            raise self.verdict
        reactor, pool = self.reactor, self.pool
        self.require(not reactor._handles, "when all is over, a descriptor is still watched")
        self.require(not reactor._timers.live, "when all is over, a timer is still alive")
        self.require(not reactor._ready, "when all is over, a callback is still due")
        self.require(not self._open, f"sockets are left open: {self._open}")
        self.require(not self._planted, f"{self._planted} never surfaced")
        failed = 0
        for message in self.messages:
            number = message.mail.number
            if message.has_callback and message.calls != 1:
                self.fail(f"the callback of mail {number} was called {message.calls} times")
            if not message.mail.let_go():
                self.fail(f"the source of mail {number} was not let go of")
        silent = [one for one in self.messages if not one.has_callback and not one.at_once]
        stats = pool.stats()
        queued = [one for one in self.messages if not one.at_once]
        told = stats.sent + stats.failed + stats.inDoubt
        if (stats.queued, stats.sending, told) != (0, 0, len(queued)):
            self.fail(f"{len(queued)} messages were queued, and the books say {stats}")
        failed = stats.failed + stats.inDoubt
        known = sum(one.error is not None for one in queued if one.has_callback)
        refused = sum(one.at_once and not one.has_callback for one in self.messages)
        if len(self.emitted) - refused != failed - known:
            self.fail(f"of {len(silent)} messages without a callback, {self.emitted} is told")
        self.require(not any(stats.connections.values()), f"connections are left: {stats}")
        self.require(pool.pendingCount() == 0, "something is pending")
        self.tally["messages that were queued again"] += stats.requeued
        self.tally["connections"] += len(self.servers)
        self.tally["closed" if closed else "never closed"] += 1
