"""Drives one dialogue at a time over a transport: carries out its steps, feeds it the replies.

The facts
---------

**A stream has no messages.**  One read may bring half a reply, or several of them, and the last of
them cut off.  With PIPELINING (RFC 2920) the replies to a whole envelope arrive together.

**Servers speak out of turn.**  A 421 may come at any time, and ends the session (RFC 5321 section
3.8).  A refusal may come while the message is still being sent.  Any other reply that nobody has
asked for means that the two sides no longer agree on what is being talked about.

**Clear text before TLS is anybody's.**  Whoever sits between client and server can put words behind
the reply to STARTTLS, and have them taken for the server's encrypted ones (CVE-2011-0411).

**The end of a message cannot be taken back.**  Once the final dot is sent, the server may accept
the message, whether or not its reply arrives.

**Servers quote what they do not like**, a line with a password as well.

The strategy
------------

- Where a session stands is the line on which its dialogue stands.  The exchange knows only the step
  that was yielded last, how many replies to it are missing, and those that are there already.  The
  dialogue goes on when all of them are there.
- Replies are taken in the order in which they arrive, all those of a read in one go.  What is left
  over when the step has all of its own was not asked for, and ends the connection; behind the reply
  to STARTTLS not even half a line may be left.
- A reply during a message stops the pump and is raised inside the dialogue (``TooEarly``).
- When the connection ends, a dialogue whose message was sent to its end hears of it
  (``Unanswered``), and says what that means; every other dialogue is closed (``Ended``), but may
  say what it has achieved by then.  So whether a message is in doubt is decided in one place.
- A dialogue may keep all the replies that it gets, in errors for each recipient, say: it is they
  together that are bounded, not each alone.
- Secrets that were sent are masked in whatever the server says, before anybody else sees it, as
  long as the connection lasts.
- Nothing is said once the exchange is halted: whoever halts it is about to call ``stop()``.

Who may call what
-----------------

All of it happens on the reactor's thread.  The owner (``Lifecycle``) starts a dialogue when none is
under way, and calls ``stop()`` from any point, but not from inside a dialogue's own frame.  The
transport calls ``data_received``, ``drained`` and ``connection_lost``.  Only the answer to an
``Ask`` may be given on another thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..callbacks import refuse_coroutine
from ..errors import SMTPError
from ..message.message import Message
from ..protocol.replies import Reply, ReplyParser, ReplyTooLong
from ..protocol.secrets import Secrets
from ..protocol.steps import (
    Abandon,
    Ask,
    AwaitGreeting,
    Begin,
    Command,
    Commit,
    Compute,
    Dialogue,
    Ended,
    Hold,
    Pipeline,
    StartTLS,
    Step,
    TooEarly,
    Transmit,
    Unanswered,
)
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from ..reactor.threads import Job
from .pump import Pump
from .trace import Trace

if TYPE_CHECKING:
    from ..net.transport import Transport

__all__ = ["Exchange", "ExchangeOwner"]


_NOBODY: Any = None

_WITH_SEVERAL_REPLIES = (Pipeline, Transmit, Commit)


class ExchangeOwner(Protocol):
    """Who decides what happens between dialogues, and when the connection is over."""

    def greeted(self) -> None:
        """The server's first reply is there."""

    def upgrade(self, done: Callable[[], None]) -> None:
        """Start TLS on the transport, then call ``done``."""

    def credentials_revealed(self, mechanism: str) -> None:
        """Credentials are about to be sent, by a mechanism that does not hide them."""

    def dialogue_ended(self, value: Any, error: SMTPError | None) -> None:
        """The dialogue has come to its end, and the connection is as good as before."""

    def next_dialogue(self) -> None:
        """Nothing is going on: the next dialogue may be started."""

    def connection_failed(self, error: SMTPError, *, own: bool = False) -> None:
        """The connection cannot be used any more; ``own``: ``error`` is that of the dialogue."""

    def broke(self, exc: BaseException) -> None:
        """``exc``, which nobody has foreseen, was raised in the middle of a step."""

    def next_lines(self) -> list[str]:
        """Return the commands of the next dialogue, if they may ride behind the message that is
        about to end.  Then that dialogue is the next one, and knows of it."""

    def follow(self, message: Message) -> Callable[[int], object] | None:
        """Return what to call with the bytes of ``message`` that have been sent, if anything."""

    def hung_up(self, response: str | None, error: SMTPError | None) -> None:
        """The server ends the session, and perhaps says why; or the stream failed (``error``)."""


