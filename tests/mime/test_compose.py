"""Messages from dicts: headers, bodies and attachments."""

from __future__ import annotations

import email
import gc
import os
import re
import threading
from collections.abc import Iterator
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mails import FILE, SMALL, composed, header_names, refused, sent, text_of, written

ALWAYS = ["From", "To", "Date", "Message-ID", "MIME-Version", "Content-Type"]


def _left() -> int:
    gc.collect()
    files = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ()
    return len(files) + threading.active_count()


@pytest.fixture(autouse=True, scope="module")
def nothing_left() -> Iterator[None]:
    """Checked once for all: a collection after each small test would take most of the time."""
    before = _left()
    yield
    assert _left() == before


def shape(message: Message) -> Any:
    """The tree of content types, as nested lists."""
    if message.is_multipart():
        parts = message.get_payload()
        return [message.get_content_type(), *map(shape, parts)]  # type: ignore[arg-type]
    return message.get_content_type()


# --- headers --------------------------------------------------------------------------------------


def test_a_small_mail_is_readable_as_it_is() -> None:
    mail = {
        "from": "Alice <a@x.org>",
        "to": ["b@y.org", {"name": "Carol", "address": "c@z.org"}],
        "subject": "Greetings",
        "text": "Hello,\n\n.\nworld\n",
        "date": "2024-05-06T07:08:09Z",
        "messageId": "1@x.org",
    }
    assert written(mail).decode().split("\r\n") == [
        "From: Alice <a@x.org>",
        "To: b@y.org, Carol <c@z.org>",
        "Subject: Greetings",
        "Date: Mon, 06 May 2024 07:08:09 +0000",
        "Message-ID: <1@x.org>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hello,",
        "",
        ".",
        "world",
        "",
    ]


def test_priorities() -> None:
    high = sent({**SMALL, "priority": "High", "headers": {"x-priority": "3", "X-Other": "1"}})
    assert (high.get_all("X-Priority"), high["Importance"]) == (["1 (Highest)"], "High")
    assert high["X-Other"] == "1"
    low = sent({**SMALL, "priority": "low"})
    assert (low["X-Priority"], low["X-MSMail-Priority"]) == ("5 (Lowest)", "Low")
    assert header_names(written({**SMALL, "priority": "normal"}))[:-1] == ALWAYS


@pytest.mark.parametrize(
    "headers",
    [
        {"X-One": "ü", "X-Many": ["1", "2"]},
        [
            {"key": "X-One", "value": "ü"},
            {"key": "X-Many", "value": "1"},
            {"key": "X-Many", "value": "2"},
        ],
    ],
    ids=["dict", "list"],
)
def test_further_headers(headers: Any) -> None:
    message = sent({**SMALL, "headers": headers})
    assert (message["X-One"], message.get_all("X-Many")) == ("ü", ["1", "2"])


def test_a_composed_message_is_still_an_email_message() -> None:
    message = composed({**SMALL, "subject": "ü" * 100})
    assert message["Subject"] == "ü" * 100
    assert message.get_content() == "hello"
    message["X-Later"] = "ö"
    with pytest.raises(ValueError, match="linefeed"):
        message["X-Evil"] = "a\nBcc: evil@x.org"
    again = email.message_from_bytes(message.as_bytes(), policy=default)
    assert (again["Subject"], again["X-Later"]) == ("ü" * 100, "ö")


# --- bodies ---------------------------------------------------------------------------------------

