"""The parts of a message: texts, attachments, alternatives and a calendar event."""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..options.names import NameTable
from .body import Body
from .checks import header_pairs, line_of, mail_error, refuse_own_header, wrong_value
from .content import (
    Access,
    Content,
    check_utf8,
    content_of,
    described,
    described_content,
)
from .filetypes import OPAQUE, extension_of, type_of
from .headers import header_value, one_message_id, parameter_words, value_with_parameters
from .transfer import base64_size
from .words import LINE, LONGEST_LINE, folded, header_block

__all__ = ["Multipart", "Part", "PartMaker", "RawPart", "encoding_of"]

_TOKEN = r"[\w!#$%&'*+.^`{|}~-]+"
_PARAMETER = rf'{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_PARAMETER})*", re.ASCII)

_TEXT = NameTable(
    "field",
    ("content", "path", "href", "raw", "encoding", "contentTransferEncoding", "headers"),
)
_EVENT = NameTable(
    "field", ("method", "filename", "content", "path", "href", "encoding", "headers")
)

_ENCODINGS = ("7bit", "8bit", "quoted-printable", "base64")


class Part:
    """A part with a content: its ``headers``, names and values as they are written, and ``body``
    (Body)."""

    __slots__ = ("body", "headers", "kind")

    def __init__(self, kind: str, parameters: list[str], body: Body) -> None:
        """``kind`` is the media type, ``parameters`` are written."""
        self.kind = kind
        self.headers = [
            ("Content-Type", value_with_parameters("Content-Type", kind, parameters)),
            ("Content-Transfer-Encoding", body.encoding),
        ]
        self.body = body

    def segments(self, headers: list[tuple[str, str]], delimiter: bytes) -> Iterator[bytes | Body]:
        """Yield the bytes and the bodies that it consists of, in order.

        ``headers`` go in front of its own; ``delimiter`` is what all delimiters around it begin
        with.
        """
        self.body.delimiter = delimiter
        yield header_block([*headers, *self.headers])
        yield self.body


class RawPart:
    """A part, or a message, that is finished: its headers are in its content, which may be in
    several pieces."""

    __slots__ = ("bodies", "kind")

    def __init__(self, *contents: Content) -> None:
        self.kind = ""
        self.bodies = [Body(content, "") for content in contents]

    def segments(self, headers: list[tuple[str, str]], delimiter: bytes) -> Iterator[bytes | Body]:
        """Yield its bodies; nobody has headers for it."""
        assert not headers
        for body in self.bodies:
            body.delimiter = delimiter
            yield body


class Multipart:
    """A part that consists of ``parts``."""

    __slots__ = ("_boundary", "headers", "kind", "parts")

    def __init__(
        self,
        subtype: str,
        parts: list[Part | RawPart | Multipart],
        boundary: str,
        *parameters: str,
    ) -> None:
        self.kind = f"multipart/{subtype}"
        value = value_with_parameters(
            "Content-Type", self.kind, [*parameters, f'boundary="{boundary}"']
        )
        self.headers = [("Content-Type", value)]
        self.parts = parts
        self._boundary = boundary.encode()

    def segments(self, headers: list[tuple[str, str]], delimiter: bytes) -> Iterator[bytes | Body]:
        """Yield the bytes and the bodies that it consists of, see :meth:`Part.segments`."""
        yield header_block([*headers, *self.headers])
        start = b"--"
        for part in self.parts:
            yield start + self._boundary + b"\r\n"
            yield from part.segments([], delimiter)
            start = b"\r\n--"
        yield b"\r\n--" + self._boundary + b"--"


