"""The parts of a message: texts, attachments and alternatives, each one encoded as 7-bit text."""

from __future__ import annotations

import binascii
import codecs
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .body import Body
from .checks import header_pairs, line_of, refuse_own_header, wrong_value
from .content import Content, described_content
from .filetypes import OPAQUE, extension_of, type_of
from .headers import one_message_id, parameter_words, value_with_parameters
from .transfer import base64_size
from .words import LINE, LONGEST_LINE, folded, header_block, text_value

__all__ = ["Multipart", "Part", "alternative", "attachment", "text_part"]

_TOKEN = r"[\w!#$%&'*+.^`{|}~-]+"
_PARAMETER = rf'{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_PARAMETER})*", re.ASCII)


class Part:
    """A part with a content: its ``headers``, names and values as they are written, and ``body``
    (Body)."""

    __slots__ = ("body", "headers")

    def __init__(self, kind: str, parameters: list[str], body: Body) -> None:
        """``parameters`` are those of the Content-Type, written."""
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


class Multipart:
    """A part that consists of ``parts``."""

    __slots__ = ("_boundary", "headers", "parts")

    def __init__(
        self, subtype: str, parts: list[Part | Multipart], boundary: str, *parameters: str
    ) -> None:
        value = value_with_parameters(
            "Content-Type", f"multipart/{subtype}", [*parameters, f'boundary="{boundary}"']
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


def text_part(subtype: str, content: Content) -> Part:
    """Make a part of ``content``, text in UTF-8."""
    body = Body(content, _text_encoding(content), is_text=True, is_utf8=True)
    return Part(f"text/{subtype}", ["charset=utf-8"], body)


# What quoted-printable does not write as it is.
_PRINTABLE = bytes([9, 10, 13, *range(32, 61), *range(62, 127)])


def _text_encoding(content: Content) -> str:
    """Return the transfer encoding for text, some of which may have to be waited for.

    Raises ``SMTPError`` (``'EMESSAGE'``) for bytes that are not UTF-8.
    """
    if content.held is None:
        return "quoted-printable"
    data = content.octets()
    if isinstance(content.held, bytes):
        try:
            codecs.utf_8_decode(data, "strict", True)
        except UnicodeError as error:
            raise wrong_value(content.label, data, "text that UTF-8 can express") from error
    if not re.search(rb"[^\t\r\n -~]", data) and not re.search(rb"[^\r\n]{%d}" % (LINE + 3), data):
        return "7bit"
    # Text that people can read without a decoder is worth half as many bytes again.
    if len(data) <= LINE:
        printable = len(binascii.b2a_qp(data))
    else:
        printable = (len(data) + 2 * len(data.translate(None, _PRINTABLE))) * 78 // 75
    return "quoted-printable" if printable < 1.5 * base64_size(len(data)) else "base64"


# Attachments and alternatives


def attachment(field: str, given: Mapping[str, Any], number: int) -> Part:
    """Make the part of the attachment ``given``; ``number`` names a file that has no name."""
    content = described_content(field, given)
    filename = _filename(field, given)
    kind, parameters = _content_type(field, given, filename or "", OPAQUE)
    if filename is None:
        filename = f"attachment-{number}{extension_of(kind)}"
    part = _file_part(content, kind, parameters)
    usual = "inline" if "cid" in given else "attachment"
    _add_headers(part, field, given, filename, usual)
    return part


def alternative(field: str, given: Mapping[str, Any]) -> Part:
    """Make the part of the alternative ``given``; what was given as str stays readable text."""
    content = described_content(field, given)
    filename = _filename(field, given) or ""
    kind, parameters = _content_type(field, given, filename, "text/plain")
    part = _file_part(content, kind, parameters, readable=True)
    usual = "inline" if filename else None
    _add_headers(part, field, given, filename, usual)
    return part


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


def _file_part(
    content: Content, kind: str, parameters: list[str], *, readable: bool = False
) -> Part:
    """Make the part of a file; ``readable``: encode a str as text, not as an opaque file."""
    is_text = kind.lower().startswith("text/")
    named = [word[8:].strip('"') for word in parameters if word.lower().startswith("charset=")]
    charset = named[0] if named else "utf-8"
    if isinstance(content.held, str):
        if is_text and not named:
            parameters = [*parameters, "charset=utf-8"]
        if charset.lower() == "utf-8":
            if readable and is_text:
                body = Body(content, _text_encoding(content), is_text=True)
                return Part(kind, parameters, body)
        else:
            _encode(content, charset)
    elif charset.lower() not in ("utf-8", "us-ascii"):
        content.takes_text = False
    if kind.lower() == "message/rfc822":
        # It may not be encoded (RFC 2046 5.2.1), so one that is not known to be 7-bit travels as a
        # plain file.
        if content.held is not None and _is_seven_bit(content.octets()):
            return Part(kind, parameters, Body(content, "7bit", is_text=True))
        kind, parameters = OPAQUE, []
    return Part(kind, parameters, Body(content, "base64"))


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


def _add_headers(
    part: Part,
    field: str,
    given: Mapping[str, Any],
    filename: str,
    usual: str | None,
) -> None:
    """Add the other headers of a file; ``usual`` is its disposition unless another one is given."""
    disposition = given.get("contentDisposition", usual)
    if disposition is not None:
        if disposition not in ("inline", "attachment"):
            takes = "'inline' or 'attachment'"
            raise wrong_value(f"{field}.contentDisposition", disposition, takes)
        parameters = parameter_words("filename", filename) if filename else []
        name = "Content-Disposition"
        part.headers.append((name, value_with_parameters(name, disposition, parameters)))
    if "cid" in given:
        content_id = one_message_id(f"{field}.cid", given["cid"])
        part.headers.append(("Content-ID", folded("Content-ID", [content_id])))
    for name, text in header_pairs(f"{field}.headers", given.get("headers", {})):
        refuse_own_header(f"{field}.headers", name)
        part.headers.append((name, text_value(name, text)))
