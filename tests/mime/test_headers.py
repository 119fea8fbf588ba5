"""Header fields as they are written, and what cannot enter one."""

from __future__ import annotations

import email
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.policy import default
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp_connection.errors import SMTPError
from tests.support.mails import (
    FILE,
    SMALL,
    assert_refusal_names,
    case_name,
    composed,
    envelope_of,
    header_names,
    mailboxes,
    refused,
    sent,
    written,
)

# --- addresses ------------------------------------------------------------------------------------

ADDRESSES: list[tuple[Any, list[tuple[str, str]]]] = [
    ("a@x.org", [("", "a@x.org")]),
    (" a@x.org ,, b@x.org, ", [("", "a@x.org"), ("", "b@x.org")]),
    ("<a@x.org>", [("", "a@x.org")]),
    ("John Q. Public <a@x.org>", [("John Q. Public", "a@x.org")]),
    ('"Doe, \\"J\\" \\\\" <a@x.org>', [('Doe, "J" \\', "a@x.org")]),
    ("a@x.org (Alice)", [("Alice", "a@x.org")]),
    ("Alice (Sales) <a@x.org> (home)", [("Alice (Sales)", "a@x.org")]),
    ("[List] Admin <a@x.org>", [("[List] Admin", "a@x.org")]),
    ("a@x.org <a@x.org>", [("a@x.org", "a@x.org")]),
    ("Jürgen <a@x.org>", [("Jürgen", "a@x.org")]),
    ("=?utf-8?q?J=C3=BCrgen?= <a@x.org>", [("Jürgen", "a@x.org")]),
    ('"a b"@x.org', [("", '"a b"@x.org')]),
    ("Team: a@x.org, B <b@x.org>;, c@x.org", [("", "a@x.org"), ("B", "b@x.org"), ("", "c@x.org")]),
    ({"name": "=?utf-8?q?x?=", "address": "a@x.org"}, [("=?utf-8?q?x?=", "a@x.org")]),
    ('"=?utf-8?q?x?=" <a@x.org>', [("=?utf-8?q?x?=", "a@x.org")]),
    ("=?utf-8?q?ceo=40bank=2C?= <a@x.org>", [("ceo@bank,", "a@x.org")]),
    ("a@x.org (=?utf-8?q?=C3=BC?=)", [("ü", "a@x.org")]),
    ({"address": " a@x.org ", "name": None}, [("", "a@x.org")]),
    (
        {"Address": "a@x.org", "name": 'Ü, "x" <evil@x.org>'},
        [('Ü, "x" <evil@x.org>', "a@x.org")],
    ),
    (
        [["a@x.org", [{"address": "b@x.org"}]], (), "c@x.org, d@x.org"],
        [("", f"{local}@x.org") for local in "abcd"],
    ),
    ([{"name": "n" * 3000, "address": "a@x.org"}] * 3, [("n" * 3000, "a@x.org")] * 3),
    (
        [f"Recipient {n} <r{n}@x.org>" for n in range(300)],
        [(f"Recipient {n}", f"r{n}@x.org") for n in range(300)],
    ),
    ("", []),
    ([None, []], []),
]


@pytest.mark.parametrize(("given", "expected"), ADDRESSES, ids=range(len(ADDRESSES)))
def test_addresses(given: Any, expected: list[tuple[str, str]]) -> None:
    wire = written({**SMALL, "to": given})
    assert mailboxes(wire, "To") == expected
    assert ("To" in header_names(wire)) == bool(expected)


def test_a_name_with_specials_names_nobody_else() -> None:
    name = 'Boss, <boss@x.org>; "x" \\' + " padding" * 20
    wire = written({**SMALL, "from": {"name": name, "address": "a@x.org"}})
    assert mailboxes(wire, "From") == [(name, "a@x.org")]


def test_groups_stay_groups() -> None:
    message = sent({**SMALL, "to": "Köln Büro: a@x.org, b@x.org;, Nobody:;"})
    groups = [(group.display_name, len(group.addresses)) for group in message["To"].groups]
    assert groups == [("Köln Büro", 2), ("Nobody", 0)]


def test_address_literals_need_no_brackets() -> None:
    wire = written({"to": "a@[IPv6:2001:db8::1]", "cc": "Bob <b@[192.0.2.1]>", "text": "x"})
    assert b"To: a@[IPv6:2001:db8::1]\r\nCc: Bob <b@[192.0.2.1]>\r\n" in wire


