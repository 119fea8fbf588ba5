"""The conversations of SMTP (RFC 5321) and LMTP (RFC 2033), each from top to bottom.

They do no I/O: they yield what to do next (see ``steps``) and receive what came of it.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

from ..errors import SMTPError
from ..message.message import Message
from ..records import SendInfo
from .capabilities import Capabilities
from .envelope import Envelope
from .hints import about_banner
from .message_ids import server_message_id
from .replies import Reply
from .session import Session
from .steps import (
    Abandon,
    AwaitGreeting,
    Begin,
    Command,
    Dialogue,
    Pipeline,
    StartTLS,
    TooEarly,
    Transmit,
    Unanswered,
)

__all__ = ["open_session", "quit_session", "reset", "transaction"]


def _failure(message: str, code: str, command: str, reply: Reply | None = None) -> SMTPError:
    return SMTPError(message, code=code, command=command, response=reply.text if reply else None)


class Clock(Protocol):
    """Something that knows the time: the reactor does."""

    @property
    def now(self) -> float:
        """The time in seconds, from whatever beginning."""


# -- opening --------------------------------------------------------------------------------------


def open_session(session: Session) -> Dialogue[None]:
    """Take the greeting, introduce ourselves, and upgrade to TLS where that applies.

    Every failure ends the connection.
    """
    greeting = yield AwaitGreeting()
    if greeting.code != 220:
        hint = about_banner(greeting.text)
        text = f"Invalid greeting ({hint})" if hint else "Invalid greeting"
        raise _failure(text, "EPROTOCOL", "CONN", greeting)
    yield from _introduce(session)
    if session.secure or session.ignore_tls:
        return
    if session.require_tls or "STARTTLS" in session.capabilities:
        yield from _upgrade(session)


def _introduce(session: Session) -> Dialogue[None]:
    """EHLO, with HELO for servers that do not know it; LHLO has no such fallback."""
    verb = "LHLO" if session.lmtp else "EHLO"
    reply = yield Command(f"{verb} {session.name}")
    if reply.positive:
        session.capabilities = Capabilities(reply)
        return
    if session.lmtp:
        raise _failure("LHLO refused", "EPROTOCOL", verb, reply)
    if session.require_tls and not session.secure:
        raise _failure(
            "EHLO refused, and with HELO there is no STARTTLS, which is required",
            "ECONNECTION",
            verb,
            reply,
        )
    reply = yield Command(f"HELO {session.name}")
    if not reply.positive:
        raise _failure("HELO refused", "EPROTOCOL", "HELO", reply)
    session.capabilities = Capabilities()


def _upgrade(session: Session) -> Dialogue[None]:
    """STARTTLS (RFC 3207), after which nothing that was said in clear text counts any more."""
    if "STARTTLS" not in session.capabilities:
        raise _failure("STARTTLS is required, and the server does not offer it", "ETLS", "STARTTLS")
    reply = yield Command("STARTTLS")
    if not reply.positive:
        if session.opportunistic_tls:
            session.upgrade_refused = True
            return
        raise _failure("STARTTLS refused", "ETLS", "STARTTLS", reply)
    yield StartTLS()
    session.secure = True
    session.capabilities = Capabilities()
    yield from _introduce(session)


# -- a message ------------------------------------------------------------------------------------


def transaction(
    envelope: Envelope, message: Message, session: Session, clock: Clock
) -> Dialogue[SendInfo]:
    """Send one message.

    Raises :class:`SMTPError` if it was not accepted for anybody.  What the server still holds of a
    transaction that failed is reset before the next one.
    """
    started = clock.now
    mail = _mail_command(envelope, session)
    if not message.whole:
        yield Begin(message)
    recipients = _Recipients()
    if session.capabilities.pipelining:
        yield from _envelope_at_once(mail, envelope, recipients, session)
    else:
        yield from _envelope_in_steps(mail, envelope, recipients, session)
    taken = clock.now
    count = len(recipients.accepted) if session.lmtp else 1
    lost: SMTPError | None = None
    try:
        replies = yield Transmit(message, count)
    except TooEarly as exc:
        raise Abandon(_answered_too_early(exc.reply)) from None
    except Unanswered as exc:
        replies, lost = exc.replies, exc.error
    except SMTPError as exc:
        # The source failed.  Without the final dot the server drops what it has got.
        raise Abandon(exc) from None
    session.transaction_open = False
    if session.lmtp:
        recipients.judge_each(replies, lost)
    elif lost is not None:
        raise recipients.report_in(_unanswered(lost))
    elif not replies[0].positive:
        raise _verdict("Message failed", replies[0])
    # By position: with keywords it would take three times as long.
    return SendInfo(
        recipients.accepted,
        recipients.rejected,
        recipients.errors,
        replies[-1].text,
        round((taken - started) * 1000),
        round((clock.now - taken) * 1000),
        message.size,
        session.capabilities.lines,
        server_message_id(replies[-1].text, session.host),
    )


def _verdict(text: str, reply: Reply) -> SMTPError:
    """Return the error for a final reply that does not say that the message was accepted."""
    error = _failure(text, "EMESSAGE", "DATA", reply)
    # Of anything else but a refusal nobody can tell what it means.
    error.inDoubt = not 400 <= reply.code < 600
    return error


def _unanswered(error: SMTPError) -> SMTPError:
    """Make ``error``, with which the connection ended, say what that means for the message."""
    if error.response is None:
        _put_in_doubt(error)
    return error


def _put_in_doubt(error: SMTPError) -> None:
    error.inDoubt = True
    error.add_hint("the message had been sent to its end, so it may have been accepted")


def _answered_too_early(reply: Reply) -> SMTPError:
    if reply.positive:
        # It cannot be about a message that the server has not seen the end of.
        return _failure("The server replied before the message ended", "EPROTOCOL", "DATA", reply)
    return _failure("Message failed", "EMESSAGE", "DATA", reply)


def _mail_command(envelope: Envelope, session: Session) -> str:
    """Return the MAIL command; raise :class:`SMTPError` for what the server cannot do."""
    capabilities = session.capabilities
    command = f"MAIL FROM:<{envelope.sender}>"
    if envelope.international:
        if "SMTPUTF8" not in capabilities:
            raise _failure(
                "an address is not ASCII, and the server does not announce SMTPUTF8 (RFC 6531)",
                "EENVELOPE",
                "MAIL FROM",
            )
        command += " SMTPUTF8"
    if envelope.require_tls:
        _require_requiretls(session)
        command += " REQUIRETLS"
    if envelope.dsn is not None and "DSN" in capabilities:
        command += envelope.dsn.mail
    if envelope.use_8bit_mime and "8BITMIME" in capabilities:
        command += " BODY=8BITMIME"
    if envelope.size:
        if capabilities.size and envelope.size > capabilities.size:
            raise _failure(
                f"Message size {envelope.size} is larger than the {capabilities.size} bytes"
                " that the server allows",
                "EMESSAGE",
                "MAIL FROM",
            )
        if "SIZE" in capabilities:
            command += f" SIZE={envelope.size}"
    return command


def _require_requiretls(session: Session) -> None:
    """Raise :class:`SMTPError` unless REQUIRETLS may be asked for (RFC 8689 section 4.2.1)."""
    if not session.secure:
        why = "this connection is not over TLS"
    elif "REQUIRETLS" not in session.capabilities:
        why = "the server does not announce it"
    else:
        return
    raise _failure(f"REQUIRETLS is not possible: {why}", "EREQUIRETLS", "MAIL FROM")


def _rcpt_commands(envelope: Envelope, session: Session) -> list[str]:
    asked = envelope.dsn.rcpt if envelope.dsn is not None and "DSN" in session.capabilities else ""
    return [f"RCPT TO:<{recipient}>{asked}" for recipient in envelope.recipients]


class _Recipients:
    """The recipients as the server judges them, one by one."""

    __slots__ = ("accepted", "errors", "rejected")

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.rejected: list[str] = []
        self.errors: list[SMTPError] = []

    def judge(self, recipient: str, reply: Reply) -> None:
        """Take the reply to RCPT."""
        if reply.positive:
            self.accepted.append(recipient)
        else:
            error = _failure("Recipient refused", "EENVELOPE", "RCPT TO", reply)
            self._reject(recipient, error)

    def judge_each(self, replies: list[Reply], lost: SMTPError | None) -> None:
        """Take the final replies of LMTP, one for each accepted recipient, in their order.

        ``lost`` is the error with which the connection ended before all of them were there.
        """
        accepted, self.accepted = self.accepted, []
        for recipient, reply in zip(accepted, replies, strict=lost is None):
            if reply.positive:
                self.accepted.append(recipient)
            else:
                self._reject(recipient, _verdict(f"Message failed for {recipient}", reply))
        if lost is not None:
            self._leave_open(accepted[len(replies) :], lost)
        if not self.accepted:
            raise self._all_refused("Message failed for every recipient", "EMESSAGE", "DATA", lost)

    def _leave_open(self, unanswered: list[str], lost: SMTPError) -> None:
        # If the server's last words were a refusal, it is that of the one whose turn it was.
        response = lost.response
        for recipient in unanswered:
            text = f"No final reply for {recipient}"
            error = SMTPError(text, code=lost.code, command="DATA", response=response)
            self._reject(recipient, _unanswered(error))
            response = None

    def _reject(self, recipient: str, error: SMTPError) -> None:
        error.recipient = recipient
        self.rejected.append(recipient)
        self.errors.append(error)

    def require_one(self) -> None:
        """Raise :class:`SMTPError` unless at least one recipient was accepted."""
        if not self.accepted:
            raise self._all_refused("All recipients were refused", "EENVELOPE", "RCPT TO")

    def _all_refused(
        self, text: str, code: str, command: str, lost: SMTPError | None = None
    ) -> SMTPError:
        # A temporary refusal, if there is one, speaks for the message: it is worth another try.
        temporary = (error for error in self.errors if 400 <= (error.responseCode or 0) < 500)
        spokesman = next(temporary, self.errors[-1])
        error = lost or SMTPError(text, code=code, command=command, response=spokesman.response)
        if any(each.inDoubt for each in self.errors):
            _put_in_doubt(error)
        return self.report_in(error)

    def report_in(self, error: SMTPError) -> SMTPError:
        """Let ``error`` name those who were refused; return it."""
        error.rejected = self.rejected
        error.rejectedErrors = self.errors
        return error


def _envelope_in_steps(
    mail: str, envelope: Envelope, recipients: _Recipients, session: Session
) -> Dialogue[None]:
    """MAIL, each RCPT and DATA, every one after the reply to the one before."""
    if session.transaction_open:
        yield from reset(session)
    reply = yield Command(mail)
    if not reply.positive:
        raise _failure("Sender refused", "EENVELOPE", "MAIL FROM", reply)
    session.transaction_open = True
    commands = _rcpt_commands(envelope, session)
    for recipient, command in zip(envelope.recipients, commands, strict=True):
        recipients.judge(recipient, (yield Command(command)))
    recipients.require_one()
    reply = yield Command("DATA")
    if not _go_ahead(reply):
        raise _failure("DATA refused", "EENVELOPE", "DATA", reply)


def _envelope_at_once(
    mail: str, envelope: Envelope, recipients: _Recipients, session: Session
) -> Dialogue[None]:
    """The same in one write (RFC 2920), judged when all the replies are there."""
    lines = [mail, *_rcpt_commands(envelope, session), "DATA"]
    if session.transaction_open:
        lines.insert(0, "RSET")
    replies: list[Reply] = yield Pipeline(lines)
    data = replies[-1]
    if session.transaction_open:
        cleared = replies.pop(0)
        if not cleared.positive:
            _give_up(_reset_refused(cleared), data)
    sender = replies[0]
    session.transaction_open = sender.positive
    for recipient, reply in zip(envelope.recipients, replies[1:-1], strict=True):
        recipients.judge(recipient, reply)
    if not sender.positive:
        _give_up(_failure("Sender refused", "EENVELOPE", "MAIL FROM", sender), data)
    if not recipients.accepted and _go_ahead(data):
        # RFC 2920 section 3.1: a server may take DATA although it took no recipient.  The lone
        # dot ends that message, which is for nobody.
        yield Command(".")
        session.transaction_open = False
    recipients.require_one()
    if not _go_ahead(data):
        raise _failure("DATA refused", "EENVELOPE", "DATA", data)


def _give_up(error: SMTPError, data: Reply) -> NoReturn:
    if _go_ahead(data):
        # The server waits for a message that nobody can vouch for; it gets none.
        raise Abandon(error)
    raise error


def _go_ahead(reply: Reply) -> bool:
    # 354 by the book; some servers say 250.
    return 200 <= reply.code < 400


# -- the rest -------------------------------------------------------------------------------------


def reset(session: Session) -> Dialogue[bool]:
    """RSET; the value is ``True``."""
    reply = yield Command("RSET")
    if not reply.positive:
        raise _reset_refused(reply)
    session.transaction_open = False
    return True


def _reset_refused(reply: Reply) -> SMTPError:
    return _failure("Could not reset the session", "EPROTOCOL", "RSET", reply)


def quit_session() -> Dialogue[None]:
    """QUIT; what the server replies does not matter any more."""
    yield Command("QUIT")
