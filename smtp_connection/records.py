"""Records that are read as attributes or as a dict, as listeners and callbacks get them."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Sequence
from typing import Any, Protocol

from .errors import SMTPError
from .status import split_status

__all__ = [
    "LogEntry",
    "Record",
    "RecipientInfo",
    "Reported",
    "Said",
    "SendInfo",
    "TLSInfo",
    "recipients_told",
]


class Record(Mapping[str, Any]):
    """A few named values, read as ``record.name`` or as ``record['name']``: a mapping whose keys
    are the names."""

    __slots__: tuple[str, ...] = ()

    _keys: tuple[str, ...] = ()

    def __init_subclass__(cls, keys: tuple[str, ...] = ()) -> None:
        """``keys`` are the names, where they are others than the slots."""
        super().__init_subclass__()
        cls._keys = keys or cls.__slots__

    def __getitem__(self, name: str) -> Any:
        if name in self._keys:
            return getattr(self, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return KeysView(self)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value called ``name``, or ``default`` where there is none of that name."""
        return getattr(self, name) if name in self._keys else default

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self)
        return f"{type(self).__name__}({values})"


class Reported(Record):
    """A record without secrets, which may be shown and kept."""

    __slots__ = ()

    def toJSON(self) -> dict[str, Any]:
        """Return a dict for ``json.dumps``: as in JavaScript, where ``JSON.stringify`` calls it.
        Errors in it become dicts, see :meth:`SMTPError.toJSON`."""
        return {name: _plain(value) for name, value in self.items()}


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.toJSON() if isinstance(value, (SMTPError, Reported)) else value


class LogEntry(Reported):
    """One entry of the ``'log'`` event.

    - ``type``: ``'server'``, ``'client'``, ``'stream'`` (message content) or ``'socket'``
    - ``message`` (str): the text without its trailing line break; secrets are masked, and control
      characters of the server are escaped (all but the ``'\\n'`` between lines)
    """

    __slots__ = ("type", "message")  # noqa: RUF023 - the order in which Node shows them

    def __init__(self, type: str, message: str) -> None:
        self.type = type
        self.message = message


class Said(Protocol):
    """A reply of the server's."""

    @property
    def code(self) -> int:
        """Its number."""

    @property
    def text(self) -> str:
        """All of it, code included."""


class RecipientInfo(Reported):
    """What the server has said of one recipient: an entry of ``info.recipients``.

    - ``address`` (str): the recipient, as it was given
    - ``accepted`` (bool): whether the message is accepted for it
    - ``code`` (int or None): the number of the reply: over SMTP that to RCPT, over LMTP the verdict
      on the message where there is one; ``None`` if the connection ended before the verdict came
    - ``enhancedCode`` (str or None): its enhanced status code (RFC 3463): ``'2.1.5'``
    - ``text`` (str): what follows the codes
    """

    __slots__ = ("address", "accepted", "code", "enhancedCode", "text")  # noqa: RUF023

    def __init__(self, address: str, reply: Said | None) -> None:
        self.address = address
        self.accepted = reply is not None and 200 <= reply.code < 300
        self.code = None if reply is None else reply.code
        self.enhancedCode, self.text = (None, "") if reply is None else split_status(reply.text)


def recipients_told(
    addresses: Sequence[str], replies: Sequence[Said | None]
) -> list[RecipientInfo]:
    """Return what ``replies`` say of ``addresses``, one of each."""
    return [RecipientInfo(*each) for each in zip(addresses, replies, strict=True)]


_SEND_INFO_KEYS = (
    "accepted",
    "rejected",
    "rejectedErrors",
    "recipients",
    "response",
    "enhancedCode",
    "envelopeTime",
    "messageTime",
    "messageSize",
    "ehlo",
    "serverMessageId",
)


class SendInfo(Reported, keys=_SEND_INFO_KEYS):
    """What became of a message: the ``info`` of the callback of ``send``.

    - ``accepted``, ``rejected`` (list of str): the recipients, as they were given
    - ``rejectedErrors`` (list of SMTPError): one for each rejected recipient, in the same order
    - ``recipients`` (list of RecipientInfo): what the server has said of each, in the order of the
      envelope
    - ``response`` (str): the server's last reply
    - ``enhancedCode`` (str or None): its enhanced status code (RFC 3463): ``'2.0.0'``
    - ``envelopeTime``, ``messageTime`` (int): ms spent on the envelope and on the message
    - ``messageSize`` (int): bytes of the message on the wire, dots and the final one included
    - ``ehlo`` (list of str): the lines in which the server announced its extensions
    - ``serverMessageId`` (str or None): the Message-ID that the server gave the message, where its
      reply names one in a known form (Microsoft 365, Amazon SES)
    """

    __slots__ = (
        "_addresses",
        "_recipients",
        "_replies",
        "accepted",
        "ehlo",
        "envelopeTime",
        "messageSize",
        "messageTime",
        "rejected",
        "rejectedErrors",
        "response",
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
        addresses: Sequence[str] = (),
        replies: Sequence[Said | None] = (),
    ) -> None:
        """``replies`` are what ``recipients`` is made of, one for each of ``addresses``."""
        self.accepted = accepted
        self.rejected = rejected
        self.rejectedErrors = rejectedErrors
        self.response = response
        self.envelopeTime = envelopeTime
        self.messageTime = messageTime
        self.messageSize = messageSize
        self.ehlo = ehlo
        self.serverMessageId = serverMessageId
        # Kept as they are: few ask for what is made of them, and that would cost 2 us a recipient.
        self._addresses = addresses
        self._replies = replies
        self._recipients: list[RecipientInfo] | None = None

    @property
    def recipients(self) -> list[RecipientInfo]:
        """What the server has said of each recipient, in the order of the envelope."""
        if self._recipients is None:
            self._recipients = recipients_told(self._addresses, self._replies)
        return self._recipients

    @property
    def enhancedCode(self) -> str | None:
        """The enhanced status code of ``response`` (RFC 3463), where it has one."""
        return split_status(self.response)[0]


class TLSInfo(Reported):
    """What the TLS handshake has agreed on: ``connection.tls``.

    - ``version`` (str): ``'TLSv1.3'``, say
    - ``cipher`` (str): the name of the cipher suite
    - ``certificate`` (dict): the server's certificate, in the form of ``SSLSocket.getpeercert()``,
      also if it was not verified; empty where Python does not tell
    - ``chain`` (list of dict): what the server has sent, its own certificate first
    - ``resumed`` (bool): an earlier session was taken up again
    """

    __slots__ = (  # noqa: RUF023 - what is asked for first comes first
        "version",
        "cipher",
        "certificate",
        "chain",
        "resumed",
    )

    def __init__(
        self, version: str, cipher: str, chain: list[dict[str, Any]], resumed: bool
    ) -> None:
        self.version = version
        self.cipher = cipher
        self.certificate = chain[0] if chain else {}
        self.chain = chain
        self.resumed = resumed
