"""What a dialogue may yield, and what it is sent in return.

A dialogue is a generator that does no I/O.  Each of its yields is one of the steps below; whoever
drives it carries the step out and sends the result in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from ..errors import SMTPError
from ..message.message import Message
from .replies import Reply

__all__ = [
    "Abandon",
    "Ask",
    "AwaitGreeting",
    "Begin",
    "Command",
    "Commit",
    "Compute",
    "Dialogue",
    "Ended",
    "Hold",
    "Pipeline",
    "StartTLS",
    "Step",
    "TooEarly",
    "Transmit",
    "Unanswered",
]


# The first words of commands.  Any other line belongs to a login, and may be secret.
_SESSION_VERBS = {"EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "NOOP", "QUIT"}
_VERBS = _SESSION_VERBS | {"MAIL", "RCPT", "DATA", ".", "RSET"}


# The time-outs of commandTimeouts that are not called as the command is.
_TIME_OUTS = {"HELO": "EHLO", "LHLO": "EHLO", ".": "dataEnd"}


def _time_out_of(line: str) -> str:
    """Return the name of the time-out for the reply to ``line``."""
    word = line.partition(" ")[0]
    return _TIME_OUTS.get(word, word if word in _VERBS else "AUTH")


def _reply_to(line: str) -> str:
    """Return what to call the reply to ``line``, without the parameters of the command."""
    words = line.split(" ", 2)
    name = words[0] if words[0] in _VERBS else "AUTH"
    if words[0] in ("AUTH", "MAIL", "RCPT"):
        name = " ".join(words[:2]).partition(":")[0]
    return f"the reply to {name}"


class _Awaiting:
    """What every step has.

    ``awaited`` (str) is what it waits for, where that is always the same.
    """

    __slots__ = ()
    awaited = ""

    def waiting_for(self, answered: int, *, sent: bool) -> str:
        """Return what the step still waits for, for the text of an error.

        ``answered`` is the number of its replies that have arrived, ``sent`` says whether all of
        it has been sent.
        """
        return self.awaited

    def time_out(self, answered: int, *, sent: bool) -> str:
        """Return which of ``commandTimeouts`` counts meanwhile; an empty string: none of them."""
        return ""


class Command(_Awaiting):
    """Send one command; the result is its :class:`Reply`.  Raised inside the dialogue:
    :class:`Unanswered`.

    ``shown_as`` replaces ``line``, where that carries a secret, in the log; ``reveals`` names the
    mechanism, if it is one that does not hide the secret from those who read the traffic.
    """

    __slots__ = ("line", "reveals", "shown_as")

    def __init__(self, line: str, shown_as: str | None = None, reveals: str | None = None) -> None:
        self.line = line
        self.shown_as = shown_as
        self.reveals = reveals

    def waiting_for(self, answered: int, *, sent: bool) -> str:
        return _reply_to(self.line)

    def time_out(self, answered: int, *, sent: bool) -> str:
        return _time_out_of(self.line)


class Pipeline(_Awaiting):
    """Send several commands in one write (RFC 2920); the result is the list of their replies.
    Raised inside the dialogue: :class:`Unanswered`.

    With ``said``, they have been sent already, behind the message before (``Session.ahead``).
    """

    __slots__ = ("lines", "said")

    def __init__(self, lines: list[str], *, said: bool = False) -> None:
        self.lines = lines
        self.said = said

    def waiting_for(self, answered: int, *, sent: bool) -> str:
        return _reply_to(self.lines[answered])

    def time_out(self, answered: int, *, sent: bool) -> str:
        return _time_out_of(self.lines[answered])


class AwaitGreeting(_Awaiting):
    """Send nothing; the result is the server's first :class:`Reply`."""

    __slots__ = ()
    awaited = "the greeting"


class StartTLS(_Awaiting):
    """Upgrade the connection to TLS; there is no result, a failure ends the connection."""

    __slots__ = ()
    awaited = "the TLS handshake"


class Begin(_Awaiting):
    """Wait until the first piece of the message is there.

    There is no result.  If the source fails, its :class:`SMTPError` is raised inside the dialogue.
    ``between_commands`` says that the server waits for a command meanwhile, so that the dialogue
    may be closed here, and the next one begin.
    """

    __slots__ = ("between_commands", "message")
    awaited = "the message source"

    def __init__(self, message: Message, *, between_commands: bool = False) -> None:
        self.message = message
        self.between_commands = between_commands


