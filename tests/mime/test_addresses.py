"""Address lists: what they are read as, and what is refused."""

from __future__ import annotations

import email
import re
from email.header import Header
from email.message import EmailMessage, Message
from email.policy import default
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp_connection.errors import SMTPError
from tests.support.mails import (
    assert_refusal_names,
    case_name,
    composed,
    envelope_of,
    raw_message,
    refused,
    written,
)

READABLE = [
    ("a@x.org", ["a@x.org"]),
    ("A.B+c@X.Org, b@y.org,", ["A.B+c@X.Org", "b@y.org"]),
    ('"Doe, John" <j@x.org>', ["j@x.org"]),
    ('"alice@good.example" <bob@x.org>', ["bob@x.org"]),
    ("Jürgen <j@x.org>", ["j@x.org"]),
    ("John Q. Public <j@x.org>", ["j@x.org"]),
    ('"a b"@x.org', ['"a b"@x.org']),
    ("Team: a@x.org, B <b@x.org>;", ["a@x.org", "b@x.org"]),
    ("undisclosed-recipients:;", []),
    ("jürgen@köln.example", ["jürgen@köln.example"]),
    ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
    ("a@[IPv6:2001:db8::1], <b@[IPv6:::1]>", ["a@[IPv6:2001:db8::1]", "b@[IPv6:::1]"]),
    ("a@x.org (Alice)", ["a@x.org"]),
]

AMBIGUOUS = [
    "alice@good.example <bob@evil.example>",
    "alice@good.example bob@evil.example",
    "alice@good.example, <bob@evil.example> x",
    "alice@good.example(<bob@evil.example>",
    "<alice@good.example> <bob@evil.example>",
    "alice@good.example@evil.example",
    "Doe, John <j@x.org>",
    "a@x.org; b@x.org",
    "team: a@x.org",
    "a@b: c@x.org;",
    "<a@x.org>: b@x.org;",
    "A <b>: c@x.org;",
    "mailto:a@x.org",
    "a@x.org>",
    "<a@x.org",
    '"a@x.org',
    "a@[x@evil.example]",
    "@x.org",
    "<>",
    "a b@x.org",
    "a\\@x.org",
]


@pytest.mark.parametrize(("text", "expected"), READABLE)
def test_addresses_are_read_alike_everywhere(text: str, expected: list[str]) -> None:
    assert envelope_of({"from": "z@x.org", "to": text})["to"] == expected
    assert envelope_of(raw_message(("To", text)))["to"] == expected
    old = Message()
    old["To"] = text
    assert envelope_of(old)["to"] == expected
    old = Message()
    old["To"] = Header(text, "utf-8")
    assert envelope_of(old)["to"] == expected
    new = EmailMessage()
    new["To"] = text
    assert envelope_of(new)["to"] == expected


# EmailMessage does not take the first two at all, and has one reading of the others.
AMBIGUOUS_TEXT = ["one: two: a@x.org;", "a@", "(comment)", "alice(,bob@evil.example)@good.example"]


@pytest.mark.parametrize("text", AMBIGUOUS + AMBIGUOUS_TEXT)
def test_what_has_more_than_one_reading_is_sent_to_nobody(text: str) -> None:
    for field in ("from", "to", "bcc"):
        assert repr(field) in str(refused(envelope_of, {field: text}, "EENVELOPE"))
    old = Message()
    old["To"] = text
    refused(envelope_of, old, "EENVELOPE")
    if text not in AMBIGUOUS_TEXT:
        new = EmailMessage()
        new["To"] = text
        refused(envelope_of, new, "EENVELOPE")


def test_an_error_quotes_the_address() -> None:
    text = str(refused(envelope_of, {"to": ["a@x.org", "b@x.org <c@x.org>"]}, "EENVELOPE"))
    assert "'b@x.org <c@x.org>'" in text
    assert "'to'" in text
    assert "'b c'" in str(refused(envelope_of, {"to": "a@x.org, b c"}, "EENVELOPE"))


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ({"to": 5}, ["'to'", "name@example.com", "5"]),
        ({"to": b"a@x.org"}, ["'to'", "b'a@x.org'"]),
        ({"to": {"adress": "a@x.org"}}, ["'to'", "did you mean 'address'"]),
        ({"to": {"address": "a@x.org, b@x.org"}}, ["'to'", "a@x.org, b@x.org", "one address"]),
        ({"to": {"name": "x"}}, ["'to'", "None"]),
        ({"to": {"name": 5, "address": "a@x.org"}}, ["'to'", "5"]),
        ({"replyTo": "x <y> <z>"}, ["'replyTo'", "x <y> <z>"]),
        ({"bcc": "root"}, ["'bcc'", "root"]),
    ],
    ids=case_name,
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    assert_refusal_names(mail, words)


@pytest.mark.parametrize(
    "item", [5, b"a@x.org", {"address": 5}, {"adress": "x"}, {"address": "a@x\n"}, "a\r@x"]
)
def test_what_is_no_address_is_no_recipient(item: Any) -> None:
    refused(envelope_of, {"to": ["a@x.org", item]}, "EENVELOPE")


def test_a_list_that_contains_itself() -> None:
    within: list[Any] = ["a@x.org"]
    within.append((within,))
    for call, code in ((envelope_of, "EENVELOPE"), (composed, "EMESSAGE")):
        assert "'cc': a list contains itself" in str(refused(call, {"cc": within}, code))
    deep: Any = "a@x.org"
    for _ in range(100):
        deep = [deep]
    assert envelope_of({"from": "z@x.org", "to": deep})["to"] == ["a@x.org"]
    assert "nested over 100 deep" in str(refused(envelope_of, {"to": [deep]}, "EENVELOPE"))


@given(st.text('ab@<>()[]"\\,:; .x\n'))
@settings(max_examples=400, deadline=None)
def test_every_recipient_is_one_that_was_written(text: str) -> None:
    try:
        envelope = envelope_of(raw_message(("To", text)))
    except SMTPError as error:
        assert error.code == "EENVELOPE"  # noqa: PT017
        return
    for address in envelope["to"]:
        assert address in text
        assert re.search(r"[<>\n]", address) is None
    mail = {"to": text.replace("\n", " "), "text": "x"}
    if "\n" not in text and envelope["to"]:
        again = email.message_from_bytes(written(mail), policy=default)
        assert envelope_of(again)["to"] == envelope["to"]


@given(st.lists(st.tuples(st.text(), st.sampled_from(["a@x.org", '"q, r"@x.org', "root"]))))
@settings(max_examples=150, deadline=None)
def test_any_names_leave_the_addresses_alone(pairs: list[tuple[str, str]]) -> None:
    to = [{"name": name, "address": address} for name, address in pairs]
    mail = {"from": "z@x.org", "to": to, "text": "x"}
    try:
        message = composed(mail)
    except SMTPError as error:
        assert (error.code, error.command) == ("EMESSAGE", "API")  # noqa: PT017
        return
    expected = list(dict.fromkeys(address for _, address in pairs))
    again = email.message_from_bytes(message.build(), policy=default)
    assert envelope_of(mail)["to"] == message.envelope["to"] == expected
    assert envelope_of(again)["to"] == expected


def test_reading_addresses_takes_linear_time() -> None:
    many = {"from": "z@x.org", "to": ", ".join(f"r{n}@x.org" for n in range(20000))}
    assert len(envelope_of(many)["to"]) == 20000
    for opening in ('"', "(", "<", "a", "a@", "\\", '"a" ', "(a) ", "a, "):
        refused(envelope_of, {"to": opening * 50001}, "EENVELOPE")
