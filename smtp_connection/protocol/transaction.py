"""What an open session is for: a message; and its end, QUIT; in SMTP (RFC 5321) and LMTP (RFC
2033).

Dialogues do no I/O: they yield what to do next (see ``steps``) and receive the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ..errors import SMTPError
from ..message.message import Message
from ..records import SendInfo
from .addressing import (
    envelope_at_once,
    envelope_in_steps,
    envelope_that_rode,
    mail_command,
    may_ride,
)
from .envelope import Envelope
from .message_ids import server_message_id
from .recipients import Recipients
from .replies import Reply
from .session import Session
from .steps import (
    Abandon,
    Ask,
    Begin,
    Command,
    Commit,
    Dialogue,
    Hold,
    Pipeline,
    TooEarly,
    Transmit,
    Unanswered,
)

__all__ = ["Clock", "quit_ahead", "quit_session", "transaction"]


class Clock(Protocol):
    """Tells the time; the reactor is one."""

    @property
    def now(self) -> float:
        """The time in seconds, counted from any fixed moment."""


def transaction(
    envelope: Envelope,
    message: Message,
    session: Session,
    clock: Clock,
    recipients: Recipients | None = None,
) -> Dialogue[SendInfo]:
    """Send one message; the value tells what became of it.  If the server takes fewer recipients in
    one transaction, there are several.

    With ``recipients``, it is one transaction in any case, and they note what the server says.

    Raises :class:`SMTPError` if the server does not accept it for anybody.  After that, and after a
    message that was accepted for some alone, the server may still hold a part of the transaction,
    which is reset before the next one.
    """
    last = recipients is None
    if recipients is None:
        if session.capabilities.limits_rcpt:
            from .parts import in_parts, parts_of  # for servers that announce LIMITS

            parts = parts_of(envelope.recipients, session.capabilities)
            if len(parts) > 1:
                send = _sending(session, clock)
                return (yield from in_parts(send, parts, envelope, message, session))
        recipients = Recipients(envelope.recipients)
    started = clock.now
    ahead = session.claim_ahead() if session.ahead else None
    mail = ahead[0] if ahead else mail_command(envelope, message, session)
    lazy: Message | None = None
    if not message.whole:
        # A stream, a pipe or a slow file may take its time, for which no server should have to
        # wait.  A generator takes none, and need not run for a message that nobody gets.
        if message.lazy:
            lazy = message
        else:
            yield Begin(message, between_commands=True)
            mail = mail_command(envelope, message, session)  # its headers are known now
    try:
        if ahead:
            yield from envelope_that_rode(ahead, envelope, recipients, session)
        elif session.capabilities.pipelining:
            yield from envelope_at_once(mail, envelope, recipients, session, lazy)
        else:
            yield from envelope_in_steps(mail, envelope, recipients, session, lazy)
    except Unanswered as exc:
        # What the server has said about a recipient is true although it has gone since.
        raise recipients.reported_in(exc.error) from exc.error.__cause__
    envelope_done = clock.now
    count = len(recipients.accepted) if session.lmtp else 1
    lost: SMTPError | None = None
    gate = envelope.before_commit or session.before_commit
    try:
        if gate is None:
            replies = yield Transmit(message, count, last=last)
        else:
            yield Hold(message)
            yield _asking(gate, envelope.sender, recipients.accepted)
            replies = yield Commit(count)
    except TooEarly as exc:
        raise Abandon(_answered_too_early(exc.reply)) from None
    except Unanswered as exc:
        replies, lost = exc.replies, exc.error
    except SMTPError as exc:
        # The source failed, or the gate stays closed.  Without the final dot the server discards
        # what has arrived.
        raise Abandon(exc) from None
    except Exception as exc:
        raise Abandon(_stopped(exc)) from None
    # Some servers keep the transaction after a refusal (Cyrus does, over LMTP).
    if session.lmtp:
        recipients.judge_each(replies, lost)
        session.transaction_open = len(recipients.accepted) < count
    else:
        recipients.judge_together(replies, lost)
        session.transaction_open = False
        session.proven = True
    response = replies[-1].text
    return SendInfo(
        accepted=recipients.accepted,
        rejected=recipients.rejected,
        rejectedErrors=recipients.errors,
        response=response,
        envelopeTime=round((envelope_done - started) * 1000),
        messageTime=round((clock.now - envelope_done) * 1000),
        messageSize=message.size,
        ehlo=session.capabilities.lines,
        serverMessageId=server_message_id(response, session.host),
        addresses=recipients.addresses,
        replies=recipients.replies,
    )


def _sending(
    session: Session, clock: Clock
) -> Callable[[Envelope, Message, Recipients], Dialogue[SendInfo]]:
    def send(envelope: Envelope, message: Message, told: Recipients) -> Dialogue[SendInfo]:
        return transaction(envelope, message, session, clock, told)

    return send


def _asking(gate: Callable[..., object], sender: str, accepted: list[str]) -> Ask:
    """Return the step that asks the caller's ``gate`` whether the final dot may be sent."""
    committed = {"from": sender, "to": list(accepted)}
    return Ask(partial(gate, committed), awaited="beforeCommit", held=True)


def _stopped(cause: Exception) -> SMTPError:
    error = SMTPError(
        f"beforeCommit has stopped the message: {cause}", code="EABORT", command="DATA"
    )
    error.__cause__ = cause
    return error


def _answered_too_early(reply: Reply) -> SMTPError:
    if reply.positive:
        # It cannot be about this message: the server has not seen its end.
        return reply.failure("The server replied before the message ended", "EPROTOCOL", "DATA")
    return reply.failure("Message failed", "EMESSAGE", "DATA")


# -- QUIT -----------------------------------------------------------------------------------------


def quit_ahead(session: Session) -> list[str]:
    """Return QUIT, if it may ride behind the message before."""
    return ["QUIT"] if may_ride(session) else []


def quit_session(session: Session) -> Dialogue[None]:
    """QUIT; any reply ends the session."""
    ahead = session.claim_ahead()
    if ahead:
        yield Pipeline(ahead, said=True)
    else:
        yield Command("QUIT")
