"""Command by command: any single line, NOOP, and a probe, which is an envelope without a message.

Dialogues do no I/O: they yield what to do next (see ``steps``) and receive the result.
"""

from __future__ import annotations

import re

from ..errors import SMTPError
from ..records import RecipientInfo, Record, recipients_told
from ..status import split_status
from ..text import control_in
from .addressing import mail_command, rcpt_commands, reset, sender_refused
from .capabilities import Capabilities
from .envelope import Envelope
from .opening import say_hello_again
from .recipients import Recipients
from .replies import Reply
from .secrets import auth_shown
from .session import Session
from .steps import Abandon, Command, Dialogue, Pipeline, Unanswered

__all__ = ["CommandReply", "ProbeInfo", "command", "noop", "probe"]

# The longest line that an RFC lets a client send, in bytes, line break included (RFC 4954 section
# 4); that of most commands is 512.
_LONGEST = 12288

# These end the session, change sides, or have the server read what follows as something else than
# commands; and what to use instead.
_REFUSED = {
    "DATA": "send() sends a message",
    "BDAT": "send() sends a message",
    "STARTTLS": "connect() does it where it is offered, and the option requireTLS requires it",
    "QUIT": "quit() says it, and ends the session",
    "TURN": "a client cannot take the server's part",
    "ATRN": "a client cannot take the server's part",
}

_HELLOS = ("EHLO", "HELO", "LHLO")

# Those that also go out without command(), and that take no longer there.
_USUAL = (*_HELLOS, "MAIL", "RCPT", "RSET", "NOOP")

# RFC 5321 section 4.1.1.2, and what RFC 821 had in addition.
_OPEN_TRANSACTION = ("MAIL", "SEND", "SOML", "SAML")


class CommandReply(Record):
    """The server's reply to one command.

    - ``command`` (str): the command; of ``SMTPConnection.command``, in the form that the log shows
    - ``response`` (str): the reply, with its code, lines joined by ``'\\n'``
    - ``status`` (int): its code, 0 if it has none
    - ``code`` (str or None): its enhanced status code (RFC 2034), for example ``'2.7.0'``
    - ``text`` (str): the rest of it
    """

    __slots__ = ("command", "response", "status", "code", "text")  # noqa: RUF023 - as in Node

    def __init__(self, command: str, reply: Reply) -> None:
        self.command = command
        self.response = reply.text
        self.status = reply.code
        self.code, self.text = split_status(reply.text)

    def __repr__(self) -> str:
        return f"CommandReply({self.response!r})"  # the command may carry a secret


class ProbeInfo(Record):
    """What a server says of an envelope: the ``info`` of the callback of ``probe``.

    - ``accepted``, ``rejected`` (list of str): the recipients, as they were given
    - ``rejectedErrors`` (list of SMTPError): one for each rejected recipient, in the same order
    - ``recipients`` (list of RecipientInfo): what the server has said of each, in the order of the
      envelope
    - ``response`` (str): the server's reply to the last recipient
    """

    __slots__ = (  # noqa: RUF023 - in the order of SendInfo
        "accepted",
        "rejected",
        "rejectedErrors",
        "recipients",
        "response",
    )

    def __init__(
        self,
        accepted: list[str],
        rejected: list[str],
        rejectedErrors: list[SMTPError],
        recipients: list[RecipientInfo],
        response: str,
    ) -> None:
        self.accepted = accepted
        self.rejected = rejected
        self.rejectedErrors = rejectedErrors
        self.recipients = recipients
        self.response = response


# -- one line -------------------------------------------------------------------------------------


class _Line(Command):
    """A command whose verb is not one of ours, and no secret."""

    __slots__ = ()

    def waiting_for(self, answered: int, *, sent: bool) -> str:
        return f"the reply to {_verb(self.line)}"

    def time_out(self, answered: int, *, sent: bool) -> str:
        verb = _verb(self.line)
        return verb if verb in _USUAL else ""


def _checked(line: object) -> str:
    """Return ``line`` without blanks around it; raise :class:`SMTPError` if it cannot be sent.

    The texts do not quote it: it may carry a secret.
    """
    if not isinstance(line, str):
        raise _unusable(f"a command is a str; got {type(line).__name__}")
    found = control_in(line)
    if found:
        raise _unusable(f"a command has no line break or control character in it; found {found!r}")
    line = line.strip(" ")
    if not re.match(r"[A-Za-z][A-Za-z0-9-]*(?: |\Z)", line):
        raise _unusable("a command begins with a verb of ASCII letters, digits and hyphens")
    if len(line.encode()) + 2 > _LONGEST:
        raise _unusable(f"a command has at most {_LONGEST} bytes, CR and LF included")
    verb = _verb(line)
    if verb in _REFUSED:
        raise _unusable(f"command() does not send {verb}: {_REFUSED[verb]}")
    return line


