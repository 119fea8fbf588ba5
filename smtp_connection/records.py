"""Records that are read as attributes or as a dict, as listeners and callbacks get them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import SMTPError

__all__ = ["LogEntry", "Record", "SendInfo"]


class Record:
    """A few named values, read as ``record.name`` or as ``record['name']``."""

    __slots__: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        if name in self.keys():
            return getattr(self, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> tuple[str, ...]:
        """Return the names, so that ``dict(record)`` works."""
        return self.__slots__

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value called ``name``, or ``default`` where there is none of that name."""
        return getattr(self, name) if name in self.keys() else default

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self)
        return f"{type(self).__name__}({values})"


class LogEntry(Record):
    """One entry of the ``'log'`` event.

    - ``type``: ``'server'``, ``'client'``, ``'stream'`` (message content) or ``'socket'``
    - ``message`` (str): the text without its trailing line break; secrets are masked, and control
      characters of the server are escaped (all but the ``'\\n'`` between lines)
    """

    __slots__ = ("type", "message")  # noqa: RUF023 - the order in which Node shows them

    def __init__(self, type: str, message: str) -> None:
        self.type = type
        self.message = message


class SendInfo(Record):
    """What became of a message: the ``info`` of the callback of ``send``.

    - ``accepted``, ``rejected`` (list of str): the recipients, as they were given
    - ``rejectedErrors`` (list of SMTPError): one for each rejected recipient, in the same order
    - ``response`` (str): the server's last reply
    - ``envelopeTime``, ``messageTime`` (int): ms spent on the envelope and on the message
    - ``messageSize`` (int): bytes of the message on the wire, dots and the final one included
    - ``ehlo`` (list of str): the lines in which the server announced its extensions
    - ``serverMessageId`` (str or None): the Message-ID that the server gave the message, where its
      reply names one in a known form (Microsoft 365, Amazon SES)
    """

    __slots__ = (  # noqa: RUF023 - what callers ask for first comes first
        "accepted",
        "rejected",
        "rejectedErrors",
        "response",
        "envelopeTime",
        "messageTime",
        "messageSize",
        "ehlo",
        "serverMessageId",
    )

    def __init__(
        self,
        accepted: list[str],
        rejected: list[str],
        rejectedErrors: list[SMTPError],
        response: str,
        envelopeTime: int,
        messageTime: int,
        messageSize: int,
        ehlo: list[str],
        serverMessageId: str | None = None,
    ) -> None:
        self.accepted = accepted
        self.rejected = rejected
        self.rejectedErrors = rejectedErrors
        self.response = response
        self.envelopeTime = envelopeTime
        self.messageTime = messageTime
        self.messageSize = messageSize
        self.ehlo = ehlo
        self.serverMessageId = serverMessageId
