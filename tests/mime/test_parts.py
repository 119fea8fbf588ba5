"""Texts, attachments and alternatives as parts of a message."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mails import CALENDAR, FILE, composed, refused, sent, text_of, written


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
        ({"filename": "a.tar.gz"}, "application/gzip", "a.tar.gz"),
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


def test_many_parameters_take_linear_time() -> None:
    kind = "text/x" + "".join(f'; p{number}="{number}"' for number in range(20_000))
    wire = written({"attachments": [{**FILE, "contentType": kind}]})
    assert b'p19999="19999"' in wire
    assert max(map(len, wire.split(b"\r\n"))) <= 78
    refused(composed, {"attachments": [{**FILE, "contentType": kind + "; x"}]})


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


BAD_FILES: list[tuple[dict[str, Any], list[str]]] = [
    ({"filename": 5}, [".filename'", "5"]),
    ({"contentType": "png"}, [".contentType'", "'png'", "image/png"]),
    ({"contentType": "multipart/x"}, [".contentType'", "multipart/x", "several parts"]),
    ({"contentType": "message/x"}, [".contentType'", "message/x", "several parts"]),
    ({"contentType": "text/x; charset=us-ascii"}, [".content'", "'ü'", "us-ascii"]),
    ({"contentType": "text/x; charset=x-no"}, [".content'", "'ü'", "x-no"]),
    ({"cid": "a b"}, [".cid'", "a b"]),
    ({"contentDisposition": "x"}, [".contentDisposition'", "'inline'", "'x'"]),
    ({"headers": {"Content-ID": "1"}}, [".headers'", "Content-ID"]),
    ({"encoding": "rot13"}, [".encoding'", "rot13", "'hex'"]),
    ({"encoding": 5}, [".encoding'", "5"]),
    ({"encoding": "base64"}, [".content'", "'ü'", "base64"]),
    ({"encoding": "base64", "content": "a"}, [".content'", "'a'", "base64"]),
    ({"encoding": "hex"}, [".content'", "'ü'", "hex"]),
    ({"encoding": "binary", "content": "€"}, [".content'", "'€'", "binary"]),
    ({"content": "\ud800"}, [".content'", "UTF-8"]),
    ({"content": 5}, [".content'", "5", "bytes"]),
]


@pytest.mark.parametrize("field", ["attachments", "alternatives"])
def test_bad_values_of_files_are_named(field: str) -> None:
    for item, words in BAD_FILES:
        text = str(refused(composed, {field: [FILE, {"content": "ü", **item}]}))
        assert f"'{field}[1]{words[0]}" in text
        assert [word for word in words if word not in text] == []
