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
    "Dialogue",
    "Pipeline",
    "StartTLS",
    "Step",
    "TooEarly",
    "Transmit",
    "Unanswered",
]


class Command:
    """Send one command; the result is its :class:`Reply`.

    ``shown_as`` is what the log gets instead of ``line``, where that carries a secret;
    ``reveals`` is the mechanism, if it is one that tells the secret to whoever listens.
    """

    __slots__ = ("line", "reveals", "shown_as")

    def __init__(self, line: str, shown_as: str | None = None, reveals: str | None = None) -> None:
        self.line = line
        self.shown_as = shown_as
        self.reveals = reveals


class Pipeline:
    """Send several commands in one write (RFC 2920); the result is the list of their replies."""

    __slots__ = ("lines",)

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines


class AwaitGreeting:
    """Send nothing; the result is the server's first :class:`Reply`."""

    __slots__ = ()


class StartTLS:
    """Upgrade the connection to TLS; there is no result, a failure ends the connection."""

    __slots__ = ()


class Begin:
    """Wait until the first piece of the message is there.

    If there is none, the :class:`SMTPError` that tells why is raised inside the dialogue.
    """

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message


class Transmit:
    """Send the message and its final dot; the result is the list of the ``replies`` replies.

    Raised inside the dialogue: :class:`TooEarly`, :class:`Unanswered`, or the :class:`SMTPError` of
    a source that fails.
    """

    __slots__ = ("message", "replies")

    def __init__(self, message: Message, replies: int = 1) -> None:
        self.message = message
        self.replies = replies


class Ask:
    """Call ``question(answer)``, and wait until it calls ``answer(err, value)`` from any thread.

    The result is ``value``; an ``err``, or what ``question`` raises, is raised inside the dialogue.
    """

    __slots__ = ("question",)

    def __init__(self, question: Callable[[Callable[..., None]], object]) -> None:
        self.question = question


Step: TypeAlias = Command | Pipeline | AwaitGreeting | StartTLS | Begin | Transmit | Ask

_T_co = TypeVar("_T_co", covariant=True)
Dialogue: TypeAlias = Generator[Step, Any, _T_co]
"""A conversation with the server that ends in a value, or in an :class:`SMTPError`."""


class TooEarly(Exception):
    """``reply`` arrived before the message had been sent to its end."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Unanswered(Exception):
    """The connection ended with ``error`` when the message had been sent to its end, and of the
    replies to it there were only ``replies``.  The dialogue may still return or raise."""

    def __init__(self, error: SMTPError, replies: list[Reply]) -> None:
        super().__init__(str(error))
        self.error = error
        self.replies = replies


class Abandon(Exception):
    """Raised by a dialogue that failed with ``error`` and leaves a connection nobody can use."""

    def __init__(self, error: SMTPError) -> None:
        super().__init__(str(error))
        self.error = error
