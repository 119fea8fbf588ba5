"""The envelope in the headers of a message, and the bytes that it becomes."""

from __future__ import annotations

import email
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.errors import HeaderParseError
from email.header import Header
from email.headerregistry import Address, Group
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP, SMTPUTF8, compat32, default
from email.utils import formataddr
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp_connection.errors import SMTPError
from smtp_connection.mime import email_message
from smtp_connection.mime.email_message import segments, serialize
from tests.support.mails import (
    SMALL,
    built,
    envelope_of,
    header_names,
    mailboxes,
    raw_message,
    refused,
    text_of,
)


@pytest.fixture(params=[1, email_message._LARGE], ids=["all payloads apart", ""], autouse=True)
def large(request, monkeypatch) -> None:
    """Payloads of this size are written when it is their turn, which changes nothing."""
    monkeypatch.setattr(email_message, "_LARGE", request.param)


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


# --- what was received ----------------------------------------------------------------------------

LONG = b"x" * 300

TREE = (
    b"""\
Content-Type: multipart/mixed; boundary="a b"

preamble
--a b
Content-Type: text/plain;
\tcharset=utf-8
Content-Transfer-Encoding: BASE64

w7w=
--a b
Content-Type: message/rfc822

Subject: %s

inner
--a b--
epilogue""".replace(b"\n", b"\r\n")
    % LONG
)

RECEIVED = [
    b"Received: from x\r\n\tby y\r\nDKIM-Signature: a=b;\r\n  c=d\r\nSubject: a\r\n\r\n",
    b"X-Raw: \xfc\r\n\r\nbody \xfc\r\n.\r\n",
    b"Subject: over 78 characters, " + LONG + b" with blanks  in it\r\n\r\n",
    b"References: <" + LONG + b"@x.org> <" + LONG + b"@x.org>\r\n\r\nx\r\n",
    b"To: =?utf-8?q?" + b"=C3=BC" * 40 + b"?= <a@x.org>\r\n\r\nx\r\n",
    b"Subject: =?UTF-8?b?w7w=?=\r\n =?us-ascii?Q?x?=  \r\n\r\n",
    b"X-Folded:\r\n\tbehind the colon\r\nX-Empty: \r\n\r\n",
    b'From: "ceo@bank.example, ' + b"x " * 35 + b'y" <visitor@x.org>\r\n\r\n',
    b"From: =?utf-8?q?ceo=40bank=2Eexample=2C?= " + b"x " * 35 + b"<visitor@x.org>\r\n\r\n",
    "Subject: Grüße\r\nTo: jürgen@köln.example\r\n\r\nGrüße\r\n".encode(),
    TREE,
    b"Content-Type: Application/PDF; name*=utf-8''%C3%BC.pdf\r\n\r\nAAAA\r\nAAAA=\r\n",
    b"Date: Tue, 1 Jul 2003 10:52:37 GMT+0200 (CEST)\r\nMessage-ID: no id at all\r\n\r\n",
    b"To: a b c, <>, @x, \xff <y>\r\nFrom: nobody\r\n\r\n",
]
POLICIES = {"default": default, "SMTP": SMTP, "SMTPUTF8": SMTPUTF8, "compat32": compat32}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("raw", RECEIVED, ids=range(len(RECEIVED)))
def test_what_was_received_is_sent_on_byte_for_byte(raw: bytes, policy: Any) -> None:
    assert serialize(email.message_from_bytes(raw, policy=policy)) == raw
    bcc = b"Bcc: secret@x.org,\r\n other@x.org\r\nresent-BCC:x@y\r\n"
    assert serialize(email.message_from_bytes(bcc + raw, policy=policy)) == raw


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Subject", "From", "To", "X-A", "References", "Date", "Received"]),
            st.lists(st.text('ax <>@,;:"()\\=?_.\t\xe9', min_size=1), min_size=1, max_size=4),
        ),
        min_size=1,
    ),
    st.sampled_from(sorted(POLICIES)),
)
@settings(max_examples=300, deadline=None)
def test_whatever_was_received_is_sent_on(
    headers: list[tuple[str, list[str]]], policy: str
) -> None:
    raw = b""
    for name, lines in headers:
        solid = ["x" + line + "y" for line in lines]  # no line that consists of blanks alone
        raw += f"{name}: ".encode() + "\r\n ".join(solid).encode("latin-1") + b"\r\n"
    raw += b"\r\nbody\r\n"
    assert serialize(email.message_from_bytes(raw, policy=POLICIES[policy])) == raw


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "ceo@bank.example, " + "x " * 35 + "y",
        "ceo@bank.example, ü " + "x " * 35 + "y",
        '"ceo@bank.example" <ceo@bank.example>, ' + "x " * 35,
        "=?utf-8?q?ceo=40bank=2Eexample=2C?=",
        "Doe, John",
        "a \\ b \\",
        "日本語" * 30,
    ],
)
def test_a_name_that_a_program_sets_stays_a_name(name: str) -> None:
    message = EmailMessage()
    message["From"] = Address(name, addr_spec="visitor@x.org")
    message["To"] = [Address(name, addr_spec="a@x.org"), Group(name, [Address(name, "b", "x.org")])]
    message.set_content("x")
    wire = serialize(message)
    assert mailboxes(wire, "From") == [(name, "visitor@x.org")]
    assert max(map(len, wire.split(b"\r\n"))) <= 78
    for policy in (default, compat32):
        parsed = email.message_from_bytes(wire, policy=policy)
        assert envelope_of(parsed) == {"from": "visitor@x.org", "to": ["a@x.org", "b@x.org"]}