class Transmit(_Awaiting):
    """Send the message and its final dot; the result is the list of the ``replies`` replies.

    Raised inside the dialogue: :class:`TooEarly`, :class:`Unanswered`, or the :class:`SMTPError` of
    a source that fails.  ``last`` says that the dialogue sends nothing after it, so that what the
    next one says first may ride in the same write.
    """

    __slots__ = ("last", "message", "replies")

    def __init__(self, message: Message, replies: int = 1, *, last: bool = False) -> None:
        self.message = message
        self.replies = replies
        self.last = last

    def waiting_for(self, answered: int, *, sent: bool) -> str:
        return "the reply to the message" if sent else "the end of the message"

    def time_out(self, answered: int, *, sent: bool) -> str:
        return "dataEnd" if sent else "dataBlock"


class Hold(_Awaiting):
    """Send all of the message but the final dot.

    There is no result.  Raised inside the dialogue: :class:`TooEarly`, or the :class:`SMTPError` of
    a source that fails.
    """

    __slots__ = ("message",)
    awaited = "the end of the message"

    def __init__(self, message: Message) -> None:
        self.message = message

    def time_out(self, answered: int, *, sent: bool) -> str:
        return "dataBlock"


class Commit(_Awaiting):
    """Send the final dot of the message that is held; the result is the list of the ``replies``
    replies.  Raised inside the dialogue: :class:`Unanswered`."""

    __slots__ = ("replies",)
    awaited = "the reply to the message"

    def __init__(self, replies: int = 1) -> None:
        self.replies = replies

    def time_out(self, answered: int, *, sent: bool) -> str:
        return "dataEnd"


class Ask(_Awaiting):
    """Call ``question(answer)``, and wait until it calls ``answer(err, value)`` from any thread.

    The result is ``value``; an ``err``, or what ``question`` raises, is raised inside the dialogue.
    If the dialogue ends before that, ``forget(answer)`` is called, if there is such a function.
    ``between_commands`` is that of :class:`Begin`.  With ``held``, a message is held meanwhile, and
    what the server says is :class:`TooEarly`.
    """

    __slots__ = ("awaited", "between_commands", "forget", "held", "question")

    def __init__(
        self,
        question: Callable[[Callable[..., None]], object],
        forget: Callable[[Callable[..., None]], object] | None = None,
        awaited: str = "an access token",
        *,
        between_commands: bool = False,
        held: bool = False,
    ) -> None:
        self.question = question
        self.forget = forget
        self.awaited = awaited
        self.between_commands = between_commands
        self.held = held


class Compute(_Awaiting):
    """Call ``function()`` on another thread, because it takes so long that it would stop the
    reactor.  The result is what it returns; what it raises is raised inside the dialogue."""

    __slots__ = ("function",)
    awaited = "the keys of the login"

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function


Step: TypeAlias = (
    Command | Pipeline | AwaitGreeting | StartTLS | Begin | Transmit | Hold | Commit | Ask | Compute
)

_T_co = TypeVar("_T_co", covariant=True)
Dialogue: TypeAlias = Generator[Step, Any, _T_co]
"""A conversation with the server that returns a value or raises :class:`SMTPError`."""


class TooEarly(Exception):
    """``reply`` arrived before the message had been sent to its end."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Unanswered(Exception):
    """The connection ended with ``error``, and of the replies to the step only ``replies`` have
    arrived; a message had been sent to its end.  The dialogue may still return or raise; its
    failure is ``error`` if it does not catch this."""

    def __init__(self, error: SMTPError, replies: list[Reply]) -> None:
        super().__init__(str(error))
        self.error = error
        self.replies = replies


class Ended(BaseException):
    """The connection ended with ``error``, in the middle of a step that raises no
    :class:`Unanswered`.  The dialogue may return what it has; its failure is ``error`` if it does
    not catch this; an ``except Exception`` does not."""

    def __init__(self, error: SMTPError) -> None:
        super().__init__(str(error))
        self.error = error


class Abandon(Exception):
    """Raised by a dialogue that failed with ``error`` and leaves the connection unusable.

    If there is a ``value``, it has nevertheless ended with that, and ``error`` is the connection's
    alone.
    """

    def __init__(self, error: SMTPError, value: object = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.value = value
