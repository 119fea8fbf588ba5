"""A message composed from a mail dict: its headers, and its parts in the order clients expect.

It is written here, and not by the email package, for three reasons: that holds every part in memory
several times over, it can neither wait for a part nor let others go on meanwhile, and how it writes
headers differs from one release to the next.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .addresses import mailboxes
from .body import Body
from .checks import line_of, mail_error, wrong_value
from .content import Content, content_of, files_of
from .dates import date_value
from .headers import address_value, message_ids, new_message_id, one_message_id, unfolded
from .mail import ADDRESS_FIELDS, FIELDS, Mail
from .parts import Multipart, Part, alternative, attachment, text_part
from .words import folded, text_value

if TYPE_CHECKING:
    from .. import types
    from ..types import Loaded

__all__ = ["Composed", "compose"]

_PRIORITIES = {
    "high": {"X-Priority": "1 (Highest)", "X-MSMail-Priority": "High", "Importance": "High"},
    "normal": {},
    "low": {"X-Priority": "5 (Lowest)", "X-MSMail-Priority": "Low", "Importance": "Low"},
}

_SMALL = 48 * 1024
"""Octets of a body that is encoded at once rather than when it is its turn."""


class Composed:
    """A composed message: an iterable of its bytes, which are written while they are asked for.

    Files are opened, and streams are read, by whoever iterates, who waits for them where they have
    to be waited for.  ``send`` takes this object as well, and lets the reactor wait.  A message
    that has a stream in it can be read only once.

    - ``segments`` (list of bytes and Body): what it consists of, in order
    """

    __slots__ = ("_mail", "segments")

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self.segments = _segments(mail)

    @property
    def envelope(self) -> dict[str, Any]:
        """``{'from': address, 'to': [address, ...]}``, a new dict each time: who sends it, and all
        who get it.  Raises ``SMTPError`` (``'EENVELOPE'``) for an address that cannot be read."""
        return self._mail.envelope()

    def __iter__(self) -> Iterator[bytes]:
        """Yield its bytes, piece by piece: lines that CRLF ends, dots not doubled.

        Raises ``SMTPError`` (``'EMESSAGE'``) for a content that cannot be read or not be sent.
        """
        for segment in self.segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                yield from filter(None, segment.pieces())

    def build(self) -> bytes:
        """Return all of it; raises as iterating over it does."""
        return b"".join(self)

    def size(self) -> int | None:
        """Return how many octets it has, the line break at its end included (RFC 1870 section 3);
        ``None`` if only reading it can tell.  A file counts with the size that it has now."""
        total, last = 0, b""
        for segment in self.segments:
            if isinstance(segment, bytes):
                total, last = total + len(segment), segment[-1:]
                continue
            size = segment.size()
            if size is None:
                return None
            total, last = total + size, segment.last()
        return total if last == b"\n" else total + 2

    def whole(self) -> bytes | None:
        """Return all of it if it is small and nothing has to be read, else ``None``."""
        if len(self.segments) == 1 and isinstance(self.segments[0], bytes):
            return self.segments[0]
        return None


def compose(mail: types.Message | Loaded) -> Composed:
    """Compose the message that ``mail`` describes, a dict as ``send`` takes it.

    It is 7-bit throughout, except for addresses that are not ASCII (RFC 6532), and it never has a
    Bcc header.  Raises :class:`SMTPError` with the code ``'EMESSAGE'`` for a value that cannot be
    sent (a line break in a header, for example).
    """
    return Composed(Mail(mail))


def _segments(mail: Mail) -> list[bytes | Body]:
    """Return the bytes and the bodies of the message, with few and large ones of the former."""
    if mail.is_empty:
        raise mail_error("Empty message")  # Node's words
    # Neither quoted-printable nor base64 contains '=_' (RFC 2045 6.7); in 7-bit text, a boundary
    # that is made of 128 random bits is not to be expected.
    base = f"=_{os.urandom(16).hex()}"
    headers = [*_address_headers(mail), *_other_headers(mail), ("MIME-Version", "1.0")]
    root = _root(mail, (f"{base}_{number}" for number in itertools.count(1)))
    is_multipart = isinstance(root, Multipart)
    segments: list[bytes | Body] = []
    written: list[bytes] = []
    for segment in root.segments(headers, f"--{base}".encode() if is_multipart else b""):
        if isinstance(segment, bytes):
            written.append(segment)
        elif segment.content.held is not None and len(segment.content.held) <= _SMALL:
            written += segment.pieces()
        else:
            segments += [b"".join(written), segment]
            written = []
        if sum(map(len, written)) > _SMALL:
            segments.append(b"".join(written))
            written = []
    if is_multipart:
        written.append(b"\r\n")
    return [*segments, b"".join(written)] if written else segments


def _address_headers(mail: Mail) -> Iterator[tuple[str, str]]:
    for field, name in ADDRESS_FIELDS.items():
        entries = mail.addresses(field)
        if entries and field != "bcc":
            yield name, address_value(name, entries)


def _other_headers(mail: Mail) -> Iterator[tuple[str, str]]:
    fields = mail.fields
    subject = line_of("subject", fields.get("subject", ""))
    if subject:
        yield "Subject", text_value("Subject", subject)
    yield "Date", date_value(fields.get("date", ""))
    yield "Message-ID", folded("Message-ID", [_message_id(mail)])
    for field in ("inReplyTo", "references"):
        ids = message_ids(field, unfolded(fields.get(field, "")))
        if ids:
            yield FIELDS[field], folded(FIELDS[field], ids)
    priority = str(fields.get("priority", "normal")).lower()
    if priority not in _PRIORITIES:
        raise wrong_value("priority", fields["priority"], "'high', 'normal' or 'low'")
    urgency = _PRIORITIES[priority]
    yield from urgency.items()
    ours = {name.lower() for name in urgency}
    for name, text in mail.headers:
        if name.lower() not in ours:
            yield name, text_value(name, text)


def _message_id(mail: Mail) -> str:
    given = mail.fields.get("messageId", "")
    if given != "":
        return one_message_id("messageId", given)
    authors = mailboxes(mail.addresses("sender") or mail.addresses("from"))
    return new_message_id(authors[0].address if authors else "")


def _root(mail: Mail, boundaries: Iterator[str]) -> Part | Multipart:
    """Nest the parts as mail clients expect: mixed, then alternative, then related."""
    fields = mail.fields
    text, html = (_text_of(fields, field) for field in ("text", "html"))
    attached: list[Part | Multipart] = []
    related: list[Part | Multipart] = []
    for number, (label, file) in enumerate(
        files_of("attachments", fields.get("attachments", ())), 1
    ):
        part = attachment(label, file, number)
        (related if html and "cid" in file else attached).append(part)
    versions: list[Part | Multipart] = [text_part("plain", text)] if text else []
    if html:
        page = text_part("html", html)
        versions.append(
            Multipart("related", [page, *related], next(boundaries), 'type="text/html"')
            if related
            else page
        )
    for label, file in files_of("alternatives", fields.get("alternatives", ())):
        versions.append(alternative(label, file))
    if len(versions) > 1:
        versions = [Multipart("alternative", versions, next(boundaries))]
    if attached:
        return Multipart("mixed", versions + attached, next(boundaries))
    return versions[0] if versions else text_part("plain", Content("text", held=""))


def _text_of(fields: Mapping[str, Any], field: str) -> Content | None:
    """Return the content of a text, ``None`` if there is none."""
    content = content_of(field, fields.get(field, ""))
    return None if content.held is not None and not content.held else content