class PartMaker:
    """Makes the parts of one message of what its mail gives."""

    def __init__(self, access: Access, encoding: str, word_encoding: str, delimiter: bytes) -> None:
        """``access`` is what contents may be read from; ``encoding`` the transfer encoding of
        texts, ``''`` for the shortest; ``word_encoding`` that of headers; ``delimiter`` what all
        delimiters begin with."""
        self._access = access
        self._encoding = encoding
        self._word_encoding = word_encoding
        self._delimiter = delimiter

    # -- texts ------------------------------------------------------------------------------------

    def text(self, field: str, subtype: str, given: object) -> Part | RawPart | None:
        """Make the part of a text in UTF-8; ``None`` if there is no text."""
        values: dict[str, Any] = {}
        if isinstance(given, Mapping):
            values = described(_TEXT, field, given)
            content = described_content(field, values, self._access)
            if "raw" in values:
                return self._raw(field, values, content)
        else:
            content = content_of(field, given, self._access)
        if content.held is not None and not content.held:
            return None
        encoding = self._chosen(field, values) or self._encoding
        body = self._text_body(content, encoding, is_utf8=True)
        part = Part(f"text/{subtype}", ["charset=utf-8"], body)
        self._add_headers(part, field, values)
        return part

    def _text_body(self, content: Content, encoding: str, *, is_utf8: bool = False) -> Body:
        """Return the body of a text; ``is_utf8``: bytes have to be UTF-8."""
        if content.held is not None and is_utf8 and isinstance(content.held, bytes):
            check_utf8(content)
        body = Body(content, encoding or self._best(content), is_text=True, is_utf8=is_utf8)
        return self._checked(body)

    def _best(self, content: Content) -> str:
        """Return the transfer encoding for text, some of which may have to be waited for."""
        if content.held is None:
            return "quoted-printable"
        data = content.octets()
        plain = not re.search(rb"[^\t\r\n -~]", data)
        short = not re.search(rb"[^\r\n]{%d}" % (LINE + 3), data)
        # What its author knows of a fixed boundary must not end its part.
        if plain and short and self._delimiter not in data:
            return "7bit"
        # Text that people can read without a decoder is worth half as many bytes again.
        if len(data) <= LINE:
            printable = len(binascii.b2a_qp(data))
        else:
            printable = (len(data) + 2 * len(data.translate(None, _PRINTABLE))) * 78 // 75
        return "quoted-printable" if printable < 1.5 * base64_size(len(data)) else "base64"

    def _chosen(self, field: str, given: Mapping[str, Any]) -> str:
        """Return the transfer encoding that is given, ``''`` for none."""
        value = given.get("contentTransferEncoding") or ""
        return encoding_of(f"{field}.contentTransferEncoding", value) if value else ""

    def _checked(self, body: Body) -> Body:
        """Return ``body``; raise ``SMTPError`` if its encoding cannot express what is there."""
        if body.encoding in ("7bit", "8bit") and body.content.held is not None:
            body.delimiter = self._delimiter
            for _ in body.pieces():
                pass
        return body

    def empty(self) -> Part:
        """Make the part of a message without any content."""
        return Part("text/plain", ["charset=utf-8"], Body(Content("text", held=""), "7bit"))

    # -- files ------------------------------------------------------------------------------------

    def attachment(self, field: str, given: Mapping[str, Any], number: int) -> Part | RawPart:
        """Make the part of the attachment ``given``; ``number`` names a file that has no name."""
        content = described_content(field, given, self._access)
        if "raw" in given:
            return self._raw(field, given, content)
        filename = _filename(field, given)
        kind, parameters = _content_type(field, given, filename or "", OPAQUE)
        if filename is None:
            filename = f"attachment-{number}{extension_of(kind)}"
        part = self._file(field, given, content, kind, parameters)
        usual = "inline" if "cid" in given else "attachment"
        self._add_disposition(part, field, given, filename, usual)
        self._add_headers(part, field, given)
        return part

    def alternative(self, field: str, given: Mapping[str, Any]) -> Part | RawPart:
        """Make the part of the alternative ``given``; what was given as str stays readable text."""
        content = described_content(field, given, self._access)
        if "raw" in given:
            return self._raw(field, given, content)
        filename = _filename(field, given) or ""
        kind, parameters = _content_type(field, given, filename, "text/plain")
        part = self._file(field, given, content, kind, parameters, readable=True)
        usual = "inline" if filename else None
        self._add_disposition(part, field, given, filename, usual)
        self._add_headers(part, field, given)
        return part

    def _raw(self, field: str, given: Mapping[str, Any], content: Content) -> RawPart:
        others = sorted(set(given) - {"raw", "encoding", "cid"})
        if others:
            raise mail_error(f"{field!r}: 'raw' is all of a part; {others[0]!r} cannot be added")
        return RawPart(content)

    def _file(
        self,
        field: str,
        given: Mapping[str, Any],
        content: Content,
        kind: str,
        parameters: list[str],
        *,
        readable: bool = False,
    ) -> Part:
        """Make the part of a file; ``readable``: encode a str as text, not as an opaque file."""
        is_text = kind.lower().startswith("text/")
        chosen = self._chosen(field, given)
        named = [word[8:].strip('"') for word in parameters if word.lower().startswith("charset=")]
        charset = named[0].lower() if named else "utf-8"
        if isinstance(content.held, str):
            if is_text and not named:
                parameters = [*parameters, "charset=utf-8"]
            if charset != "utf-8":
                _encode(content, charset)
            elif readable and is_text:
                return Part(kind, parameters, self._text_body(content, chosen or self._encoding))
        elif charset not in ("utf-8", "us-ascii"):
            content.takes_text = False
        if kind.lower() == "message/rfc822":
            return self._message(field, content, kind, parameters, chosen)
        if readable and is_text:
            chosen = chosen or self._encoding
        chosen = chosen or "base64"
        body = Body(content, chosen, is_text=is_text and chosen != "base64")
        return Part(kind, parameters, self._checked(body))

    def _message(
        self, field: str, content: Content, kind: str, parameters: list[str], chosen: str
    ) -> Part:
        """Make the part of a message that is attached, which may not be encoded
        (RFC 2046 5.2.1): if it is not known to be 7-bit, it travels as a plain file."""
        if not chosen and content.held is not None and _is_seven_bit(content.octets()):
            chosen = "7bit"
        if chosen in ("7bit", "8bit"):
            return Part(kind, parameters, self._checked(Body(content, chosen, is_text=True)))
        if chosen:
            takes = f"'7bit' or '8bit' for {kind}, which may not be encoded"
            raise wrong_value(f"{field}.contentTransferEncoding", chosen, takes)
        return Part(OPAQUE, [], Body(content, "base64"))

    # -- a calendar event -------------------------------------------------------------------------

    def event(self, given: object) -> tuple[Part, Part]:
        """Make the two parts of a calendar event: what clients show, and the file."""
        field = "icalEvent"
        values: dict[str, Any] = {}
        if isinstance(given, Mapping):
            values = described(_EVENT, field, given)
            values.pop("contentType", None)
            content = described_content(field, values, self._access)
        else:
            content = content_of(field, given, self._access)
        method = line_of(f"{field}.method", values.get("method", "PUBLISH")).strip(" \t").upper()
        if not re.fullmatch(_TOKEN, method, re.ASCII):
            raise wrong_value(f"{field}.method", method, "a word such as 'REQUEST'")
        filename = _filename(field, {**values, "path": ""}) or "invite.ics"
        again = content.twin()
        shown = Part(
            "text/calendar",
            ["charset=utf-8", f"method={method}"],
            self._text_body(content, self._encoding),
        )
        file = Part("application/ics", [], Body(again, "base64"))
        self._add_disposition(file, field, {}, filename, "attachment")
        for part in (shown, file):
            self._add_headers(part, field, values)
        return shown, file

    # -- headers ----------------------------------------------------------------------------------

    def _add_disposition(
        self,
        part: Part,
        field: str,
        given: Mapping[str, Any],
        filename: str,
        usual: str | None,
    ) -> None:
        """Add the Content-Disposition, ``usual`` unless another one is given."""
        disposition = given.get("contentDisposition", usual)
        if disposition is None:
            return
        if disposition not in ("inline", "attachment"):
            takes = "'inline' or 'attachment'"
            raise wrong_value(f"{field}.contentDisposition", disposition, takes)
        parameters = parameter_words("filename", filename) if filename else []
        name = "Content-Disposition"
        part.headers.append((name, value_with_parameters(name, disposition, parameters)))

    def _add_headers(self, part: Part, field: str, given: Mapping[str, Any]) -> None:
        """Add the Content-ID, and the headers of the caller's own."""
        if "cid" in given:
            content_id = one_message_id(f"{field}.cid", given["cid"])
            part.headers.append(("Content-ID", folded("Content-ID", [content_id])))
        for name, text in header_pairs(f"{field}.headers", given.get("headers", {})):
            refuse_own_header(f"{field}.headers", name)
            part.headers.append((name, header_value(name, text, self._word_encoding)))