def test_a_local_user_is_given_in_brackets_or_as_an_address() -> None:
    mail = {"from": "Cron <root>", "to": {"address": "postmaster"}, "text": "x"}
    assert b"From: Cron <root>\r\nTo: <postmaster>\r\n" in written(mail)
    assert envelope_of(mail) == {"from": "root", "to": ["postmaster"]}


def test_non_ascii_addresses_are_written_in_utf8() -> None:
    mail = {**SMALL, "to": "Jürgen <jürgen@köln.example>", "subject": "ü"}
    wire = written(mail)
    assert "To: =?utf-8?q?J=C3=BCrgen?= <jürgen@köln.example>\r\n".encode() in wire
    assert b"Subject: =?utf-8?b?w7w=?=\r\n" in wire
    assert composed(mail).envelope["to"] == ["jürgen@köln.example"]


# --- text and parameters --------------------------------------------------------------------------


def test_long_and_foreign_filenames_take_rfc_2231() -> None:
    wire = written({"attachments": [{"content": "x", "filename": "Übersicht.txt"}]})
    assert b"attachment; filename*=utf-8''%C3%9Cbersicht.txt\r\n" in wire
    wire = written({"attachments": [{"content": "x", "filename": " blanks "}]})
    assert b"attachment; filename*=utf-8''%20blanks%20\r\n" in wire
    wire = written({"attachments": [{"content": "x", "filename": "日" * 30}]})
    assert b"\r\n filename*0*=utf-8''%E6%97%A5" in wire
    assert b";\r\n filename*1*=%E6%97%A5" in wire
    assert max(map(len, wire.split(b"\r\n"))) <= 78


# --- ids ------------------------------------------------------------------------------------------


def test_long_ids_are_folded_between_never_within() -> None:
    ids = [f"<{'i' * 70}.{number}@x.org>" for number in range(30)]
    wire = written({**SMALL, "references": ids, "inReplyTo": ids[0][1:-1]})
    assert b"\r\nReferences: " + "\r\n ".join(ids).encode() + b"\r\n" in wire
    assert f"\r\nIn-Reply-To: {ids[0]}\r\n".encode() in wire


def test_references_may_come_from_a_header_that_was_received() -> None:
    received = "<1@x>\r\n <2@x>\n\t<3@x>"
    message = sent({**SMALL, "references": received, "inReplyTo": [received, "<4@x>"]})
    assert message["References"] == "<1@x> <2@x> <3@x>"
    assert message["In-Reply-To"] == "<1@x> <2@x> <3@x> <4@x>"
    within: list[Any] = []
    within.append(within)
    refused(composed, {**SMALL, "references": within})


def test_references_are_taken_as_text_too() -> None:
    assert sent({**SMALL, "references": "<1@x> 2@x\t<3@x>"})["References"] == "<1@x> <2@x> <3@x>"


def test_date_and_message_id_are_made_where_there_is_none() -> None:
    messages = [sent(SMALL), sent({**SMALL, "date": "", "messageId": ""})]
    ids = {message["Message-ID"] for message in messages}
    assert len(ids) == 2
    assert all(re.fullmatch(r"<[0-9a-f]{32}@x\.org>", one) for one in ids)
    date = messages[0]["Date"].datetime
    assert abs(datetime.now(timezone.utc) - date) < timedelta(minutes=1)
    assert date.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("fields", "domain"),
    [
        ({"sender": "s@sender.org"}, "sender.org"),
        ({"from": "Team: t@team.org;"}, "team.org"),
        ({"from": "<root>"}, "localhost"),
        ({"from": "a@köln.example"}, "xn--kln-sna.example"),
        ({"from": "ä@köln.example"}, "localhost"),
        ({"from": None}, "localhost"),
    ],
)
def test_the_domain_of_a_message_id_is_the_senders(fields: dict[str, Any], domain: str) -> None:
    wire = written({**SMALL, **fields})
    assert re.search(rb"(?m)^Message-ID: <[^@>]+@%s>\r$" % domain.encode(), wire)


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ({"from": "a" * 1100 + "@x.org"}, ["'From'", "998"]),
        ({"to": "=?utf-8?q?x=0D=0ABcc=3A?= <a@x.org>"}, ["'to'", "without line breaks", "\\r\\n"]),
        ({"to": "=?utf-8?q?x=E2=80=A8?=: a@x.org;"}, ["'to'", "without line breaks"]),
        ({"to": "a@x.org (=?utf-8?q?=00?=)"}, ["'to'", "cannot read"]),
        ({"messageId": "1@x 2@x"}, ["'messageId'", "one id", "1@x 2@x"]),
        ({"messageId": 5}, ["'messageId'", "5"]),
        ({"messageId": "ü@x"}, ["'messageId'", "ü@x", "ASCII"]),
        ({"references": ["<a@x", "b@x"]}, ["'references'", "<a@x", "<id@domain>"]),
    ],
    ids=case_name,
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    assert_refusal_names(mail, words)