def _unusable(text: str) -> SMTPError:
    return SMTPError(text, code="EPROTOCOL", command="API")


def _verb(line: str) -> str:
    return line.partition(" ")[0].upper()


def command(line: object, session: Session) -> Dialogue[CommandReply]:
    """Send ``line``; the value is the reply, whatever that says.

    Raises :class:`SMTPError` before anything is said: ``EPROTOCOL`` for a line that would bring the
    session out of step, ``EAUTH`` for AUTH after a refused STARTTLS.
    """
    line = _checked(line)
    verb, shown = _verb(line), auth_shown(line)
    if shown is None:
        reply = yield _Line(line)
    else:
        session.require_upgraded()
        # What is hidden may be a mere hash, but also the password itself.
        mechanism = shown.upper().split()[1] if shown != line else None
        reply = yield Command(line, shown, mechanism)
    yield from _cancel(verb, reply)
    if verb == "AUTH" and reply.positive:
        session.authenticated = True
        if session.ehlo_after_auth:
            yield from say_hello_again(session)
    elif verb in _HELLOS and reply.positive:
        session.capabilities = Capabilities(None if verb == "HELO" else reply)
    elif verb == "RSET" and reply.positive:
        session.transaction_open = False
    elif verb in _OPEN_TRANSACTION and reply.positive:
        session.transaction_open = True
        session.mails += 1
    return CommandReply(line if shown is None else shown, reply)


def _cancel(verb: str, reply: Reply) -> Dialogue[None]:
    """End what the server waits for after ``reply`` to ``verb``, so that it takes the next line
    for a command again.  Raises :class:`Abandon` if that cannot be done."""
    if reply.code == 334:
        yield Command("*")  # RFC 4954 section 4
    elif 300 <= reply.code < 400:
        text = f"The server waits for what belongs to {verb}, which command() cannot send"
        raise Abandon(reply.failure(text, "EPROTOCOL", verb))


def noop(session: Session) -> Dialogue[bool]:
    """NOOP; the value is ``True``.  Raises :class:`SMTPError` (``EPROTOCOL``) if it is refused."""
    reply = yield Command("NOOP")
    if not reply.positive:
        raise reply.failure("NOOP refused", "EPROTOCOL", "NOOP")
    return True


# -- a probe --------------------------------------------------------------------------------------


def probe(envelope: Envelope, session: Session) -> Dialogue[ProbeInfo]:
    """Say MAIL and a RCPT for each recipient, and take it back with RSET; the value tells what the
    server said of each recipient, also if it refuses all of them.

    Raises :class:`SMTPError` if the sender is refused, or if the connection ends before the last
    recipient has its reply.
    """
    mail = mail_command(envelope, None, session)
    rcpts = rcpt_commands(envelope, session)
    if session.transaction_open:
        yield from reset(session)
    session.mails += 1
    replies: list[Reply] = []
    lost: SMTPError | None = None
    try:
        if session.capabilities.pipelining:
            replies += yield Pipeline([mail, *rcpts, "RSET"])
        else:
            for line in (mail, *rcpts, "RSET"):
                replies.append((yield Command(line)))
                if not replies[0].positive:
                    break
    except Unanswered as exc:
        replies += exc.replies
        lost = exc.error
        if not replies:
            raise
    sender, answers, rest = replies[0], replies[1 : 1 + len(rcpts)], replies[1 + len(rcpts) :]
    if not sender.positive:
        raise sender_refused(sender)
    session.transaction_open = not any(each.positive for each in rest)
    recipients = Recipients(envelope.recipients)
    recipients.judge(answers)
    if lost is not None and len(answers) < len(rcpts):
        # What the server has said about a recipient is true although it has gone since.
        raise recipients.reported_in(lost) from lost.__cause__
    return ProbeInfo(
        recipients.accepted,
        recipients.rejected,
        recipients.errors,
        recipients_told(recipients.addresses, recipients.replies),
        answers[-1].text,
    )
