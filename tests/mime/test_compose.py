"""Messages from dicts: their headers, and how their parts are nested."""

from __future__ import annotations

from email.message import Message
from typing import Any

import pytest

from tests.support.mails import (
    CALENDAR,
    FILE,
    SMALL,
    assert_refusal_names,
    case_name,
    header_names,
    sent,
    written,
)

ALWAYS = ["From", "To", "Date", "Message-ID", "MIME-Version", "Content-Type"]


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


# --- bodies ---------------------------------------------------------------------------------------

PICTURE = {"filename": "p.png", "content": b"\x89PNG", "cid": "p1"}

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


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ({}, ["Empty message"]),
        ({"text": None}, ["Empty message"]),
        ({"priority": "urgent"}, ["'priority'", "'high', 'normal' or 'low'", "urgent"]),
        ({"html": b"\xff"}, ["'html'", "UTF-8"]),
        ({"text": "\ud800" + "x" * 9999}, ["'text'", "UTF-8", "\\ud800xxx"]),
    ],
    ids=case_name,
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    assert_refusal_names(mail, words)
