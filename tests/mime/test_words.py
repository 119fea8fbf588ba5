"""Words of headers: encoded, decoded, and folded between."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp_connection.errors import SMTPError
from smtp_connection.mime.words import decoded, encoded_words, folded, text_value
from tests.support.mails import SMALL, sent, written


@pytest.mark.parametrize(
    "subject",
    [
        "Hello world",
        "two  blanks\tand a tab",
        " outer blanks ",
        "Grüße aus Köln",
        "日本語の件名" * 40,
        "word " * 300 + "end",
        "x" * 5000,
        " " * 1500 + "x",
        "😀" * 100,
        "From: me",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_subjects_arrive_as_they_were_given(subject: str) -> None:
    assert sent({**SMALL, "subject": subject})["Subject"] == subject


ENCODED_PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "Subject": lambda text: {"subject": text},
    "From": lambda text: {"from": {"name": text, "address": "a@x.org"}},
    "To": lambda text: {"to": ["b@x.org", {"name": text, "address": "c@x.org"}, "d@x.org"]},
    "Cc": lambda text: {"cc": f"{text}: b@x.org, {text} <c@x.org>;, d@x.org"},
    "X-" + "N" * 40: lambda text: {"headers": {"X-" + "N" * 40: text}},
    "X-" + "N" * 70: lambda text: {"headers": {"X-" + "N" * 70: text}},
}


@pytest.mark.parametrize("name", ENCODED_PLACES, ids=lambda name: f"{name:.4}-{len(name)}")
@pytest.mark.parametrize(("letter", "longest"), [("x", 75), ("日", 72)])
def test_encoded_words_and_their_lines_are_as_long_as_they_may_be(
    name: str, letter: str, longest: int
) -> None:
    """RFC 2047 2: an encoded word has at most 75 octets, a line with one in it at most 76.

    In quoted-printable (one letter takes one octet) there are words of exactly 75; in base64 (three
    octets become four) the next one after 72 would be 76.
    """
    found = set()
    for length in range(40, 140):
        text = "ü" + letter * length
        wire = written(ENCODED_PLACES[name](text))
        (header,) = re.findall(rb"(?m)^%s:(?:.*\r\n)(?:[ \t].*\r\n)*" % name.encode(), wire)
        assert (len(name) > 60) == header.startswith(name.encode() + b": \r\n"), "room is not used"
        for line in header.split(b"\r\n"):
            words = re.findall(rb"=\?utf-8\?[qb]\?[^? ]*\?=", line)
            assert not words or len(line) <= 76, line
            found |= {len(word) for word in words}
        value = make_header(decode_header(header.decode().replace("\r\n", "")))
        assert str(value).count(text) == (2 if name == "Cc" else 1)
    assert max(found) == longest


def test_a_subject_that_is_already_encoded_stays_so() -> None:
    assert b"\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" in written(
        {**SMALL, "subject": "=?utf-8?q?Gr=C3=BC=C3=9Fe?="}
    )


def test_a_long_url_is_not_taken_apart() -> None:
    url = f"<https://x.org/{'u' * 300}>"
    wire = written({**SMALL, "headers": {"List-Unsubscribe": url}})
    assert f"\r\nList-Unsubscribe: {url}\r\n".encode() in wire


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.integers(0, 80),
    st.sampled_from(["", "Q", "B"]),
)
@settings(max_examples=400, deadline=None)
def test_encoded_words_are_decoded(text: str, room: int, encoding: str) -> None:
    words = encoded_words(text, room, encoding)
    assert "".join(str(make_header(decode_header(word))) for word in words) == text
    assert decoded(" ".join(words)) == text
    assert max(map(len, words)) <= 75
    assert len(words[0]) <= room or room < 24
    if encoding:
        assert all(word.startswith(f"=?utf-8?{encoding.lower()}?") for word in words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=?utf-8?q?J=C3=BCrgen?=", "Jürgen"),
        ("a =?ISO-8859-1?Q?=FC?= =?utf-8*de?B?w7w?= b", "a üü b"),
        ("=?utf-8?q?a?=\r\n =?utf-8?q?b_c?=", "ab c"),
        ("x=?utf-8?q?a?=", "x=?utf-8?q?a?="),
        ("=?utf-8?q?a?=x", "=?utf-8?q?a?=x"),
        ("=?x-unknown?q?a?=", "=?x-unknown?q?a?="),
        ("=?utf-8?q?=FF?=", "=?utf-8?q?=FF?="),
        ("=?utf-8?b?!!!?= =?utf-8?q?a?=", "a"),
        ("=?rot13?q?a?=", "=?rot13?q?a?="),
        ("=?utf-8?q??=", ""),
        ("=?a b?=", "=?a b?="),
        ("plain", "plain"),
    ],
)
def test_what_cannot_be_decoded_stays_as_it_is(text: str, expected: str) -> None:
    assert decoded(text) == expected


# --- folding --------------------------------------------------------------------------------------


def test_lines_are_as_short_as_they_can_be() -> None:
    words = ["x" * 30] * 10 + ["y" * 300] + ["z" * 30] * 3
    lines = f"Name: {folded('Name', words)}".split("\r\n")
    assert [len(line) for line in lines[:5]] == [67, 62, 62, 62, 62]
    assert [len(line) for line in lines[5:]] == [301, 62, 31]
    assert " ".join(lines).replace("  ", " ") == "Name: " + " ".join(words)


@pytest.mark.parametrize("name", ["X-A", "List-Unsubscribe"])
def test_a_long_word_has_a_line_of_its_own(name: str) -> None:
    word = "x" * (998 - len(name) - 2)
    assert text_value(name, word) == word
    word = "x" * 997
    assert text_value(name, word) == f"\r\n {word}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("List-Unsubscribe", f"<https://x.org/{'u' * 900}>"),
        ("List-Unsubscribe", f"<https://x.org/{'u' * 500}>, <https://x.org/{'v' * 500}>"),
        ("Message-ID", "  <a@x.org>"),
    ],
)
def test_a_structured_header_is_never_encoded(name: str, text: str) -> None:
    value = text_value(name, text)
    assert "=?" not in value
    assert value.replace("\r\n", "").strip() == text.strip()


@pytest.mark.parametrize("name", ["List-Unsubscribe", "ARC-Seal", "Received", "content-LANGUAGE"])
def test_a_structured_header_takes_ascii_alone(name: str) -> None:
    with pytest.raises(SMTPError, match=f"'{name}' takes ASCII: it is a structured header"):
        text_value(name, "<https://x.org/ü>")
    with pytest.raises(SMTPError, match="over 998 octets"):
        text_value(name, "x" * 998)


# --- the cost -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["ü" * 500_000, "a " * 500_000 + "ü", "x" * 1_000_000, "a b " * 250_000 + "c"]
)
def test_a_megabyte_takes_linear_time(text: str) -> None:
    value = text_value("Subject", text)
    assert max(map(len, value.split("\r\n"))) <= 76
    assert decoded(value.replace("\r\n", "")) == text
