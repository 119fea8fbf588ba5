"""The envelope of a message, said to the server: MAIL, each RCPT and DATA (RFC 5321 section 3.3),
one by one, in one write, or ahead, behind the message before (RFC 2920).

Dialogues do no I/O: they yield what to do next (see ``steps``) and receive the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..errors import SMTPError, envelope_error, message_error
from ..message.message import Message
from .envelope import Envelope
from .recipients import Recipients
from .replies import Reply
from .session import Session
from .steps import Abandon, Begin, Command, Dialogue, Pipeline, Unanswered

if TYPE_CHECKING:
    from .parameters import Parameters

__all__ = [
    "envelope_ahead",
    "envelope_at_once",
    "envelope_in_steps",
    "envelope_that_rode",
    "has_room",
    "mail_command",
    "may_ride",
    "rcpt_commands",
    "reset",
    "sender_refused",
]


def mail_command(envelope: Envelope, message: Message | None, session: Session) -> str:
    """Return the MAIL command; ``message`` is what follows, if anything does.

    Raises :class:`SMTPError` if the server cannot do what the command has to ask for.
    """
    capabilities = session.capabilities
    command = f"MAIL FROM:<{envelope.reverse_path}>"
    # Nearly all messages are ASCII, and need not be asked for anything more.
    beyond_ascii = None if message is None or message.is_ascii else message
    if envelope.international or (beyond_ascii is not None and beyond_ascii.is_international()):
        if "SMTPUTF8" not in capabilities:
            raise _not_international(envelope)
        command += " SMTPUTF8"
    parameters = envelope.parameters
    has_8bit = beyond_ascii is not None and beyond_ascii.is_8bit()
    if parameters is not None:
        command += _asked_for(parameters, session)
        has_8bit = has_8bit or parameters.use_8bit_mime
    if has_8bit and "8BITMIME" in capabilities:
        command += " BODY=8BITMIME"
    if capabilities.takes_size:
        size = message.known_size() if message is not None else 0
        if parameters is not None and parameters.size is not None:
            # The larger one: whoever states a size may know what is added on the way.
            size = max(parameters.size, size)
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


def _asked_for(parameters: Parameters, session: Session) -> str:
    text = ""
    if parameters.require_tls:
        _require_requiretls(session)
        text = " REQUIRETLS"
    if parameters.dsn is not None and "DSN" in session.capabilities:
        text += parameters.dsn.mail
    return text + parameters.requests.parameters(session.capabilities)


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
    parameters = envelope.parameters
    if parameters is not None and "DSN" in session.capabilities:
        dsn = parameters.dsn.rcpt if parameters.dsn is not None else ""
        return [
            f"RCPT TO:<{recipient}>{parameters.own_dsn.get(place, dsn)}"
            for place, recipient in enumerate(envelope.forward_paths)
        ]
    return [f"RCPT TO:<{recipient}>" for recipient in envelope.forward_paths]


def envelope_in_steps(
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


def envelope_at_once(
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
        first = lines.index(mail)
        if all(reply.positive for reply in exc.replies[:first]):
            # If RSET was refused, MAIL was said within another transaction.
            _judge_some(exc.replies[first:], envelope, recipients)
        raise
    if session.transaction_open:
        cleared = replies.pop(0)
        if not cleared.positive:
            _fail_before_data(_reset_refused(cleared), replies[-1])
    data = _judge_envelope(replies, recipients, session)
    if not (recipients.accepted and _go_ahead(data)):
        yield from _fail_at_data(data, recipients, session)
    if lazy is not None:
        try:
            yield from _begin(lazy, recipients)
        except SMTPError as exc:
            raise Abandon(exc) from None  # the server waits for the message


def _judge_envelope(replies: list[Reply], recipients: Recipients, session: Session) -> Reply:
    """Judge sender and recipients by ``replies``, those to MAIL, each RCPT, and DATA; return the
    last one."""
    sender, data = replies[0], replies[-1]
    session.transaction_open = sender.positive
    recipients.judge(replies[1:-1])
    if not sender.positive:
        _fail_before_data(sender_refused(sender), data)
    return data


def _fail_at_data(data: Reply, recipients: Recipients, session: Session) -> Dialogue[None]:
    """Raise what it leads to that nobody is accepted, or that ``data`` refuses the message."""
    if not recipients.accepted and _go_ahead(data):
        # RFC 2920 section 3.1: a server may answer DATA with 354 although it refused every
        # recipient.  The lone dot ends that message, which nobody gets.
        final: Reply = yield Command(".")
        session.transaction_open = not final.positive
    recipients.require_one()
    raise _data_refused(data)


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


# -- ahead ----------------------------------------------------------------------------------------


def envelope_ahead(envelope: Envelope, message: Message, session: Session) -> list[str]:
    """Return the commands that may ride behind the message before (RFC 2920 section 3.1): MAIL, the
    RCPTs and DATA, or none.

    They ride only behind a server's first message that it has accepted, never over LMTP (Cyrus
    keeps the transaction of a message that it has refused), and only for a message that is there,
    and that the server has no known reason to refuse.
    """
    capabilities = session.capabilities
    if not may_ride(session) or session.is_full or not message.whole:
        return []
    if capabilities.limits_rcpt:
        from .parts import parts_of

        if len(parts_of(envelope.recipients, capabilities)) > 1:
            return []
    try:
        mail = mail_command(envelope, message, session)
    except SMTPError:
        return []  # it fails when it is its turn
    return [mail, *rcpt_commands(envelope, session), "DATA"]


def may_ride(session: Session) -> bool:
    """Whether the next commands may ride behind a message."""
    return session.rides and session.proven and session.capabilities.pipelining


def has_room(session: Session) -> bool:
    """Whether the envelope of any message that is there may ride behind the one under way, unless
    the server is known to refuse it."""
    return may_ride(session) and not session.is_full and not session.capabilities.limits_rcpt


def envelope_that_rode(
    lines: list[str], envelope: Envelope, recipients: Recipients, session: Session
) -> Dialogue[None]:
    """Judge the replies to ``lines``, which have ridden behind the message before.

    If they were sent too early for this server, the same is said again in the usual way.
    """
    # The server may have kept the transaction of a message that it has refused.
    after_refusal = session.transaction_open
    session.mails += 1
    try:
        replies: list[Reply] = yield Pipeline(lines, said=True)
    except Unanswered as exc:
        if exc.replies and _in_step(exc.replies, len(lines), after_refusal):
            _judge_some(exc.replies, envelope, recipients)
        raise
    if _in_step(replies, len(lines), after_refusal):
        data = _judge_envelope(replies, recipients, session)
        if not (recipients.accepted and _go_ahead(data)):
            yield from _fail_at_data(data, recipients, session)
        return
    data = replies[-1]
    if _go_ahead(data):
        # Whatever transaction this is about, it is not that of this message.
        text = "The server is out of step: it waits for a message although it has refused one"
        raise Abandon(data.failure(text, "EPROTOCOL", "DATA"))
    if not after_refusal:
        session.rides = False
    session.transaction_open = True
    yield from envelope_at_once(lines[0], envelope, recipients, session, None)


def _in_step(replies: list[Reply], count: int, after_refusal: bool) -> bool:
    """Whether ``replies``, the first of the ``count`` to MAIL, each RCPT and DATA, can be taken for
    the server's opinion of this message; else they are about commands that come too early."""
    sender, rcpts = replies[0], replies[1 : count - 1]
    if not sender.positive:
        # Haraka says 503 while it has yet to judge the message before.
        return 400 <= sender.code < 600 and not (after_refusal or 500 <= sender.code <= 504)
    if any(reply.code == 503 for reply in rcpts):
        return False
    if len(replies) < count:
        return True
    data = replies[-1]
    # 250, which some servers say for 354, would also be there if each reply were one too late.
    return not data.positive and (data.code != 503 or not any(reply.positive for reply in rcpts))


# -- RSET -----------------------------------------------------------------------------------------


def reset(session: Session) -> Dialogue[bool]:
    """RSET; the value is ``True``.  Raises :class:`SMTPError` (``EPROTOCOL``) if it is refused."""
    reply = yield Command("RSET")
    if not reply.positive:
        raise _reset_refused(reply)
    session.transaction_open = False
    return True


def _reset_refused(reply: Reply) -> SMTPError:
    return reply.failure("Could not reset the session", "EPROTOCOL", "RSET")