PICTURE = {"filename": "p.png", "content": b"\x89PNG", "cid": "p1"}
CALENDAR = {"content": "BEGIN:VCALENDAR", "contentType": "Text/calendar; method=REQUEST"}
RELATED = ["multipart/related", "text/html", "image/png"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "text/plain"),
        ({"text": "", "html": None, "attachments": []}, "text/plain"),
        ({"text": "x"}, "text/plain"),
        ({"html": "x"}, "text/html"),
        ({"html": "x", "text": ""}, "text/html"),
        ({"text": "x", "html": "y"}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"html": "x", "attachments": PICTURE}, RELATED),
        (
            {"text": "x", "html": "y", "attachments": (PICTURE,)},
            ["multipart/alternative", "text/plain", RELATED],
        ),
        (
            {"text": "x", "attachments": [PICTURE, FILE]},
            ["multipart/mixed", "text/plain", "image/png", "application/octet-stream"],
        ),
        (
            {
                "text": "x",
                "html": "y",
                "attachments": [FILE, PICTURE],
                "alternatives": CALENDAR,
            },
            [
                "multipart/mixed",
                ["multipart/alternative", "text/plain", RELATED, "text/calendar"],
                "application/octet-stream",
            ],
        ),
        ({"attachments": [FILE]}, ["multipart/mixed", "application/octet-stream"]),
        ({"alternatives": [CALENDAR]}, "text/calendar"),
    ],
)
def test_parts_are_nested_as_mail_clients_expect(fields: dict[str, Any], expected: Any) -> None:
    assert shape(sent({"from": "a@x.org", **fields})) == expected


def test_related_parts_say_what_their_root_is() -> None:
    message = sent({"html": '<img src="cid:p1">', "attachments": [PICTURE]})
    assert message["Content-Type"].params["type"] == "text/html"
    picture = message.get_payload(1)
    assert picture["Content-ID"] == "<p1>"  # type: ignore[index]
    assert picture["Content-Disposition"] == 'inline; filename="p.png"'  # type: ignore[index]


def test_an_empty_mail_has_an_empty_body() -> None:
    wire = written({"subject": "only this"})
    assert wire.partition(b"\r\n\r\n")[2].strip() == b""


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("tab\there\nFrom me\n", "7bit"),
        ("nul \0 and form feed \f", "quoted-printable"),
        ("Grüße", "quoted-printable"),
        ("日本語", "base64"),
    ],
)
def test_text_takes_the_plainest_encoding(text: str, encoding: str) -> None:
    for field in ("text", "html"):
        message = sent({field: text})
        assert message["Content-Transfer-Encoding"] == encoding
        assert message["Content-Type"].params["charset"] == "utf-8"
        assert text_of(message) == text.rstrip("\n")
        assert max(map(len, message.as_bytes().split(b"\n"))) <= 78


@given(st.text(), st.text())
@settings(max_examples=150, deadline=None)
def test_text_arrives_as_it_was_given(text: str, html: str) -> None:
    try:
        expected = [re.sub("\r\n?", "\n", one).encode() for one in (text, html)]
    except UnicodeEncodeError:
        refused(composed, {"text": text, "html": html})
        return
    message = sent({"text": text, "html": html, "attachments": FILE})
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    found = [part.get_payload(decode=True).replace(b"\r\n", b"\n") for part in parts]  # type: ignore[union-attr]
    assert found == [one for one in expected if one]


# --- attachments and alternatives -----------------------------------------------------------------


