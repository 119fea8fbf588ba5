"""The parts of a message: texts, attachments and alternatives, each one encoded as 7-bit text."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import os
import re
import uuid
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import default
from typing import Any

from .checks import header_pairs, line_of, refuse_own_header, wrong_value
from .content import described_content
from .headers import (
    LINE,
    folded,
    one_message_id,
    parameter_words,
    text_value,
    value_with_parameters,
)

__all__ = ["POLICY", "alternative", "attachment", "multipart", "text_part"]

# refold_source="none": the email package leaves what is folded already as it is, on every release.
POLICY = default.clone(refold_source="none")

_TOKEN = r"[\w!#$%&'*+.^`{|}~-]+"
_PARAMETER = rf'{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_PARAMETER})*", re.ASCII)
_OPAQUE = "application/octet-stream"


def _part(kind: str, parameters: list[str], encoding: str, payload: str) -> EmailMessage:
    part = EmailMessage(POLICY)
    part.set_raw("Content-Type", value_with_parameters("Content-Type", kind, parameters))
    part.set_raw("Content-Transfer-Encoding", encoding)
    part.set_payload(payload)
    return part


def text_part(subtype: str, data: bytes) -> EmailMessage:
    """Make a part of ``data``, text in UTF-8."""
    return _part(f"text/{subtype}", ["charset=utf-8"], *_encoded_text(data))


def multipart(subtype: str, parts: list[EmailMessage], *parameters: str) -> EmailMessage:
    """Make a part that consists of ``parts``."""
    part = EmailMessage(POLICY)
    # Neither quoted-printable nor base64 contains '=_' (RFC 2045 6.7); in 7-bit text, a boundary
    # that is made of 128 random bits is not to be expected.
    boundary = f'boundary="=_{uuid.uuid4().hex}"'
    kind = f"multipart/{subtype}"
    value = value_with_parameters("Content-Type", kind, [*parameters, boundary])
    part.set_raw("Content-Type", value)
    part.set_payload([*parts])
    return part


def _encoded_text(data: bytes) -> tuple[str, str]:
    """Return the transfer encoding for ``data``, and the text in that encoding."""
    data = _unix_lines(data)
    if not re.search(rb"[^\t\n -~]", data) and max(map(len, data.split(b"\n"))) <= LINE + 2:
        return "7bit", data.decode("ascii")
    printable = binascii.b2a_qp(data)
    opaque = base64.encodebytes(data)
    # Text that people can read without a decoder is worth half as many bytes again.
    if len(printable) < 1.5 * len(opaque):
        return "quoted-printable", printable.decode("ascii")
    return "base64", opaque.decode("ascii")


def _unix_lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


# Attachments and alternatives


def attachment(field: str, given: Mapping[str, Any], number: int) -> EmailMessage:
    """Make the part of the attachment ``given``; ``number`` names a file that has no name."""
    content = described_content(field, given)
    filename = _filename(field, given)
    kind, parameters = _content_type(field, given, filename or "", _OPAQUE)
    if filename is None:
        filename = f"attachment-{number}" + (mimetypes.guess_extension(kind) or ".bin")
    part = _file_part(field, content, kind, parameters)
    usual = "inline" if "cid" in given else "attachment"
    _add_headers(part, field, given, filename, usual)
    return part


def alternative(field: str, given: Mapping[str, Any]) -> EmailMessage:
    """Make the part of the alternative ``given``; what was given as str stays readable text."""
    content = described_content(field, given)
    filename = _filename(field, given) or ""
    kind, parameters = _content_type(field, given, filename, "text/plain")
    part = _file_part(field, content, kind, parameters, readable=True)
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
    """Return the type and its parameters: those given, or a guess from the file name."""
    if "contentType" not in given:
        guess, compression = mimetypes.guess_type(os.path.basename(filename))
        if compression:
            return _OPAQUE, []
        return fallback if guess is None or _is_composite(guess) else guess, []
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
    field: str,
    content: str | bytes,
    kind: str,
    parameters: list[str],
    *,
    readable: bool = False,
) -> EmailMessage:
    """Make the part of a file; ``readable``: encode a str as text, not as an opaque file."""
    is_text = kind.lower().startswith("text/")
    if isinstance(content, bytes):
        data = content
    else:
        named = [word[8:].strip('"') for word in parameters if word.lower().startswith("charset=")]
        charset = named[0] if named else "utf-8"
        if is_text and not named:
            parameters = [*parameters, "charset=utf-8"]
        try:
            data = content.encode(charset)
        except (LookupError, UnicodeError) as error:
            takes = f"text that {charset} can express"
            raise wrong_value(f"{field}.content", content, takes) from error
        if readable and is_text and charset.lower() == "utf-8":
            return _part(kind, parameters, *_encoded_text(data))
    if kind.lower() == "message/rfc822":
        # It may not be encoded (RFC 2046 5.2.1), so one that is not 7-bit travels as a plain file.
        if not re.search(rb"[^\t\r\n -~]|[^\r\n]{999}", data):
            return _part(kind, parameters, "7bit", _unix_lines(data).decode("ascii"))
        kind, parameters = _OPAQUE, []
    return _part(kind, parameters, "base64", base64.encodebytes(data).decode("ascii"))


def _add_headers(
    part: EmailMessage,
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
        part.set_raw(name, value_with_parameters(name, disposition, parameters))
    if "cid" in given:
        content_id = one_message_id(f"{field}.cid", given["cid"])
        part.set_raw("Content-ID", folded("Content-ID", [content_id]))
    for name, text in header_pairs(f"{field}.headers", given.get("headers", {})):
        refuse_own_header(f"{field}.headers", name)
        part.set_raw(name, text_value(name, text))
