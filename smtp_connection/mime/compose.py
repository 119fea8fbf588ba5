"""A message composed from a mail dict: its headers, and its parts in the order clients expect."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

from .addresses import mailboxes
from .checks import line_of, mail_error, wrong_value
from .content import content_of, files_of
from .headers import (
    address_value,
    date_text,
    folded,
    message_ids,
    new_message_id,
    one_message_id,
    text_value,
)
from .mail import ADDRESS_FIELDS, FIELDS, Mail
from .parts import POLICY, alternative, attachment, multipart, text_part

__all__ = ["compose"]

_PRIORITIES = {
    "high": {"X-Priority": "1 (Highest)", "X-MSMail-Priority": "High", "Importance": "High"},
    "normal": {},
    "low": {"X-Priority": "5 (Lowest)", "X-MSMail-Priority": "Low", "Importance": "Low"},
}


def compose(mail: Mail) -> EmailMessage:
    """Compose the message that ``mail`` describes.

    It is 7-bit throughout, except for addresses that are not ASCII (RFC 6532), and it never has a
    Bcc header.  Raises ``SMTPError`` with the code ``'EMESSAGE'`` for a value that cannot be sent
    (a line break in a header, for example), and for a file that cannot be read.
    """
    if mail.is_empty:
        raise mail_error("Empty message")  # Node's words
    headers = [*_address_headers(mail), *_other_headers(mail)]
    body = _body(mail)
    utf8 = any(not value.isascii() for _, value in headers)
    message = EmailMessage(POLICY.clone(utf8=True) if utf8 else POLICY)
    for name, value in [*headers, ("MIME-Version", "1.0"), *body.raw_items()]:
        message.set_raw(name, value)
    message.set_payload(body.get_payload())
    return message


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
    yield "Date", date_text(fields.get("date", ""))
    yield "Message-ID", folded("Message-ID", [_message_id(mail)])
    for field in ("inReplyTo", "references"):
        ids = message_ids(field, fields.get(field, ""))
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


def _body(mail: Mail) -> EmailMessage:
    """Nest the parts as mail clients expect: mixed, then alternative, then related."""
    fields = mail.fields
    text, html = (_utf8_text(field, fields.get(field, "")) for field in ("text", "html"))
    attached: list[EmailMessage] = []
    related: list[EmailMessage] = []
    for number, (label, file) in enumerate(
        files_of("attachments", fields.get("attachments", ())), 1
    ):
        part = attachment(label, file, number)
        (related if html and "cid" in file else attached).append(part)
    versions = [text_part("plain", text)] if text else []
    if html:
        page = text_part("html", html)
        versions.append(
            multipart("related", [page, *related], 'type="text/html"') if related else page
        )
    for label, file in files_of("alternatives", fields.get("alternatives", ())):
        versions.append(alternative(label, file))
    if len(versions) > 1:
        versions = [multipart("alternative", versions)]
    if attached:
        return multipart("mixed", versions + attached)
    return versions[0] if versions else text_part("plain", b"")


def _utf8_text(field: str, given: object) -> bytes:
    try:
        content = content_of(field, given)
        return content.encode() if isinstance(content, str) else content.decode().encode()
    except UnicodeError as error:
        raise wrong_value(field, given, "text that UTF-8 can express") from error
