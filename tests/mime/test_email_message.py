"""The envelope in the headers of a message, and the bytes that it becomes."""

from __future__ import annotations

import email
from collections.abc import Callable, Iterator
from email.header import Header
from email.headerregistry import Address, Group
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTPUTF8, default
from email.utils import formataddr
from typing import Any

import pytest

from smtp_connection.errors import SMTPError
from smtp_connection.mime.email_message import serialize
from tests.support.mails import (
    SMALL,
    built,
    envelope_of,
    header_names,
    raw_message,
    refused,
    text_of,
)

# --- the envelope ---------------------------------------------------------------------------------


def test_headers_are_read_in_all_their_forms() -> None:
    message = Message()
    message["From"] = "=?utf-8?q?Doe=2C_J?=\n <a@x.org>"
    name_and_address = Header("evil@x.org, Doe", "utf-8")
    name_and_address.append("<b@y.org>", "ascii")
    message["To"] = name_and_address
    message["To"] = "c@y.org,\r\n\td@y.org"
    message["Cc"] = Header("Jürgen <e@y.org>", "utf-8")
    message["Bcc"] = "b@y.org"
    to = ["b@y.org", "c@y.org", "d@y.org", "e@y.org"]
    assert envelope_of(message) == {"from": "a@x.org", "to": to}


def test_address_objects_are_taken_at_their_word() -> None:
    message = EmailMessage()
    message["Sender"] = Address("Doe, Jane", "Jane.Doe", "X.org")
    message["From"] = [Address("", "a", "x.org"), Address("", "b", "x.org")]
    message["To"] = [Address("ü", "c d", "x.org"), Group("g", [Address("", "e", "x.org")])]
    assert envelope_of(message) == {"from": "Jane.Doe@X.org", "to": ['"c d"@x.org', "e@x.org"]}
    message.replace_header("To", Address("", "a", "good.example>, <b@evil.example"))
    refused(envelope_of, message, "EENVELOPE")


@pytest.mark.parametrize(
    "headers",
    [
        [("From", "a@x.org"), ("From", "b@x.org")],
        [("Sender", "a@x.org, b@x.org")],
        [("Sender", "a@x.org"), ("sender", "b@x.org")],
        [("Resent-To", "a@x.org"), ("Resent-To", "b@x.org")],
        [("To", ["a@x.org"])],
        [("To", "=?utf-8?q?a=40x.org?=")],
        [("To", "a\udcfc@x.org")],
        [("To", Header("a@x.org\nBcc: b@x.org", "utf-8"))],
    ],
)
def test_headers_that_cannot_be_relied_on(headers: list[tuple[str, Any]]) -> None:
    for policy in (default, None):
        refused(envelope_of, raw_message(*headers, policy=policy), "EENVELOPE")


def test_a_header_that_the_email_package_cannot_encode() -> None:
    broken = Header("a@x.org")
    broken.append("b@x.org\nBcc: c@x.org", "utf-8")
    refused(envelope_of, raw_message(("To", broken), policy=None), "EENVELOPE")


def test_a_resent_message_goes_where_it_is_resent_to() -> None:
    message = raw_message(
        ("Resent-From", "r@x.org"),
        ("Resent-To", "s@x.org"),
        ("Resent-Bcc", "t@x.org"),
        ("From", "a@x.org"),
        ("To", "b@x.org"),
    )
    assert envelope_of(message) == {"from": "r@x.org", "to": ["s@x.org", "t@x.org"]}


# --- the bytes ------------------------------------------------------------------------------------


def modern() -> EmailMessage:
    message = EmailMessage()
    message["From"] = Address("Jürgen", "a", "x.org")
    message["To"] = "b@y.org"
    message["bcc"] = "secret@y.org"
    message["Resent-Bcc"] = "hidden@y.org"
    message.set_content("Grüße\n")
    message.add_alternative("<p>Grüße", subtype="html")
    message.add_attachment(b"\0", maintype="a", subtype="b")
    return message


def legacy() -> Message:
    message = MIMEMultipart()
    message["From"] = formataddr(("Jürgen", "a@x.org"))
    message["To"] = "b@y.org"
    message["BCC"] = "secret@y.org"
    message["resent-bcc"] = "hidden@y.org"
    inner = MIMEMultipart("alternative")
    inner.attach(MIMEText("Grüße\nFrom me\n"))
    message.attach(inner)
    return message


def everything(message: Message) -> Iterator[Any]:
    for part in message.walk():
        yield list(part.raw_items())
        payload = part.get_payload()
        yield [id(one) for one in payload] if isinstance(payload, list) else payload