class Exchange:
    """One session's traffic.  ``transport`` is set by the owner before the first dialogue."""

    __slots__ = (
        "_answer",
        "_collected",
        "_dialogue",
        "_early",
        "_job",
        "_limit",
        "_missing",
        "_outcome",
        "_owed",
        "_owner",
        "_parser",
        "_pump",
        "_reactor",
        "_secrets",
        "_step",
        "_ticket",
        "_trace",
        "_transport",
        "last_response",
        "last_sign_of_life",
    )

    _transport: Transport

    def __init__(
        self, reactor: Reactor, owner: ExchangeOwner, limit: int, trace: Trace | None
    ) -> None:
        """``limit`` is the most that a reply may take, and all that one dialogue gets beyond the
        ordinary, bytes; ``trace`` gets the traffic."""
        self._reactor = reactor
        self._owner = owner
        self._trace = trace
        self._limit = limit
        self._parser = ReplyParser(limit)
        self._pump = Pump(
            reactor,
            trace,
            self._message_begun,
            self._message_held,
            self._ride,
            self._source_failed,
            owner.broke,
            owner.follow,
        )
        self._dialogue: Dialogue[Any] | None = None
        self._step: Step | None = None
        self._missing = 0  # replies that are still to come before the dialogue goes on
        self._collected: list[Reply] = []
        self._owed = 0  # replies to what rode behind the message, before their dialogue asks
        self._early: list[Reply] = []  # those of them that are there already
        self._outcome: tuple[Any, SMTPError | None] | None = None  # once it has been stopped
        self._ticket = 0  # of the question that is waiting for its answer
        self._answer: Callable[..., None] | None = None  # what answers that question
        self._job: Job | None = None  # that computes
        self._secrets: Secrets | None = None  # that have been sent, if any
        self.last_response: str | None = None
        self.last_sign_of_life = reactor.now
        """When the last reply was complete or the dialogue began, on the reactor's clock, s."""

    def use(self, transport: Transport) -> None:
        """Say everything over ``transport`` from now on."""
        self._transport = self._pump.transport = transport

    def halt(self) -> None:
        """Read no source and say nothing any more: :meth:`stop` is about to be called."""
        self._pump.halted = True

    def start(self, dialogue: Dialogue[Any]) -> None:
        """Start ``dialogue``; its outcome goes to the owner."""
        self._dialogue = dialogue
        # An idle connection is silent; that it was must not count against what begins now.
        # Nor must a callback that has blocked this turn: the clock is read anew.
        self.last_sign_of_life = self._reactor.time()
        self._parser.excess = 0
        step = self._advance(None)
        if step is not None:
            self._carry_out(step)

    def stop(self, error: SMTPError) -> tuple[Any, SMTPError | None]:
        """Drop the dialogue, because the connection ends with ``error``; return the value or the
        error that the dialogue ends with.

        May be called again, after an interrupt: the outcome stays the same.
        """
        if self._outcome is None:
            self._outcome = self._conclude(error)
        self._drop()
        return self._outcome

    def withdraw(self) -> bool:
        """Drop the dialogue if nobody would miss it, because the server waits for a command anyway;
        return whether that is so."""
        step = self._step
        if not (isinstance(step, (Begin, Ask)) and step.between_commands):
            return False
        if self._dialogue is not None:
            self._dialogue.close()
        self._drop()
        return True

    def _drop(self) -> None:
        if isinstance(self._step, Ask) and self._answer is not None and self._step.forget:
            self._reactor.call_soon(self._step.forget, self._answer)
        self._answer = None
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._dialogue = self._step = None
        self._collected = []
        self._missing = 0
        self._ticket += 1
        self._pump.stop()

    def dissolve(self) -> None:
        """Let go of the owner, the transport and the outcome: nothing is called any more."""
        self._outcome = None, None
        self._pump.dissolve()
        self._owner = _NOBODY

    def _conclude(self, error: SMTPError) -> tuple[Any, SMTPError | None]:
        in_doubt = self.in_doubt
        dialogue, self._dialogue = self._dialogue, None
        if dialogue is None:
            error.inDoubt = in_doubt  # an exception has ended the one that would have said this
            return None, error
        unanswered = in_doubt or isinstance(self._step, (Command, Pipeline))
        try:
            dialogue.throw(Unanswered(error, self._collected) if unanswered else Ended(error))
        except StopIteration as stop:
            return stop.value, None
        except SMTPError as verdict:
            return None, verdict.with_traceback(None)
        except (Unanswered, Ended):
            # The dialogue has nothing to add.
            error.inDoubt = in_doubt
            return None, error
        raise RuntimeError("the dialogue goes on, although the connection has ended")

    @property
    def in_doubt(self) -> bool:
        """Whether a message has been sent to its end, and the verdict is still to come."""
        step = self._step
        if type(step) is Transmit:
            return self._pump.may_have_sent(step.message)
        return type(step) is Commit and not self._pump.holds

    @property
    def awaits_greeting(self) -> bool:
        """Whether the server has yet to say its first word."""
        return isinstance(self._step, AwaitGreeting)

    @property
    def waiting_for(self) -> str:
        """What the server, or somebody else, owes us; for the texts of errors."""
        if self._step is None:
            return "the next operation"
        return self._step.waiting_for(len(self._collected), sent=self._pump.is_sent)

    @property
    def time_out(self) -> str:
        """Which of ``commandTimeouts`` counts now; an empty string: none of them."""
        step = self._step
        if step is None:
            return ""
        name = step.time_out(len(self._collected), sent=self._pump.message is None)
        # Nobody waits for the system while it has taken what there is, and the source has no more.
        return "" if name == "dataBlock" and self._transport.is_drained else name

    # -- the dialogue -------------------------------------------------------------------------

    def _advance(self, result: Any, throw: bool = False) -> Step | None:
        """Let the dialogue go on with ``result``; return its next step, ``None`` at its end."""
        dialogue = self._dialogue
        if dialogue is None:
            return None  # an exception has ended it, and the connection
        try:
            step = dialogue.throw(result) if throw else dialogue.send(result)
        except StopIteration as stop:
            self._ended(stop.value, None)
            return None
        except SMTPError as error:
            # The frames of a traceback hold what the dialogue knows, and make circles.
            self._ended(None, error.with_traceback(None))
            return None
        except Abandon as abandon:
            failure = abandon.error.with_traceback(None)
            if abandon.value is not None:
                self._ended(abandon.value, None)
            self._dialogue = self._step = None
            self._owner.connection_failed(failure, own=True)
            return None
        except BaseException:
            self._dialogue = None  # it would seem to end well when it is next asked
            raise
        self._step = step
        return step

    def _ended(self, value: Any, error: SMTPError | None) -> None:
        # First: whatever interrupts what follows, this is what the operation has come to.
        self._outcome = (value, error)
        self._dialogue = self._step = None
        self._owner.dialogue_ended(value, error)
        self._outcome = None

    def _go_on(self, result: Any, throw: bool = False) -> None:
        if self._dialogue is None:
            return  # stopped, by the source of a message, while it was asked for the next piece
        step = self._advance(result, throw)
        if step is not None:
            self._carry_out(step)
        else:
            # Not at once: a thousand messages whose sources all fail must not be a thousand
            # frames on the stack.
            self._reactor.call_soon(self._start_next)

    @guarded
    def _start_next(self) -> None:
        if not self._pump.halted:
            self._owner.next_dialogue()

    def _carry_out(self, step: Step) -> None:
        if self._pump.halted:
            return
        if isinstance(step, Command):
            self._missing = 1
            if step.shown_as is not None:
                if self._secrets is None:
                    self._secrets = Secrets()
                self._secrets.learn(step.line, step.shown_as)
            if step.reveals is not None:
                self._owner.credentials_revealed(step.reveals)
            if self._trace is not None:
                self._trace.client(step.line if step.shown_as is None else step.shown_as)
            if self._is_halted():
                return  # since the loggers have heard of it
            self._transport.write(f"{step.line}\r\n".encode())
        elif isinstance(step, Pipeline):
            self._missing = len(step.lines)
            if step.said:
                self._owed = 0
                early, self._early = self._early, []
                if early:
                    self._take(early, noted=True)
                return
            if self._trace is not None:
                for line in step.lines:
                    self._trace.client(line)
                if self._is_halted():
                    return
            self._transport.write(("\r\n".join(step.lines) + "\r\n").encode())
        elif isinstance(step, Transmit):
            self._missing = step.replies
            self._pump.send(step.message)
        elif isinstance(step, Hold):
            self._missing = 1  # if it comes, it comes too early
            self._pump.send(step.message, hold=True)
        elif isinstance(step, Commit):
            self._missing = step.replies
            self._pump.commit()
        elif isinstance(step, AwaitGreeting):
            self._missing = 1
        elif isinstance(step, StartTLS):
            self._owner.upgrade(self._upgraded)
        elif isinstance(step, Begin):
            self._pump.begin(step.message)
        elif isinstance(step, Ask):
            self._ask(step)
        else:
            self._compute(step)

    def _ride(self) -> bytes:
        """Return what rides behind the message that is about to end."""
        step = self._step
        if type(step) is not Transmit or not step.last:
            return b""
        lines = self._owner.next_lines()
        if not lines:
            return b""
        self._owed = len(lines)
        if self._trace is not None:
            for line in lines:
                self._trace.client(line)
        return ("\r\n".join(lines) + "\r\n").encode()

    def broke(self, exc: BaseException) -> None:
        """End the connection, because ``exc`` was raised in the middle of a step."""
        self._owner.broke(exc)

    def _is_halted(self) -> bool:
        return self._pump.halted

    def _message_begun(self) -> None:
        self._go_on(None)

    def _message_held(self) -> None:
        self._missing = 0
        self._go_on(None)

    def _source_failed(self, error: SMTPError) -> None:
        self._go_on(error, True)

    @guarded
    def _upgraded(self) -> None:
        self._parser = ReplyParser(self._limit)
        self._go_on(None)

    def _ask(self, step: Ask) -> None:
        self._missing = 1 if step.held else 0
        self._ticket += 1
        ticket = self._ticket

        def answer(error: object = None, value: Any = None, *_: object) -> None:
            self._reactor.call_soon_threadsafe(self._answered, ticket, error, value)

        self._answer = answer
        try:
            refuse_coroutine(step.question(answer), "what was to call its callback")
        except Exception as exc:
            answer(exc)

    @guarded
    def _answered(self, ticket: int, error: object, value: Any) -> None:
        if ticket != self._ticket or self._dialogue is None:
            return  # answered already, or nobody wants to know any more
        self._ticket += 1
        self._answer = None
        self._missing = 0
        if isinstance(error, Exception):
            self._go_on(error, True)
        elif error:
            self._go_on(RuntimeError(str(error)), True)
        else:
            # As in Node, where callbacks test "if (err)": false and '' are no errors.
            self._go_on(value)

    def _compute(self, step: Compute) -> None:
        from .computing import computation  # for the few logins that need it

        self._job = computation(self._reactor, step.function, self._computed)
        self._job.start()

    @guarded
    def _computed(self, value: Any, error: BaseException | None) -> None:
        self._job = None
        if error is None:
            self._go_on(value)
        else:
            self._go_on(error, True)

    # -- the transport ------------------------------------------------------------------------

    def drained(self) -> None:
        """Go on with the message: the system has taken what was written."""
        self._pump.drained()

    def data_received(self, data: bytes) -> None:
        """Take what the server says."""
        try:
            replies = self._parser.feed(data)
        except ReplyTooLong as exc:
            # Without its frames, which hold what was said, secrets and all.
            self._reply_too_long(exc.with_traceback(None))
            return
        if self._secrets is not None:
            self._hide_secrets(replies)
        if replies:
            self._take(replies)

    def _reply_too_long(self, exc: ReplyTooLong) -> None:
        if exc.replies:
            self._hide_secrets(exc.replies)
            self._take(exc.replies, go_on=False)
        self._owner.connection_failed(
            SMTPError(
                f"{exc} than the {self._limit} bytes of maxResponseSize",
                code="EPROTOCOL",
                command="CONN",
            )
        )

    def _hide_secrets(self, replies: list[Reply]) -> None:
        """Mask the secrets in ``replies``, of which nothing else is kept, not even in the frame of
        a traceback."""
        if self._secrets is None:
            return
        for index, reply in enumerate(replies):
            shown = self._secrets.masked(reply.text)
            if shown is not reply.text:
                self._parser.forget()
                replies[index] = Reply(reply.code, shown)

    def _take(self, replies: list[Reply], go_on: bool = True, noted: bool = False) -> None:
        """Take ``replies``; carry out what follows from them only with ``go_on``.  With ``noted``,
        they were read together with those to the dialogue before."""
        if not noted:
            self.last_sign_of_life = self._reactor.now
            self.last_response = replies[-1].text
            if self._trace is not None:
                for reply in replies:
                    self._trace.server(reply.text)
        surplus: list[Reply] | None = None
        if len(replies) > self._missing:
            surplus = replies[self._missing :]
            del replies[self._missing :]
        step: Step | None = None
        if replies:
            if not self._accept(replies):
                return
            collected, self._collected = self._collected, []
            several = type(self._step) in _WITH_SEVERAL_REPLIES
            step = self._advance(collected if several else collected[0])
        if surplus and self._owed and self._dialogue is None:
            # They are for the next dialogue, which has spoken already.
            self._early, surplus = surplus[: self._owed], surplus[self._owed :]
        if surplus or (type(step) is StartTLS and not self._nothing_behind_the_reply()):
            self._surplus(step, surplus or [])
        elif step is not None and go_on:
            self._carry_out(step)
        elif go_on:
            self._owner.next_dialogue()

    def _nothing_behind_the_reply(self) -> bool:
        return not self._parser.incomplete and not self._parser.ends_blank

    def _accept(self, replies: list[Reply]) -> bool:
        """Take replies that were asked for; return whether the dialogue can go on."""
        greeting = type(self._step) is AwaitGreeting
        for reply in replies:
            if reply.code == 421 and not greeting:
                self._collected += replies[: replies.index(reply)]
                self._owner.hung_up(reply.text, None)
                return False
        pump = self._pump
        if (pump.message is not None and not pump.is_sent) or type(self._step) in (Hold, Ask):
            pump.stop()
            self._missing = 0
            self._ticket += 1  # an answer comes too late
            self._go_on(TooEarly(replies[0]), True)
            return False
        if greeting:
            self._owner.greeted()
        self._missing -= len(replies)
        self._collected += replies
        if self._missing:
            return False
        if pump.message is not None:
            pump.settled()
        return True

    def _surplus(self, step: Step | None, surplus: list[Reply]) -> None:
        """Deal with what arrived although nobody has asked for it, or not yet."""
        if isinstance(step, StartTLS):
            # Whoever sits in the middle can put clear text behind the 220, to be taken for part
            # of the encrypted session (CVE-2011-0411, CVE-2021-38371).
            error = SMTPError(
                "The server, or somebody in between, sent clear text after its reply to STARTTLS",
                code="ETLS",
                command="STARTTLS",
            )
        elif surplus[0].code == 421:
            self._owner.hung_up(surplus[0].text, None)
            return
        else:
            error = SMTPError(
                "Unexpected reply, to no command",
                code="EPROTOCOL",
                command="CONN",
                response=surplus[0].text,
            )
        self._owner.connection_failed(error)

    def discreet(self, text: str) -> str:
        """Return ``text``, the server's words without their beginning or end, without secrets."""
        return text if self._secrets is None else self._secrets.masked_cut(text)

    @guarded
    def connection_lost(self, error: SMTPError | None) -> None:
        """The stream is over: it failed with ``error``, or the server has closed its side."""
        remainder = self.discreet(self._parser.remainder.strip())
        response = None
        if remainder:
            self.last_response = remainder
            if self._trace is not None:
                self._trace.server(remainder)
            if re.match(r"[45][0-9]{2}(?:[ -]|\Z)", remainder):
                response = remainder
        self._owner.hung_up(response, error)
