"""The dict that describes a mail: names, sources of content, and how bad values are reported."""

from __future__ import annotations

import array
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.mails import FILE, SMALL, composed, envelope_of, refused, sent

# --- names ----------------------------------------------------------------------------------------


def test_the_callers_dict_is_left_alone() -> None:
    mail = {"to": ["b@y.org"], "headers": {"Subject": "s", "X-A": ["1"]}, "attachments": []}
    before = repr(mail)
    composed(mail)
    envelope_of(mail)
    assert repr(mail) == before


def test_names_are_matched_in_any_spelling() -> None:
    message = sent({**SMALL, "reply_to": "r@x.org", "MESSAGEID": "<1@x.org>"})
    assert (message["Reply-To"], message["Message-ID"]) == ("r@x.org", "<1@x.org>")


def test_a_header_of_a_field_is_that_field_and_the_field_wins() -> None:
    mail = {
        "subject": "field",
        "headers": {
            "SUBJECT": "header",
            "from": "Jürgen <a@x.org>",
            "To": ["b@x.org", "c@x.org"],
            "Bcc": "d@x.org",
            "message-id": "1@x.org",
        },
    }
    message = sent(mail)
    assert message.get_all("Subject") == ["field"]
    assert message["From"].addresses[0].addr_spec == "a@x.org"
    assert message.get_all("To") == ["b@x.org, c@x.org"]
    assert message["Message-ID"] == "<1@x.org>"
    assert envelope_of(mail) == {"from": "a@x.org", "to": ["b@x.org", "c@x.org", "d@x.org"]}


