"""Mails that several test modules compose, and what a receiver makes of them."""

from __future__ import annotations

import email
from collections.abc import Callable, Mapping
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import default
from email.utils import getaddresses
from typing import Any

import pytest

from smtp_connection.errors import SMTPError
from smtp_connection.mime.compose import Composed, compose
from smtp_connection.mime.email_message import message_envelope
from smtp_connection.mime.mail import Mail

SMALL = {"from": "a@x.org", "to": "b@y.org", "text": "hello"}
FILE = {"filename": "f.bin", "content": b"\0\1"}
CALENDAR = {"content": "BEGIN:VCALENDAR", "contentType": "Text/calendar; method=REQUEST"}


def composed(mail: Mapping[str, Any]) -> Composed:
    """Read the dict ``mail`` and compose its message."""
    return compose(mail)


def built(mail: Mapping[str, Any]) -> bytes:
    """Read the dict ``mail``, and compose and write its message."""
    return compose(mail).build()


def envelope_of(mail: Mapping[str, Any] | Message) -> dict[str, Any]:
    """Return the envelope that a dict or a message asks for."""
    return message_envelope(mail) if isinstance(mail, Message) else Mail(mail).envelope()


def written(mail: Mapping[str, Any]) -> bytes:
    """Compose and write, and check what holds for every mail."""
    wire = built(mail)
    assert wire.count(b"\n") == wire.count(b"\r") == wire.count(b"\r\n")
    assert all(len(line) <= 998 for line in wire.split(b"\r\n"))
    assert "bcc" not in [name.lower() for name in header_names(wire)]
    return wire


def sent(mail: Mapping[str, Any]) -> EmailMessage:
    """What a receiver makes of ``mail``; it finds no fault with any part of it."""
    message = email.message_from_bytes(written(mail), policy=default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert part.defects == []
        assert [defect for header in part.values() for defect in header.defects] == []
    return message


def text_of(part: Any) -> str:
    """The text of a part, without the line break that the end of a message may have."""
    content: str = part.get_content()
    return content.replace("\r\n", "\n").rstrip("\n")


def mailboxes(wire: bytes, header: str) -> list[tuple[str, str]]:
    """Names and addresses as RFC 2047 reads them; EmailMessage keeps blanks it should drop."""
    values = email.message_from_bytes(wire).get_all(header, [])
    unfolded = [value.replace("\r\n", "") for value in values]
    found = getaddresses(unfolded)
    return [(str(make_header(decode_header(name))), address) for name, address in found]


def header_names(wire: bytes) -> list[str]:
    """The names of the headers on the wire, in order."""
    head = wire.partition(b"\r\n\r\n")[0].decode()
    return [line.partition(":")[0] for line in head.split("\r\n") if line[0] not in " \t"]


def refused(call: Callable[[Any], object], argument: Any, code: str = "EMESSAGE") -> SMTPError:
    """The error that ``call(argument)`` raises."""
    with pytest.raises(SMTPError) as caught:
        call(argument)
    assert (caught.value.code, caught.value.command) == (code, "API")
    assert len(str(caught.value)) < 400
    return caught.value


def assert_refusal_names(mail: Any, words: list[str]) -> None:
    """Check that composing ``mail`` fails with an error text that has all ``words`` in it."""
    text = str(refused(built, mail))
    assert [word for word in words if word not in text] == []


def case_name(value: Any) -> str:
    """Return the name of a test case: the mail, and nothing for the words."""
    return "" if isinstance(value, list) else repr(value)[:40]


def raw_message(*headers: tuple[str, Any], policy: Any = default) -> Message:
    """A message with headers as they would be after parsing; the legacy kind without a policy."""
    message = EmailMessage(policy) if policy is not None else Message()
    for name, value in headers:
        message.set_raw(name, value)
    message.set_payload("x")
    return message
