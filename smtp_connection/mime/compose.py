"""A message composed from a mail dict: its headers, and its parts in the order clients expect.

It is written here, and not by the email package, for three reasons: that holds every part in memory
several times over, it can neither wait for a part nor let others go on meanwhile, and how it writes
headers differs from one release to the next.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..options.checks import is_instance
from ..text import undecoded
from .addresses import mailboxes
from .body import Body
from .checks import line_of, mail_error, wrong_value
from .content import FILE, Access, Content, check_utf8, content_of, described, files_of
from .dataurls import without_data_urls
from .dates import date_value
from .filetypes import extension_of
from .headers import (
    address_value,
    header_value,
    message_ids,
    new_message_id,
    one_message_id,
    unfolded,
)
from .lists import list_headers
from .mail import ADDRESS_FIELDS, FIELDS, Mail
from .parts import Multipart, Part, PartMaker, RawPart, encoding_of
from .words import folded, text_value

if TYPE_CHECKING:
    from .. import types
    from ..options.dkim import DKIMOptions
    from ..types import Loaded

__all__ = ["Composed", "compose", "signed"]

_AnyPart = Part | RawPart | Multipart

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
    - ``mail`` (Mail): what it was composed of
    """

    __slots__ = ("mail", "segments")

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        self.segments = _Composer(mail).segments()

    @property
    def envelope(self) -> dict[str, Any]:
        """``{'from': address, 'to': [address, ...]}``, a new dict each time: who sends it, and all
        who get it.  Raises ``SMTPError`` (``'EENVELOPE'``) for an address that cannot be read."""
        return self.mail.envelope()

    def __iter__(self) -> Iterator[bytes]:
        """Return its bytes, piece by piece: lines that CRLF ends, dots not doubled.

        If the mail has ``dkim``, the first piece comes when all of it has been composed.  Raises
        ``SMTPError`` (``'EMESSAGE'``) for a content that cannot be read or not be sent.
        """
        dkim = self.mail.dkim
        return self.unsigned() if dkim is None else signed(self.unsigned(), dkim)

    def unsigned(self) -> Iterator[bytes]:
        """Yield its bytes without signatures, as iterating over it does."""
        for segment in self.segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                yield from filter(None, segment.pieces())

    def build(self) -> bytes:
        """Return all of it; raises as iterating over it does."""
        return b"".join(self)

    def check(self, rules: Mapping[str, bool]) -> None:
        """Raise ``SMTPError`` if it may not be sent under ``rules``, see :class:`Mail`."""
        if "keepBcc" in self.mail.fields:
            text = "'keepBcc' is for compose(): a message that is sent has no Bcc"
            raise mail_error(text)
        access = Access(files=not rules.get("disableFileAccess"))
        if self.mail.dkim is not None and self.mail.dkim.folder is not None:
            access.check_path("dkim.cacheDir", self.mail.dkim.folder)
        for segment in self.segments:
            if isinstance(segment, Body) and segment.content.path is not None:
                access.check_path(segment.content.label, segment.content.path)

    @property
    def is_8bit(self) -> bool:
        """Whether a part of it is written in 8bit."""
        return any(isinstance(each, Body) and each.encoding == "8bit" for each in self.segments)

    def size(self) -> int | None:
        """Return how many octets it has, the line break at its end included (RFC 1870 section 3),
        and signatures left out; ``None`` if only reading it can tell.  A file counts with the size
        that it has now."""
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


def signed(pieces: Iterable[bytes], dkim: DKIMOptions) -> Iterator[bytes]:
    """Yield the message that consists of ``pieces``, signed; the first piece comes when all of them
    have been read.  Raises ``SMTPError`` (``'EMESSAGE'``) if it cannot be signed."""
    from ..dkim.spool import CannotSign, signed_pieces

    try:
        yield from signed_pieces(pieces, dkim.spool())
    except CannotSign as error:
        raise mail_error(str(error)) from error


def compose(mail: types.Message | Loaded) -> Composed:
    """Compose the message that ``mail`` describes, a dict as ``send`` takes it.

    Raises :class:`SMTPError` with the code ``'EMESSAGE'`` for a value that cannot be sent (a line
    break in a header, for example), ``'EFILEACCESS'`` for a file that may not be read.
    """
    return Composed(Mail(mail))


