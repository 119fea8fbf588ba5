"""What ``sendMail`` tells of a mail."""

from __future__ import annotations

from typing import Any

from ..records import Reported, SendInfo

__all__ = ["ComposedInfo", "MailInfo"]


class MailInfo(SendInfo, keys=(*SendInfo._keys, "envelope", "messageId")):
    """What became of a mail: the ``info`` of the callback of ``sendMail``.

    It has all values of :class:`~smtp_connection.SendInfo`, and

    - ``envelope`` (dict): ``{'from': address, 'to': [address, ...]}``
    - ``messageId`` (str or None): the Message-ID of the mail, in angle brackets, where it has one
    """

    __slots__ = ("envelope", "messageId")

    def __init__(self, info: SendInfo, envelope: dict[str, Any], messageId: str | None) -> None:
        for name in SendInfo.__slots__:
            setattr(self, name, getattr(info, name))
        self.envelope = envelope
        self.messageId = messageId


class ComposedInfo(Reported):
    """What ``sendMail`` of a transport tells that sends nothing.

    - ``envelope`` (dict): ``{'from': address, 'to': [address, ...]}``
    - ``messageId`` (str or None): the Message-ID of the mail, in angle brackets
    - ``message``: the mail: an iterator of its bytes, or all of them (``buffer``); of the JSON
      transport, a str, or a dict (``skipEncoding``)
    """

    __slots__ = ("envelope", "messageId", "message")  # noqa: RUF023 - as in nodemailer

    def __init__(self, envelope: dict[str, Any], messageId: str | None, message: Any) -> None:
        self.envelope = envelope
        self.messageId = messageId
        self.message = message