@given(st.text(min_size=1), st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_no_name_becomes_an_address(name: str, number: int) -> None:
    message = EmailMessage()
    others = [Address("", addr_spec=f"r{each}@x.org") for each in range(number)]
    try:
        message["To"] = [Address(name, addr_spec="a@x.org"), *others]
        wire = serialize(message)
    except (ValueError, IndexError, HeaderParseError, SMTPError):
        return  # refused: by the email package, when it is set, or here
    expected = ["a@x.org", *(address.addr_spec for address in others)]
    assert [address for _, address in mailboxes(wire, "To")] == expected
    assert envelope_of(email.message_from_bytes(wire, policy=default))["to"] == expected


def test_headers_that_a_program_sets() -> None:
    message = EmailMessage()
    message["Subject"] = "ü" * 100
    message["Date"] = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
    message["To"] = "Köln: a@x.org, Jörg <b@x.org>;"
    message["X-Long"] = "word " * 60 + "x" * 2000
    message["X-Empty"] = ""
    message.set_content("x")
    message.add_attachment(b"", "a", "b", filename="ü" * 80 + ".txt", params={"x": 'a"b'})
    parsed = email.message_from_bytes(serialize(message), policy=default)
    assert parsed["Subject"] == "ü" * 100
    assert parsed["Date"] == "Mon, 06 May 2024 07:08:09 +0000"
    assert parsed["To"].groups[0].display_name == "Köln"
    assert parsed["X-Long"] == message["X-Long"]
    assert parsed["X-Empty"] == ""
    (part,) = parsed.iter_attachments()
    assert part.get_filename() == "ü" * 80 + ".txt"
    assert part["Content-Type"].params["x"] == 'a"b'


def test_a_header_that_the_email_package_cannot_make_sense_of() -> None:
    message = EmailMessage()
    message["To"] = "me <a@x.org> <b@x.org>"
    message["Cc"] = "Doe, John <j@x.org>"
    message["Content-Type"] = "nonsense"
    wire = serialize(message)
    assert wire.startswith(b"To: me <a@x.org>\r\nCc: Doe, John <j@x.org>\r\nContent-Type: nonsense")
    message["Reply-To"] = "Dö, John <j@x.org>"
    assert "cannot make sense of" in str(refused(serialize, message))
    message.replace_header("Reply-To", Address("", "a", "good.example>, <b@evil.example"))
    assert "as an address" in str(refused(serialize, message))


def test_legacy_headers_that_a_program_sets() -> None:
    message = Message()
    message["To"] = ", ".join(f"Recipient {n} <r{n}@x.org>" for n in range(300))
    message["Cc"] = Header("Jürgen <j@x.org>", "utf-8")
    message["Reply-To"] = Header("ceo@x.org, Boss", "utf-8")
    message["Subject"] = "ü" * 100
    message["X-Raw"] = "\udcfc"
    message.set_payload("x")
    wire = serialize(message)
    assert max(map(len, wire.split(b"\r\n"))) <= 78
    assert len(mailboxes(wire, "To")) == 300
    assert mailboxes(wire, "Cc") == [("Jürgen", "j@x.org")]
    assert b"\r\nX-Raw: \xfc\r\n" in wire
    assert email.message_from_bytes(wire, policy=default)["Subject"] == "ü" * 100


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
    assert b"To: =?utf-8?q?J=C3=BCrgen?= <a@x.org>\r\n" in wire


def test_a_legacy_message_with_a_non_ascii_address() -> None:
    message = Message()
    message["To"] = "Jürgen <jürgen@x.org>"
    message.set_payload("x")
    wire = "To: =?utf-8?q?J=C3=BCrgen?= <jürgen@x.org>\r\n\r\nx".encode()
    assert serialize(message) == wire


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


# --- large payloads -------------------------------------------------------------------------------

PAYLOADS = [
    "plain\r\nlines\n",
    "lone\rCR\r",
    "\nempty\n\n",
    "no line break at its end",
    "=5F quoted\n.dot\n",
    "bytes \udcff\udc80\n",
]


def with_payloads(kind: Callable[[], Message], *texts: str) -> Message:
    message = kind()
    message["Content-Type"] = 'multipart/mixed; boundary="b"'
    message["Subject"] = "s"
    message["Bcc"] = "b@x.org"
    parts: list[Any] = []
    for text in texts:
        part = kind()
        part["Content-Type"] = "text/plain; charset=utf-8"
        part["Content-Transfer-Encoding"] = "8bit"
        part.set_payload(text)
        parts.append(part)
    message.set_payload(parts)
    message.preamble, message.epilogue = "before", "after\n"
    return message


@given(st.lists(st.sampled_from(PAYLOADS), min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_payloads_apart_are_the_same_on_the_wire(texts: list[str], legacy: bool) -> None:
    message = with_payloads(Message if legacy else EmailMessage, *texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(email_message, "_LARGE", 1)
        apart, in_segments = serialize(message), segments(message)
        patch.setattr(email_message, "_LARGE", 1 << 30)
        assert serialize(message) == apart
        assert len(segments(message)) == 1
    assert [each for each in in_segments if isinstance(each, str)] == texts
    found = [part.get_payload() for part in message.walk() if not part.is_multipart()]
    assert len(found) == len(texts)
    assert message["Bcc"] == "b@x.org"


def test_a_message_in_a_message_and_one_of_a_single_part() -> None:
    inner = with_payloads(EmailMessage, *PAYLOADS)
    outer = EmailMessage()
    outer.set_content(inner)
    alone = EmailMessage()
    alone.set_content("hello\n")
    for message in (outer, alone):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(email_message, "_LARGE", 1 << 30)
            expected = serialize(message)
        assert serialize(message) == expected
    assert serialize(alone).endswith(b"\r\n\r\nhello\r\n")


def test_a_payload_that_cannot_be_written() -> None:
    message = Message()
    message["From"] = "a@x.org"
    message.set_payload("ü" * 100)
    assert "The message cannot be written" in str(refused(serialize, message))
