"""The dict that describes a mail.  It is read once; envelope and message are two views of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..options.names import NameTable
from .addresses import Group, Mailbox, envelope_of, mailboxes, read_addresses
from .checks import header_pairs, named_values, refuse_own_header, wrong_value

__all__ = ["ADDRESS_FIELDS", "FIELDS", "Mail"]

ADDRESS_FIELDS = {
    "from": "From",
    "sender": "Sender",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "replyTo": "Reply-To",
}
FIELDS = {
    **ADDRESS_FIELDS,
    "subject": "Subject",
    "date": "Date",
    "messageId": "Message-ID",
    "inReplyTo": "In-Reply-To",
    "references": "References",
}
_FIELD_OF_HEADER = {name.lower(): field for field, name in FIELDS.items()}

_AS_ALTERNATIVE = "give it in 'alternatives', with its 'contentType'"
_NAMES = NameTable(
    "field",
    (*FIELDS, "text", "html", "attachments", "alternatives", "headers", "priority"),
    {
        "amp": _AS_ALTERNATIVE,
        "icalEvent": _AS_ALTERNATIVE,
        "watchHtml": _AS_ALTERNATIVE,
        "list": "give the List-* headers in 'headers'",
        "envelope": "it is the first argument of send()",
        "raw": "hand the finished message itself to send()",
        "encoding": "each text gets the shortest encoding",
        "textEncoding": "each header gets the shortest encoding",
    },
)


class Mail:
    """A mail as a dict describes it, in the words of nodemailer's message fields.

    - ``from``, ``sender``, ``to``, ``cc``, ``bcc``, ``replyTo``: ``'a@x.org'`` or
      ``'Name <a@x.org>'``, several separated by commas, ``{'name', 'address'}``, or a list of these
    - ``subject`` (str), ``date`` (datetime, or str as in RFC 5322 or ISO 8601),
      ``priority`` (``'high'``, ``'normal'``, ``'low'``)
    - ``messageId``, ``inReplyTo``, ``references``: ids, with or without angle brackets
    - ``text``, ``html``: str, UTF-8 as bytes or from ``read()``, ``{'path'}`` or ``{'content'}``
    - ``attachments``, ``alternatives``: dicts of ``content`` or ``path``, ``filename``,
      ``contentType``, ``cid``, ``encoding`` (of a str), ``contentDisposition`` and ``headers``
    - ``headers``: name to text or texts, or a list of ``{'key', 'value'}``

    ``None`` stands for absent.  The attributes:

    - ``fields`` (dict): the values that are given, under these names, without ``headers``
    - ``headers`` (list of pairs): name and text of each header that is no field
    - ``is_empty`` (bool): whether nothing at all is given
    """

    __slots__ = ("_addresses", "fields", "headers", "is_empty")

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Read ``given``, and leave it as it is.

        Raises ``SMTPError`` (``'EMESSAGE'``) for a name that is unknown and for a header that
        cannot be sent.
        """
        self.fields = named_values(_NAMES, "mail", given)
        self.is_empty = not self.fields
        self.headers: list[tuple[str, str]] = []
        self._addresses: dict[str, list[Mailbox | Group]] = {}
        moved: dict[str, list[str]] = {}
        for name, text in header_pairs("headers", self.fields.pop("headers", {})):
            field = _FIELD_OF_HEADER.get(name.lower())
            if field is None:
                refuse_own_header("headers", name)
                self.headers.append((name, text))
            elif field not in self.fields:  # a field wins over its header, as in nodemailer
                moved.setdefault(field, []).append(text)
        for field, texts in moved.items():
            self.fields[field] = texts if len(texts) > 1 else texts[0]

    def addresses(self, field: str, code: str = "EMESSAGE") -> list[Mailbox | Group]:
        """Return the addresses of one of ``ADDRESS_FIELDS``, which are parsed only once.

        Raises ``SMTPError`` with ``code`` for an address that cannot be read, or that can be read
        in more than one way, and for a second ``sender``.
        """
        entries = self._addresses.get(field)
        if entries is None:
            value = self.fields.get(field)
            entries = read_addresses(field, value, code)
            if field == "sender" and len(mailboxes(entries)) > 1:
                raise wrong_value(field, value, "one address", code)
            self._addresses[field] = entries
        return entries

    def envelope(self) -> dict[str, Any]:
        """Return ``{'from': address, 'to': [address, ...]}``, see :func:`envelope_of`.

        Raises ``SMTPError`` (``'EENVELOPE'``) as :meth:`addresses` does.
        """
        return envelope_of(
            [box.address for box in mailboxes(self.addresses(field, "EENVELOPE"))]
            for field in ("sender", "from", "to", "cc", "bcc")
        )
