"""What an open session is for: a message, RSET and QUIT, in SMTP (RFC 5321) and LMTP (RFC 2033).

Dialogues do no I/O: they yield what to do next (see ``steps``) and receive the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn, Protocol

from ..errors import SMTPError, envelope_error, message_error
from ..message.message import Message
from ..records import SendInfo
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

__all__ = [
    "Clock",
    "mail_command",
    "quit_session",
    "rcpt_commands",
    "reset",
    "sender_refused",
    "transaction",
]


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
    if recipients is None:
        if session.capabilities.limits_rcpt:
            from .parts import in_parts, parts_of  # for servers that announce LIMITS

            parts = parts_of(envelope.recipients, session.capabilities)
            if len(parts) > 1:
                send = _sending(session, clock)
                return (yield from in_parts(send, parts, envelope, message, session))
        recipients = Recipients(envelope.recipients)
    started = clock.now
    mail = mail_command(envelope, message, session)
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
        if session.capabilities.pipelining:
            yield from _envelope_at_once(mail, envelope, recipients, session, lazy)
        else:
            yield from _envelope_in_steps(mail, envelope, recipients, session, lazy)
    except Unanswered as exc:
        # What the server has said about a recipient is true although it has gone since.
        raise recipients.reported_in(exc.error) from exc.error.__cause__
    envelope_done = clock.now
    count = len(recipients.accepted) if session.lmtp else 1
    lost: SMTPError | None = None
    gate = envelope.before_commit or session.before_commit
    try:
        if gate is None:
            replies = yield Transmit(message, count)
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


# -- the envelope ---------------------------------------------------------------------------------


def mail_command(envelope: Envelope, message: Message | None, session: Session) -> str:
    """Return the MAIL command; ``message`` is what follows, if anything does.

    Raises :class:`SMTPError` if the server cannot do what the command has to ask for.
    """
    capabilities = session.capabilities
    command = f"MAIL FROM:<{envelope.reverse_path}>"
    in_headers = message is not None and message.is_international()
    if envelope.international or in_headers:
        if "SMTPUTF8" not in capabilities:
            raise _not_international(envelope)
        command += " SMTPUTF8"
    if envelope.require_tls:
        _require_requiretls(session)
        command += " REQUIRETLS"
    if envelope.dsn is not None and "DSN" in capabilities:
        command += envelope.dsn.mail
    if envelope.requests is not None:
        command += envelope.requests.parameters(capabilities)
    if envelope.use_8bit_mime and "8BITMIME" in capabilities:
        command += " BODY=8BITMIME"
    if capabilities.takes_size:
        # The larger one: whoever states a size may know what is added on the way.
        size = max(envelope.size or 0, message.known_size() if message is not None else 0)
        if capabilities.size and size > capabilities.size:
            raise message_error(
                f"Message size {size} is larger than the {capabilities.size} bytes"
                " that the server allows",
                "MAIL FROM",
            )
        if size:
            command += f" SIZE={size}"
    return command


def _not_international(envelope: Envelope) -> SMTPError:
    if envelope.international:
        return envelope.not_international()
    text = "The headers of the message are not ASCII, and the server does not announce SMTPUTF8"
    return envelope_error(f"{text} (RFC 6531)", "MAIL FROM")


def _require_requiretls(session: Session) -> None:
    """Raise :class:`SMTPError` unless REQUIRETLS may be asked for (RFC 8689 section 4.2.1)."""
    if not session.secure:
        why = "this connection is not over TLS"
    elif "REQUIRETLS" not in session.capabilities:
        why = "the server does not announce it"
    else:
        return
    text = f"REQUIRETLS is not possible: {why}"
    raise SMTPError(text, code="EREQUIRETLS", command="MAIL FROM")


def rcpt_commands(envelope: Envelope, session: Session) -> list[str]:
    """Return the RCPT command for each recipient."""
    own = envelope.own_dsn
    if (own or envelope.dsn is not None) and "DSN" in session.capabilities:
        dsn = envelope.dsn.rcpt if envelope.dsn is not None else ""
        return [
            f"RCPT TO:<{recipient}>{own.get(place, dsn)}"
            for place, recipient in enumerate(envelope.forward_paths)
        ]
    return [f"RCPT TO:<{recipient}>" for recipient in envelope.forward_paths]


def _envelope_in_steps(
    mail: str,
    envelope: Envelope,
    recipients: Recipients,
    session: Session,
    lazy: Message | None,
) -> Dialogue[None]:
    """MAIL, each RCPT and DATA, each after the reply to the one before.

    The source of ``lazy`` begins before DATA: if it fails, the session can still be used.
    """
    if session.transaction_open:
        yield from reset(session)
    session.mails += 1
    reply = yield Command(mail)
    if not reply.positive:
        raise sender_refused(reply)
    session.transaction_open = True
    for command in rcpt_commands(envelope, session):
        recipients.judge([(yield Command(command))])
    recipients.require_one()
    if lazy is not None:
        yield from _begin(lazy, recipients)
    reply = yield Command("DATA")
    if not _go_ahead(reply):
        raise _data_refused(reply)


def _envelope_at_once(
    mail: str,
    envelope: Envelope,
    recipients: Recipients,
    session: Session,
    lazy: Message | None,
) -> Dialogue[None]:
    """The same commands in one write (RFC 2920); the replies are judged when all are there.

    The source of ``lazy`` begins after DATA, which costs no round trip.
    """
    lines = [mail, *rcpt_commands(envelope, session), "DATA"]
    if session.transaction_open:
        lines.insert(0, "RSET")
    session.mails += 1
    try:
        replies: list[Reply] = yield Pipeline(lines)
    except Unanswered as exc:
        _judge_some(exc.replies[lines.index(mail) :], envelope, recipients)
        raise
    data = replies[-1]
    if session.transaction_open:
        cleared = replies.pop(0)
        if not cleared.positive:
            _fail_before_data(_reset_refused(cleared), data)
    sender = replies[0]
    session.transaction_open = sender.positive
    recipients.judge(replies[1:-1])
    if not sender.positive:
        _fail_before_data(sender_refused(sender), data)
    if not recipients.accepted and _go_ahead(data):
        # RFC 2920 section 3.1: a server may answer DATA with 354 although it refused every
        # recipient.  The lone dot ends that message, which nobody gets.
        final: Reply = yield Command(".")
        session.transaction_open = not final.positive
    recipients.require_one()
    if not _go_ahead(data):
        raise _data_refused(data)
    if lazy is not None:
        try:
            yield from _begin(lazy, recipients)
        except SMTPError as exc:
            raise Abandon(exc) from None  # the server waits for the message


def _begin(message: Message, recipients: Recipients) -> Dialogue[None]:
    """Wait for the first piece of ``message``; if its source fails, the error names the recipients
    that were rejected before."""
    try:
        yield Begin(message)
    except SMTPError as exc:
        recipients.reported_in(exc)
        raise


def _judge_some(replies: list[Reply], envelope: Envelope, recipients: Recipients) -> None:
    """Judge by ``replies``, the first of those to MAIL and RCPT, after which the connection ended.

    Raises :class:`SMTPError` if they are enough to know that the message is refused.
    """
    if not replies:
        return
    if not replies[0].positive:
        raise sender_refused(replies[0])
    recipients.judge(replies[1 : 1 + len(envelope.recipients)])
    if len(replies) > len(envelope.recipients):
        recipients.require_one()


def _fail_before_data(error: SMTPError, data: Reply) -> NoReturn:
    """Raise ``error``, which an earlier reply than ``data``, the one to DATA, has led to."""
    if _go_ahead(data):
        # The server waits for a message now.  It must get none, and would read any command as one.
        raise Abandon(error)
    raise error


def _go_ahead(reply: Reply) -> bool:
    # RFC 5321 says 354; some servers say 250.
    return 200 <= reply.code < 400


def sender_refused(reply: Reply) -> SMTPError:
    """Return the error for a ``reply`` that refuses MAIL."""
    # 552: the message is larger than the server allows (RFC 1870 section 6.1).
    code = "EMESSAGE" if reply.code == 552 else "EENVELOPE"
    return reply.failure("Sender refused", code, "MAIL FROM")


def _data_refused(reply: Reply) -> SMTPError:
    return reply.failure("DATA refused", "EENVELOPE", "DATA")


# -- RSET and QUIT --------------------------------------------------------------------------------


def reset(session: Session) -> Dialogue[bool]:
    """RSET; the value is ``True``.  Raises :class:`SMTPError` (``EPROTOCOL``) if it is refused."""
    reply = yield Command("RSET")
    if not reply.positive:
        raise _reset_refused(reply)
    session.transaction_open = False
    return True


def _reset_refused(reply: Reply) -> SMTPError:
    return reply.failure("Could not reset the session", "EPROTOCOL", "RSET")


def quit_session() -> Dialogue[None]:
    """QUIT; any reply ends the session."""
    yield Command("QUIT")