@pytest.mark.parametrize("make", [modern, legacy])
def test_bcc_is_not_written_and_the_message_is_not_changed(make: Callable[[], Message]) -> None:
    message = make()
    before = list(everything(message))
    wire = serialize(message)
    assert list(everything(message)) == before
    assert b"secret" not in wire
    assert b"hidden" not in wire
    assert wire.count(b"\n") == wire.count(b"\r") == wire.count(b"\r\n")
    again = email.message_from_bytes(wire, policy=default)
    assert again["From"].addresses[0].display_name == "Jürgen"
    texts = [text_of(part) for part in again.walk() if part.get_content_maintype() == "text"]
    assert texts[0] in ("Grüße", "Grüße\nFrom me")
    assert b"\r\n>From" not in wire


def test_what_was_received_is_sent_on_as_it_is() -> None:
    raw = (
        b"Received: from x\r\n\tby y\r\nDKIM-Signature: a=b;\r\n  c=d\r\nSubject: =?utf-8?q?a?=\r\n"
        b"X-Raw: \xfc\r\n\r\nbody \xfc\r\n.\r\n"
    )
    assert serialize(email.message_from_bytes(raw)) == raw
    ascii_only = raw.replace(b"X-Raw: \xfc\r\n", b"")
    assert serialize(email.message_from_bytes(ascii_only, policy=default)) == ascii_only


def test_lone_line_ends_become_crlf() -> None:
    message = email.message_from_bytes(b"Subject: x\n\na\rb\nc\n")
    message.set_payload("a\rb\nc\n")
    assert serialize(message) == b"Subject: x\r\n\r\na\r\nb\r\nc\r\n"


@pytest.mark.parametrize("policy", [default, SMTPUTF8])
def test_headers_are_ascii_unless_an_address_is_not(policy: Any) -> None:
    message = EmailMessage(policy)
    message["Subject"] = "ü"
    message["To"] = "Jürgen <a@x.org>"
    message.set_content("x")
    assert serialize(message).isascii()
    message["Cc"] = "jürgen@x.org"
    wire = serialize(message)
    assert "Cc: jürgen@x.org\r\n".encode() in wire
    assert "To: Jürgen <a@x.org>\r\n".encode() in wire


def test_a_legacy_message_with_a_non_ascii_address() -> None:
    message = Message()
    message["To"] = "Jürgen <jürgen@x.org>"
    message.set_payload("x")
    assert serialize(message) == "To: Jürgen <jürgen@x.org>\r\n\r\nx".encode()


def test_an_unreadable_address_header_can_still_be_written() -> None:
    message = Message()
    message["To"] = "me <a@x.org> <b@x.org>"
    assert serialize(message).startswith(b"To: me <a@x.org> <b@x.org>\r\n")


@pytest.mark.parametrize("policy", [default, None], ids=["modern", "legacy"])
@pytest.mark.parametrize(
    "header",
    [
        ("Subject", "a\nBcc: evil@x.org"),
        ("Subject", "a\r\n\r\nevil"),
        ("Subject", "a\n\nevil"),
        ("X\nBcc: evil@x.org\nY", "a"),
        ("Bcc ", "evil@x.org"),
        ("", "a"),
    ],
)
def test_no_header_breaks_out_of_its_field(policy: Any, header: tuple[str, str]) -> None:
    error = refused(serialize, raw_message(("From", "a@x.org"), header, policy=policy))
    assert "cannot be written" in str(error)
    assert error.__cause__ is not None


def test_no_header_of_a_part_breaks_out_either() -> None:
    message = legacy()
    message.get_payload(0).set_raw("X-A", "a\n\nevil")  # type: ignore[union-attr]
    refused(serialize, message)


@pytest.mark.parametrize(
    "value",
    [
        "a\x0cBcc: evil@x.org",
        "a\x85Bcc: evil@x.org",
        "=?utf-8?q?a=0D=0ABcc:_evil=40x.org?=" + " long" * 30,
        "=?utf-8?q?a=0A=0Aevil?=" + " long" * 30,
    ],
)
def test_older_email_packages_let_nothing_through(value: str) -> None:
    try:
        wire = serialize(raw_message(("From", "a@x.org"), ("Subject", value)))
    except SMTPError as error:
        assert error.code == "EMESSAGE"  # noqa: PT017 - whether it is raised depends on Python
    else:
        assert header_names(wire) == ["From", "Subject"]
        assert wire.endswith(b"\r\n\r\nx")


def test_what_cannot_be_written_is_an_error_with_its_cause() -> None:
    message = Message()
    message.set_payload("not ASCII: ü")
    assert isinstance(refused(serialize, message).__cause__, UnicodeError)
    message.set_payload(["no message"])  # type: ignore[list-item]
    message["Content-Type"] = "multipart/mixed"
    assert refused(serialize, message).__cause__ is not None
    assert "an email.message.Message" in str(refused(serialize, b"Subject: x"))


def test_the_same_message_is_written_the_same_twice() -> None:
    message = email.message_from_bytes(
        built({**SMALL, "html": "<p>", "attachments": [{"content": "x"}]}), policy=default
    )
    assert serialize(message) == serialize(message)
