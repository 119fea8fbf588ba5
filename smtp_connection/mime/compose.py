"""The dict that describes a mail to an ``EmailMessage``: its headers, texts and attachments."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from email.policy import default
from typing import Any

from .addresses import Mailbox, entries_of, mailboxes
from .headers import (
    LINE,
    address_words,
    date_text,
    folded,
    folded_parameters,
    message_ids,
    new_message_id,
    one_message_id,
    parameter_words,
    text_words,
)
from .mail import (
    ADDRESS_FIELDS,
    FIELDS,
    OWN_HEADERS,
    content_of,
    described_content,
    files,
    header_pairs,
    line_of,
    mail_error,
    mail_fields,
    wrong_value,
)

__all__ = ["compose"]

_PRIORITIES = {
    "high": {"X-Priority": "1 (Highest)", "X-MSMail-Priority": "High", "Importance": "High"},
    "normal": {},
    "low": {"X-Priority": "5 (Lowest)", "X-MSMail-Priority": "Low", "Importance": "Low"},
}
_TOKEN = r"[\w!#$%&'*+.^`{|}~-]+"
_PARAMETER = rf'{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_PARAMETER})*", re.ASCII)
_OPAQUE = "application/octet-stream"

# refold_source: what is folded already stays as it is, on every release.
_POLICY = default.clone(refold_source="none")


def compose(mail: Mapping[str, Any]) -> EmailMessage:
    """Compose the message that ``mail`` describes, in the words of nodemailer's message fields.

    - ``from``, ``sender``, ``to``, ``cc``, ``bcc``, ``replyTo``: ``'a@x.org'`` and
      ``'Name <a@x.org>'``, separated by commas, ``{'name', 'address'}``, or a list of all that
    - ``subject`` (str), ``date`` (datetime, or str as RFC 5322 or ISO 8601 have it),
      ``priority`` (``'high'``, ``'normal'``, ``'low'``)
    - ``messageId``, ``inReplyTo``, ``references``: ids, with or without angle brackets
    - ``text``, ``html``: str, UTF-8 as bytes or from ``read()``, ``{'path'}`` or ``{'content'}``
    - ``attachments``, ``alternatives``: dicts of ``content`` or ``path``, ``filename``,
      ``contentType``, ``cid``, ``encoding`` (of a str), ``contentDisposition`` and ``headers``
    - ``headers``: name to text or texts, or a list of ``{'key', 'value'}``

    ``None`` stands for absent.  The result is 7-bit throughout, but for addresses that are not
    ASCII (RFC 6532), and it never has a Bcc header.

    Raises ``SMTPError`` with the code ``'EMESSAGE'`` for a name that is unknown, for a value that
    cannot be sent (a line break in a header among them), and for a file that cannot be read.
    """
    fields = mail_fields(mail)
    if not fields:
        raise mail_error("Empty message")  # Node's words
    headers = [(name, folded(name, words)) for name, words in _headers(fields)]
    body = _body(fields)
    utf8 = any(not value.isascii() for _, value in headers)
    message = EmailMessage(_POLICY.clone(utf8=True) if utf8 else _POLICY)
    for name, value in [*headers, ("MIME-Version", "1.0"), *body.raw_items()]:
        message.set_raw(name, value)
    message.set_payload(body.get_payload())
    return message


def _headers(fields: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    addresses = {
        field: entries_of(field, fields.get(field), "EMESSAGE") for field in ADDRESS_FIELDS
    }
    senders = list(mailboxes(addresses["sender"]))
    if len(senders) > 1:
        raise wrong_value("sender", fields["sender"], "one address")
    for field, name in ADDRESS_FIELDS.items():
        if field != "bcc" and addresses[field]:
            yield name, address_words(addresses[field])
    subject = line_of("subject", fields.get("subject", ""))
    if subject:
        yield "Subject", text_words(subject)
    yield "Date", [date_text(fields.get("date", ""))]
    if fields.get("messageId", "") != "":
        yield "Message-ID", [one_message_id("messageId", fields["messageId"])]
    else:
        author = next(mailboxes(addresses["sender"] or addresses["from"]), Mailbox("", ""))
        yield "Message-ID", [new_message_id(author.address)]
    for field in ("inReplyTo", "references"):
        ids = message_ids(field, fields.get(field, ""))
        if ids:
            yield FIELDS[field], ids
    priority = str(fields.get("priority", "normal")).lower()
    if priority not in _PRIORITIES:
        raise wrong_value("priority", fields["priority"], "'high', 'normal' or 'low'")
    urgency = _PRIORITIES[priority]
    yield from ((name, text_words(value)) for name, value in urgency.items())
    ours = {name.lower() for name in urgency}
    for name, value in fields.get("headers", ()):
        if name.lower() not in ours:
            yield name, text_words(value)


# Bodies


def _body(fields: Mapping[str, Any]) -> EmailMessage:
    """Nest the parts as mail clients expect: mixed, then alternative, then related."""
    text, html = (_utf8_text(field, fields.get(field, "")) for field in ("text", "html"))
    attached: list[EmailMessage] = []
    related: list[EmailMessage] = []
    for number, (field, item) in enumerate(files("attachments", fields), 1):
        part = _file_part(field, item, f"attachment-{number}")
        (related if html and "cid" in item else attached).append(part)
    versions = [_text_part("plain", text)] if text else []
    if html:
        page = _text_part("html", html)
        versions.append(
            _multipart("related", [page, *related], 'type="text/html"') if related else page
        )
    versions += [_file_part(field, item, None) for field, item in files("alternatives", fields)]
    if len(versions) > 1:
        versions = [_multipart("alternative", versions)]
    if attached:
        return _multipart("mixed", versions + attached)
    return versions[0] if versions else _text_part("plain", b"")


def _utf8_text(field: str, given: object) -> bytes:
    try:
        content = content_of(field, given)
        data = content.encode() if isinstance(content, str) else content.decode().encode()
    except UnicodeError as error:
        raise wrong_value(field, given, "text that UTF-8 can express") from error
    return _unix_lines(data)


def _unix_lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _part(kind: str, parameters: list[str], encoding: str, payload: str) -> EmailMessage:
    part = EmailMessage(_POLICY)
    part.set_raw("Content-Type", folded_parameters("Content-Type", kind, parameters))
    part.set_raw("Content-Transfer-Encoding", encoding)
    part.set_payload(payload)
    return part


def _text_part(subtype: str, data: bytes) -> EmailMessage:
    return _part(f"text/{subtype}", ["charset=utf-8"], *_encoded_text(data))


def _multipart(subtype: str, parts: list[EmailMessage], *parameters: str) -> EmailMessage:
    part = EmailMessage(_POLICY)
    # '=_' is in no quoted-printable and no base64 (RFC 2045 6.7); in other text, chance decides.
    boundary = f'boundary="=_{uuid.uuid4().hex}"'
    value = folded_parameters("Content-Type", f"multipart/{subtype}", [*parameters, boundary])
    part.set_raw("Content-Type", value)
    part.set_payload([*parts])
    return part


def _encoded_text(data: bytes) -> tuple[str, str]:
    """Return the transfer encoding for text with LF line ends, and the text in that encoding."""
    if not re.search(rb"[^\t\n -~]", data) and max(map(len, data.split(b"\n"))) <= LINE + 2:
        return "7bit", data.decode("ascii")
    printable = binascii.b2a_qp(data)
    opaque = base64.encodebytes(data)
    if len(printable) < 1.5 * len(opaque):  # what can be read without decoding is worth that
        return "quoted-printable", printable.decode("ascii")
    return "base64", opaque.decode("ascii")


# Attachments and alternatives


def _file_part(field: str, given: Mapping[str, Any], stem: str | None) -> EmailMessage:
    """Make the part of an attachment, called ``stem`` for want of a name, or of an alternative."""
    content = described_content(field, given)
    filename = given.get("filename")
    if filename is None and "path" in given:
        filename = os.path.basename(os.fsdecode(given["path"]))
    nameless = filename is False
    filename = "" if filename is None or nameless else line_of(f"{field}.filename", filename)
    fallback = "text/plain" if stem is None else _OPAQUE
    kind, parameters = _content_type(field, given, filename, fallback)
    if stem and not filename and not nameless:
        filename = stem + (mimetypes.guess_extension(kind) or ".bin")
    part = _encoded_part(field, content, kind, parameters, readable=stem is None)
    for name, value in _part_headers(field, given, filename, attached=stem is not None):
        part.set_raw(name, value)
    return part


def _part_headers(
    field: str, given: Mapping[str, Any], filename: str, *, attached: bool
) -> Iterator[tuple[str, str]]:
    usual = "attachment" if attached and "cid" not in given else "inline"
    disposition = given.get("contentDisposition", usual)
    if disposition not in ("inline", "attachment"):
        raise wrong_value(f"{field}.contentDisposition", disposition, "'inline' or 'attachment'")
    if filename or attached or "contentDisposition" in given:
        words = parameter_words("filename", filename) if filename else []
        yield "Content-Disposition", folded_parameters("Content-Disposition", disposition, words)
    if "cid" in given:
        yield "Content-ID", folded("Content-ID", [one_message_id(f"{field}.cid", given["cid"])])
    for name, value in header_pairs(f"{field}.headers", given.get("headers", {})):
        if name.lower() in OWN_HEADERS:
            text = f"'{field}.headers': {name!r} cannot be set; it has a field of its own"
            raise mail_error(text)
        yield name, folded(name, text_words(value))


def _content_type(
    field: str, given: Mapping[str, Any], filename: str, fallback: str
) -> tuple[str, list[str]]:
    """Return the type and its parameters: those given, or what the file name tells."""
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
    # What is inside these is parts and no content (RFC 2046 5.1, 5.2).
    return kind.lower().startswith(("multipart/", "message/")) and kind.lower() != "message/rfc822"


def _encoded_part(
    field: str, content: str | bytes, kind: str, parameters: list[str], *, readable: bool
) -> EmailMessage:
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
            return _part(kind, parameters, *_encoded_text(_unix_lines(data)))
    if kind.lower() == "message/rfc822":
        # It may not be encoded (RFC 2046 5.2.1), so one that is not 7-bit travels as a plain file.
        if not re.search(rb"[^\t\r\n -~]|[^\r\n]{999}", data):
            return _part(kind, parameters, "7bit", _unix_lines(data).decode("ascii"))
        kind, parameters = _OPAQUE, []
    return _part(kind, parameters, "base64", base64.encodebytes(data).decode("ascii"))