# Between the hyphens of a delimiter and the end of a boundary (RFC 2046 5.1.1).
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{0,24}")


class _Composer:
    """Writes the message that one mail describes."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._fields = fields = mail.fields
        base = _boundary_of("baseBoundary", fields) or os.urandom(16).hex()
        # Neither quoted-printable nor base64 contains '=_' (RFC 2045 6.7); in 7-bit text, a
        # boundary that is made of 128 random bits is not to be expected.
        self._base = f"{_boundary_of('boundaryPrefix', fields)}=_{base}"
        self._numbers = itertools.count(1)  # of boundaries
        self._words = _word_encoding(fields.get("textEncoding", ""))
        encoding = fields.get("encoding", "")
        self._maker = PartMaker(
            mail.access,
            encoding_of("encoding", encoding) if encoding else "",
            self._words,
            f"--{self._base}".encode(),
        )
        self._event: _AnyPart | None = None  # the file of a calendar event

    def segments(self) -> list[bytes | Body]:
        """Return the bytes and the bodies of the message, with few and large ones of the former."""
        if self._mail.is_empty:
            raise mail_error("Empty message")  # Node's words
        headers: list[tuple[str, str]] = []
        root: _AnyPart
        if "raw" in self._fields:
            root = _raw_message(self._mail)
        else:
            headers = [*self._address_headers(), *self._other_headers(), ("MIME-Version", "1.0")]
            root = self._root()
        is_multipart = isinstance(root, Multipart)
        delimiter = f"--{self._base}".encode() if is_multipart else b""
        segments: list[bytes | Body] = []
        written: list[bytes] = []
        for segment in root.segments(headers, delimiter):
            if isinstance(segment, bytes):
                written.append(segment)
            elif _is_small(segment):
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

    # -- headers ----------------------------------------------------------------------------------

    def _address_headers(self) -> Iterator[tuple[str, str]]:
        for field, name in ADDRESS_FIELDS.items():
            entries = self._mail.addresses(field)
            if entries and (field != "bcc" or "keepBcc" in self._fields):
                yield name, address_value(name, entries, self._words)

    def _other_headers(self) -> Iterator[tuple[str, str]]:
        fields = self._fields
        subject = line_of("subject", fields.get("subject", ""))
        if subject:
            yield "Subject", text_value("Subject", subject, self._words)
        yield "Date", date_value(fields.get("date", ""))
        yield "Message-ID", folded("Message-ID", [self._message_id()])
        for field in ("inReplyTo", "references"):
            ids = message_ids(field, unfolded(fields.get(field, "")))
            if ids:
                yield FIELDS[field], folded(FIELDS[field], ids)
        mailer = line_of("xMailer", fields.get("xMailer", ""))
        if mailer:
            yield "X-Mailer", text_value("X-Mailer", mailer, self._words)
        priority = str(fields.get("priority", "normal")).lower()
        if priority not in _PRIORITIES:
            raise wrong_value("priority", fields["priority"], "'high', 'normal' or 'low'")
        urgency = _PRIORITIES[priority]
        yield from urgency.items()
        if "list" in fields:
            yield from list_headers(fields["list"])
        ours = {name.lower() for name in urgency}
        for name, text in self._mail.headers:
            if name.lower() not in ours:
                yield name, header_value(name, text, self._words)

    def _message_id(self) -> str:
        given = self._fields.get("messageId", "")
        if given != "":
            return one_message_id("messageId", given)
        authors = mailboxes(self._mail.addresses("sender") or self._mail.addresses("from"))
        return new_message_id(authors[0].address if authors else "")

    # -- parts ------------------------------------------------------------------------------------

    def _root(self) -> _AnyPart:
        """Nest the parts as mail clients expect: mixed, then alternative, then related."""
        attachments = files_of("attachments", self._fields.get("attachments", ()))
        versions = self._versions(attachments)
        pages = [place for place, part in enumerate(versions) if part.kind.lower() == "text/html"]
        attached: list[_AnyPart] = []
        related: list[_AnyPart] = []
        for number, (label, file) in enumerate(attachments, 1):
            part = self._maker.attachment(label, file, number)
            (related if pages and "cid" in file else attached).append(part)
        if self._event is not None:
            attached.append(self._event)
        if related:
            page = versions[pages[-1]]
            versions[pages[-1]] = self._multipart("related", [page, *related], 'type="text/html"')
        if len(versions) > 1:
            versions = [self._multipart("alternative", versions)]
        if attached or (versions and isinstance(versions[0], RawPart)):
            return self._multipart("mixed", versions + attached)
        return versions[0] if versions else self._maker.empty()

    def _versions(self, attachments: list[tuple[str, dict[str, Any]]]) -> list[_AnyPart]:
        """Return the alternatives, in nodemailer's order; images that are taken out of the page
        are added to ``attachments``."""
        fields, make = self._fields, self._maker
        page = fields.get("html", "")
        if "attachDataUrls" in fields and "html" in fields:
            page = self._without_data_urls(page, attachments)
        event = make.event(fields["icalEvent"]) if fields.get("icalEvent") else None
        self._event = event[1] if event else None
        texts = [
            make.text("text", "plain", fields.get("text", "")),
            make.text("watchHtml", "watch-html", fields.get("watchHtml", "")),
            make.text("amp", "x-amp-html", fields.get("amp", "")),
            make.text("html", "html", page),
            event[0] if event else None,
        ]
        versions: list[_AnyPart] = [part for part in texts if part is not None]
        for label, file in files_of("alternatives", fields.get("alternatives", ())):
            versions.append(make.alternative(label, file))
        return versions

    def _multipart(self, subtype: str, parts: list[_AnyPart], *parameters: str) -> Multipart:
        boundary = f"{self._base}_{next(self._numbers)}"
        return Multipart(subtype, parts, boundary, *parameters)

    def _without_data_urls(
        self, given: Any, attachments: list[tuple[str, dict[str, Any]]]
    ) -> str | Any:
        """Return the page ``given`` with references to attachments in place of images in it."""
        page = content_of("html", given, self._mail.access)
        if page.path is not None and page.size() is not None:
            page = Content("html", held=b"".join(page.pieces()))
        if page.held is None:
            takes = "a page that is there if 'attachDataUrls' is set, or a file"
            raise wrong_value("html", given, takes)
        if isinstance(page.held, bytes):
            check_utf8(page)
        found: list[dict[str, Any]] = []

        def attach(url: str) -> str:
            number = len(found) + 1
            file = described(FILE, f"html (image {number})", {"path": url})
            kind = str(file["contentType"]).partition(";")[0].strip()
            # With a fixed boundary all of the message is the same each time.
            cid = f"image-{number}.{self._base.rpartition('_')[2]}@localhost"
            found.append({**file, "cid": cid, "filename": f"image-{number}{extension_of(kind)}"})
            return f"cid:{cid}"

        text = without_data_urls(page.octets().decode(), attach)
        attachments += [(f"html (image {number})", file) for number, file in enumerate(found, 1)]
        return text


def _boundary_of(field: str, fields: Mapping[str, Any]) -> str:
    value = fields.get(field, "")
    if not isinstance(value, str) or not _BOUNDARY.fullmatch(value):
        raise wrong_value(field, value, "at most 24 characters that a boundary may have")
    return value


_WORD_ENCODINGS = {"": "", "q": "Q", "quoted-printable": "Q", "b": "B", "base64": "B"}


def _word_encoding(given: object) -> str:
    letter = _WORD_ENCODINGS.get(given.lower()) if isinstance(given, str) else None
    if letter is None:
        raise wrong_value("textEncoding", given, "'quoted-printable' ('Q') or 'base64' ('B')")
    return letter


def _is_small(body: Body) -> bool:
    """Whether ``body`` is encoded at once."""
    held = body.content.held
    return held is not None and len(held) <= _SMALL and body.encoding != "8bit"


def _raw_message(mail: Mail) -> RawPart:
    """Return the finished message of a mail."""
    raw = mail.fields["raw"]
    if is_instance(raw, "email.message", "Message"):
        from .email_message import segments

        parts = segments(raw)
        if len(parts) > 1:
            return RawPart(*(Content("raw", held=_ascii_or_bytes(part)) for part in parts))
        raw = _ascii_or_bytes(parts[0])
    content = content_of("raw", raw, mail.access)
    if content.held is not None and not content.held:
        raise mail_error("Empty message")
    return RawPart(content)


def _ascii_or_bytes(part: bytes | str) -> bytes | str:
    return part if isinstance(part, bytes) or part.isascii() else undecoded(part)