# --- what enters no header ------------------------------------------------------------------------

FORBIDDEN = [
    *(chr(code) for code in range(0x20) if chr(code) != "\t"),
    *(chr(code) for code in range(0x7F, 0xA0)),
    *"\u2028\u2029\ud800\udbff\udc00\udcff\udfff",
    "\r\n",
    "\r\n ",
]

PLACES: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "from": ("a@x.org", lambda text: {"from": text}),
    "sender": ("Name <a@x.org>", lambda text: {"sender": text}),
    "to": ('"Na me" <a@x.org>, b@x.org', lambda text: {"to": text}),
    "cc": ("a@x.org (comment)", lambda text: {"cc": [[text]]}),
    "bcc": ("a@x.org", lambda text: {"bcc": text}),
    "replyTo": ("Group: a@x.org;", lambda text: {"replyTo": text}),
    "address": ("a@x.org", lambda text: {"to": {"address": text}}),
    "name": ("Some Name", lambda text: {"to": {"name": text, "address": "a@x.org"}}),
    "subject": ("Some text", lambda text: {"subject": text}),
    "messageId": ("<a@x.org>", lambda text: {"messageId": text}),
    "inReplyTo": ("<a@x.org>", lambda text: {"inReplyTo": text}),
    "references": ("<a@x.org>", lambda text: {"references": ["<1@x>", text]}),
    "date": ("6 May 2024 07:08:09 -0500", lambda text: {"date": text}),
    "header": ("Some text", lambda text: {"headers": {"X-A": ["1", text]}}),
    "pair": ("Some text", lambda text: {"headers": [{"key": "X-A", "value": text}]}),
    "header name": ("X-Name", lambda text: {"headers": {text: "1"}}),
    "to header": ("a@x.org", lambda text: {"headers": {"To": text}}),
    "filename": ("a.txt", lambda text: {"attachments": [{**FILE, "filename": text}]}),
    "cid": ("1@x", lambda text: {"attachments": [{**FILE, "cid": text}]}),
    "type": ('a/b; c="d"', lambda text: {"attachments": [{**FILE, "contentType": text}]}),
    "disposition": ("inline", lambda text: {"attachments": [{**FILE, "contentDisposition": text}]}),
    "part header": ("1", lambda text: {"attachments": [{**FILE, "headers": {"X-A": text}}]}),
    "part name": ("X-A", lambda text: {"attachments": [{**FILE, "headers": {text: "1"}}]}),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_control_character_enters_a_header(place: str) -> None:
    good, mail = PLACES[place]
    composed(mail(good))
    for forbidden in FORBIDDEN:
        if forbidden == "\r\n " and place in ("inReplyTo", "references"):
            continue  # as it is folded in the message that is replied to
        for at in (0, 1, len(good) // 2, len(good)):
            bad = good[:at] + forbidden + good[at:]
            refused(composed, mail(bad))


@given(st.sampled_from(sorted(PLACES)), st.text(min_size=1), st.integers(0, 30))
@settings(max_examples=400, deadline=None)
def test_no_text_makes_a_second_header(place: str, inserted: str, at: int) -> None:
    good, mail = PLACES[place]
    text = good[:at] + inserted + good[at:]
    try:
        message = composed(mail(text))
    except SMTPError as error:
        assert (error.code, error.command) == ("EMESSAGE", "API")  # noqa: PT017
        return
    wire = message.build()
    names = header_names(wire)
    expected = header_names(written(mail(good)))
    if place == "header name":
        expected[expected.index("X-Name")] = text
    elif place in ("from", "sender", "to", "cc", "to header", "replyTo") and len(names) < len(
        expected
    ):
        return  # the text became one that names nobody: no header
    assert names == expected
    parsed = email.message_from_bytes(wire, policy=default)
    assert list(parsed.keys()) == expected
    if place in ("subject", "header", "pair") and "=?" not in text:
        field = "Subject" if place == "subject" else "X-A"
        assert parsed.get_all(field)[-1] == text  # type: ignore[index]
    if place == "name" and "=?" not in text:
        assert mailboxes(wire, "To") == [(text.strip(), "a@x.org")]
