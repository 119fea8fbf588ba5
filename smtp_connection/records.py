"""Records that are read as attributes or as a dict, as listeners and callbacks get them."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from typing import Any

from .errors import SMTPError

__all__ = ["LogEntry", "Record", "SendInfo", "TLSInfo"]


class Record(Mapping[str, Any]):
    """A few named values, read as ``record.name`` or as ``record['name']``: a mapping whose keys
    are the names."""

    __slots__: tuple[str, ...] = ()

    _keys: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._keys = cls.__slots__

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


class _Reported(Record):
    """A record without secrets, which may be shown and kept."""

    __slots__ = ()

    def toJSON(self) -> dict[str, Any]:
        """Return a dict for ``json.dumps``: as in JavaScript, where ``JSON.stringify`` calls it.
        Errors in it become dicts, see :meth:`SMTPError.toJSON`."""
        return {name: _plain(value) for name, value in self.items()}


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.toJSON() if isinstance(value, SMTPError) else value


class LogEntry(_Reported):
    """One entry of the ``'log'`` event.

    - ``type``: ``'server'``, ``'client'``, ``'stream'`` (message content) or ``'socket'``
    - ``message`` (str): the text without its trailing line break; secrets are masked, and control
      characters of the server are escaped (all but the ``'\\n'`` between lines)
    """

    __slots__ = ("type", "message")  # noqa: RUF023 - the order in which Node shows them

    def __init__(self, type: str, message: str) -> None:
        self.type = type
        self.message = message


class SendInfo(_Reported):
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


class TLSInfo(_Reported):
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