@given(st.binary(), st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
@settings(max_examples=150, deadline=None)
def test_attachments_arrive_as_they_were_given(content: bytes, filename: str) -> None:
    message = sent({"attachments": [{"content": content, "filename": filename}]})
    (part,) = message.iter_attachments()
    assert part.get_payload(decode=True) == content
    # get_filename() would take blanks, quotes and angle brackets off it.
    assert part["Content-Disposition"].params["filename"] == filename


def test_an_attached_file(tmp_path: Path) -> None:
    path = tmp_path / "Überblick.pdf"
    path.write_bytes(b"%PDF-\r\n\n\r")
    first, second = sent(
        {"attachments": [{"path": path}, {"path": str(path), "filename": "o.png"}]}
    ).iter_attachments()
    assert first.get_payload(decode=True) == second.get_payload(decode=True) == b"%PDF-\r\n\n\r"
    assert (first.get_filename(), first.get_content_type()) == ("Überblick.pdf", "application/pdf")
    assert (second.get_filename(), second.get_content_type()) == ("o.png", "image/png")


@pytest.mark.parametrize(
    ("given", "content_type", "filename"),
    [
        ({"filename": "a.txt"}, "text/plain; charset=utf-8", "a.txt"),
        ({"filename": "a.tar.gz"}, "application/octet-stream", "a.tar.gz"),
        ({"filename": "//[x"}, "application/octet-stream", "//[x"),
        ({}, "application/octet-stream", "attachment-1.bin"),
        ({"contentType": "application/pdf"}, "application/pdf", "attachment-1.pdf"),
        ({"filename": False}, "application/octet-stream", None),
        ({"filename": "", "contentType": "image/png"}, "image/png", "attachment-1.png"),
        ({"contentType": "text/x; A=b;c=\"d; e\"", "filename": "a"},
         'text/x; A="b"; c="d; e"; charset="utf-8"', "a"),
        ({"contentType": "text/x; charset=utf-16", "filename": "a"}, "text/x; charset=utf-16", "a"),
    ],
)  # fmt: skip
def test_types_and_names_of_attachments(
    given: dict[str, Any], content_type: str, filename: str | None
) -> None:
    (part,) = sent({"attachments": [{"content": "ü", **given}]}).iter_attachments()
    assert part["Content-Type"].replace('"', "") == content_type.replace('"', "")
    assert part.get_filename() == filename
    assert part.get_content_disposition() == "attachment"
    charset = part.get_content_charset("utf-8")
    assert part.get_payload(decode=True).decode(charset) == "ü"  # type: ignore[union-attr]


def test_headers_and_disposition_of_an_attachment() -> None:
    item = {**FILE, "headers": {"X-Tag": "ü"}, "contentDisposition": "inline", "cid": "<1@x>"}
    part = sent({"text": "x", "attachments": [item]}).get_payload(1)
    assert part["X-Tag"] == "ü"  # type: ignore[index]
    assert part["Content-Disposition"].startswith("inline;")  # type: ignore[index]
    assert part["Content-ID"] == "<1@x>"  # type: ignore[index]


def test_alternatives_are_readable_text_unless_they_are_bytes() -> None:
    invite = {**CALENDAR, "headers": {"X-Tag": "1"}}
    other = {"content": b"\0", "contentType": "application/x", "contentDisposition": "inline"}
    latin = {"content": "\xfc", "contentType": "text/x; charset=iso-8859-1"}
    page = {"content": "<b>", "filename": "a.html"}
    message = sent({"text": "x", "alternatives": [invite, other, page, latin]})
    first, second, third, fourth = message.get_payload()[1:]  # type: ignore[index]
    assert first["Content-Type"] == 'Text/calendar; method="REQUEST"; charset="utf-8"'
    assert (first["Content-Transfer-Encoding"], first.get_content()) == ("7bit", "BEGIN:VCALENDAR")
    assert first["X-Tag"] == "1"
    assert first["Content-Disposition"] is None
    assert second["Content-Disposition"] == "inline"
    assert second.get_payload(decode=True) == b"\0"
    assert (third.get_content_type(), third.get_filename()) == ("text/html", "a.html")
    assert fourth.get_content() == "ü"


def test_an_attached_message_is_not_encoded() -> None:
    inner = b"Subject: inner\r\n\r\nhello\r\n"
    message = sent({"attachments": [{"content": inner, "filename": "m.eml"}]})
    (part,) = message.iter_attachments()
    assert part.get_content_type() == "message/rfc822"
    assert part["Content-Transfer-Encoding"] == "7bit"
    assert part.get_content()["Subject"] == "inner"


@pytest.mark.parametrize("inner", [b"Subject: \xfc\r\n\r\n", b"Subject: x\r\n\r\n" + b"y" * 999])
def test_an_attached_message_that_is_not_7_bit_is_a_plain_file(inner: bytes) -> None:
    (part,) = sent({"attachments": [{"content": inner, "filename": "m.eml"}]}).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_content() == inner