# What quoted-printable writes as it is.
_PRINTABLE = bytes([9, 10, 13, *range(32, 61), *range(62, 127)])


def encoding_of(field: str, value: object) -> str:
    """Return the transfer encoding called ``value``, in whatever case."""
    name = value.lower() if isinstance(value, str) else ""
    if name not in _ENCODINGS:
        takes = ", ".join(map(repr, _ENCODINGS[:-1])) + f" or {_ENCODINGS[-1]!r}"
        raise wrong_value(field, value, takes)
    return name


def _filename(field: str, given: Mapping[str, Any]) -> str | None:
    """Return the name of a file: ``None`` if it has none, ``''`` if it shall have none."""
    filename = given.get("filename")
    if filename is False:
        return ""
    if filename is None and "path" in given:
        filename = os.path.basename(os.fsdecode(given["path"]))
    return None if filename is None else line_of(f"{field}.filename", filename) or None


def _content_type(
    field: str, given: Mapping[str, Any], filename: str, fallback: str
) -> tuple[str, list[str]]:
    """Return the type and its parameters: those given, or that of such a file name."""
    if "contentType" not in given:
        guess = type_of(filename)
        return (fallback if guess == OPAQUE and not filename else guess), []
    text = line_of(f"{field}.contentType", given["contentType"]).strip(" \t;")
    kind = text.partition(";")[0].rstrip()
    if _is_composite(kind) or not _CONTENT_TYPE.fullmatch(text):
        takes = "a type like 'image/png' or 'text/html; charset=utf-8', not of several parts"
        raise wrong_value(f"{field}.contentType", text, takes)
    return kind, re.findall(_PARAMETER, text[len(kind) :], re.ASCII)


def _is_composite(kind: str) -> bool:
    # These contain parts, not content (RFC 2046 5.1, 5.2).
    return kind.lower().startswith(("multipart/", "message/")) and kind.lower() != "message/rfc822"


def _encode(content: Content, charset: str) -> None:
    """Encode the text of ``content`` in ``charset``."""
    assert isinstance(content.held, str)
    try:
        content.held = content.held.encode(charset)
    except (LookupError, UnicodeError) as error:
        takes = f"text that {charset} can express"
        raise wrong_value(content.label, content.held, takes) from error


def _is_seven_bit(data: bytes) -> bool:
    return not re.search(rb"[^\t\r\n -~]|[^\r\n]{%d}" % (LONGEST_LINE + 1), data)