# --- content --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "Grüße",
        "Grüße".encode(),
        bytearray("Grüße".encode()),
        {"content": "Grüße"},
        {"content": "R3LDvMOfZQ==", "encoding": "base64"},
        io.BytesIO("Grüße".encode()),
        io.StringIO("Grüße"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sources_of_text(given: Any) -> None:
    assert sent({"text": given}).get_content().rstrip() == "Grüße"


def test_text_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes("<p>Grüße</p>\r\n".encode())
    for path in (tmp_path / "page.html", str(tmp_path / "page.html")):
        assert sent({"html": {"path": path}}).get_content() == "<p>Grüße</p>\r\n"


@pytest.mark.parametrize(
    "given",
    [
        {"content": "Grüße"},
        {"content": "Grüße", "encoding": "UTF-8"},
        {"content": "Grüße".encode()},
        {"content": memoryview("Grüße".encode())},
        {"content": array.array("B", "Grüße".encode())},
        {"content": io.BytesIO("Grüße".encode())},
        {"content": io.StringIO("47 72 c3 bc c3 9f 65"), "encoding": "hex"},
        {"content": "R3LD\nvMOfZQ", "encoding": "base64"},
        {"content": "GrÃ¼Ã\x9fe", "encoding": "binary"},
        {"content": "Grüße".encode(), "encoding": "base64"},
    ],
    ids=range(10),
)
def test_sources_of_attachments(given: dict[str, Any]) -> None:
    (part,) = sent({"attachments": [given]}).iter_attachments()
    assert part.get_payload(decode=True) == "Grüße".encode()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ({}, ["Empty message"]),
        ({"text": None}, ["Empty message"]),
        (["a"], ["'mail'", "dict", "['a']"]),
        ({"subjet": "x"}, ["'subjet'", "did you mean 'subject'"]),
        ({"icalEvent": "x"}, ["'icalEvent'", "'alternatives'"]),
        ({"subject": 5}, ["'subject'", "a str", "5"]),
        ({"to": 5}, ["'to'", "name@example.com", "5"]),
        ({"to": b"a@x.org"}, ["'to'", "b'a@x.org'"]),
        ({"to": {"adress": "a@x.org"}}, ["'to'", "did you mean 'address'"]),
        ({"to": {"address": "a@x.org, b@x.org"}}, ["'to'", "a@x.org, b@x.org", "one address"]),
        ({"to": {"name": "x"}}, ["'to'", "None"]),
        ({"to": {"name": 5, "address": "a@x.org"}}, ["'to'", "5"]),
        ({"replyTo": "x <y> <z>"}, ["'replyTo'", "x <y> <z>"]),
        ({"bcc": "root"}, ["'bcc'", "root"]),
        ({"sender": "a@x.org, b@x.org"}, ["'sender'", "one address"]),
        ({"from": "a" * 1100 + "@x.org"}, ["'From'", "998"]),
        ({"date": "yesterday"}, ["'date'", "yesterday", "ISO 8601"]),
        ({"date": 5}, ["'date'", "5", "datetime"]),
        ({"date": "6 May 07:08:09 99999999999999999999"}, ["'date'", "9999", "ISO 8601"]),
        ({"messageId": "1@x 2@x"}, ["'messageId'", "one id", "1@x 2@x"]),
        ({"messageId": 5}, ["'messageId'", "5"]),
        ({"messageId": "ü@x"}, ["'messageId'", "ü@x", "ASCII"]),
        ({"references": ["<a@x", "b@x"]}, ["'references'", "<a@x", "<id@domain>"]),
        ({"priority": "urgent"}, ["'priority'", "'high', 'normal' or 'low'", "urgent"]),
        ({"headers": 5}, ["'headers'", "5", "{'key', 'value'}"]),
        ({"headers": {"X Y": "1"}}, ["'headers'", "X Y", "printable"]),
        ({"headers": {"X:Y": "1"}}, ["'headers'", "X:Y"]),
        ({"headers": {"X-Y": 5}}, ["'headers.X-Y'", "5", "a str"]),
        ({"headers": [{"key": "X-Y"}]}, ["'headers.X-Y'", "None"]),
        ({"headers": [{"name": "X-Y"}]}, ["'headers'", "'name'", "known are key, value"]),
        ({"headers": {"content-type": "x/y"}}, ["'headers'", "content-type"]),
        ({"headers": {"Resent-Bcc": "a@x.org"}}, ["'headers'", "Resent-Bcc"]),
        ({"headers": {"Subject": ["1", "2"]}}, ["'subject'", "['1', '2']"]),
        ({"text": 5}, ["'text'", "5", "bytes"]),
        ({"html": b"\xff"}, ["'html'", "UTF-8"]),
        ({"text": "\ud800" + "x" * 9999}, ["'text'", "UTF-8", "\\ud800xxx"]),
        ({"text": {"file": "x"}}, ["'text'", "'file'", "known are content, encoding, path"]),
        ({"text": {}}, ["'text'", "either 'content' or 'path'"]),
        ({"html": {"path": "/nowhere/at.all"}}, ["'html'", "/nowhere/at.all", "No such file"]),
        ({"attachments": "x"}, ["'attachments[0]'", "a dict", "'x'"]),
        ({"attachments": [FILE, {}]}, ["'attachments[1]'", "either 'content' or 'path'"]),
        ({"attachments": [{**FILE, "path": "x"}]}, ["'attachments[0]'", "either"]),
        ({"attachments": [{"path": "a\0b"}]}, ["'attachments[0]'", "null"]),
        ({"attachments": [{"path": 5}]}, ["'attachments[0]'", "int"]),
        ({"attachments": [{"href": "http://x"}]}, ["'href'", "nothing is downloaded"]),
        ({"attachments": [{"contnet": "x"}]}, ["attachments[0]", "did you mean 'content'"]),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, Mapping) else "",
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    text = str(refused(composed, mail))
    assert [word for word in words if word not in text] == []


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
    ({"content": "\ud800"}, [".content'", "utf-8"]),
    ({"content": 5}, [".content'", "5", "bytes"]),
]


@pytest.mark.parametrize("field", ["attachments", "alternatives"])
def test_bad_values_of_files_are_named(field: str) -> None:
    for item, words in BAD_FILES:
        text = str(refused(composed, {field: [FILE, {"content": "ü", **item}]}))
        assert f"'{field}[1]{words[0]}" in text
        assert [word for word in words if word not in text] == []


def test_causes_are_chained() -> None:
    missing = refused(composed, {"attachments": [{"path": "/nowhere/at.all"}]})
    assert isinstance(missing.__cause__, FileNotFoundError)

    class Broken:
        def read(self) -> bytes:
            raise RuntimeError("out of order")

    broken = refused(composed, {"text": Broken()})
    assert "'text'" in str(broken)
    assert "out of order" in str(broken)
    assert isinstance(broken.__cause__, RuntimeError)
    assert isinstance(refused(composed, {"x": 1}).__cause__, TypeError)
