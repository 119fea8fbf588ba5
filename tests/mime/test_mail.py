"""A mail dict is read once: its names, the headers that are fields, its envelope."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.injected.peers import MailServer
from tests.support.mails import (
    SMALL,
    assert_refusal_names,
    case_name,
    composed,
    envelope_of,
    refused,
    sent,
)


def test_the_callers_dict_is_left_alone() -> None:
    mail = {
        "from": "a@x.org",
        "to": ["b@y.org"],
        "headers": {"Subject": "s", "X-A": ["1"]},
        "attachments": [],
    }
    before = repr(mail)
    composed(mail)
    envelope_of(mail)
    assert repr(mail) == before


class Counted(Mapping[str, Any]):
    """A dict that counts, in ``reads``, how often each of its values is read."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.reads = dict.fromkeys(given, 0)

    def __getitem__(self, name: str) -> Any:
        self.reads[name] += 1
        return self.given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)


def reads_in(value: Any) -> Iterator[int]:
    """Yield how often each value was read of the counted dicts in ``value``."""
    if isinstance(value, Counted):
        yield from value.reads.values()
        value = list(value.given.values())
    if isinstance(value, list):
        for item in value:
            yield from reads_in(item)


@pytest.mark.parametrize("envelope", [None, {"from": "a@x.org", "to": "b@x.org"}])
def test_a_dict_is_read_once(by_hand: Any, envelope: dict[str, Any] | None) -> None:
    mail = Counted(
        {
            "from": Counted({"name": "A", "address": "a@x.org"}),
            "to": [Counted({"name": "B", "address": "b@x.org"})],
            "replyTo": Counted({"name": "A", "address": "a@x.org"}),
            "subject": "s",
            "text": Counted({"content": "hello"}),
            "headers": Counted({"X-One": "1", "Cc": "b@x.org"}),
            "attachments": [Counted({"content": "x", "headers": Counted({"X-Two": "2"})})],
        }
    )
    said = MailServer(by_hand).hear(lambda c, done: c.send(envelope, mail, done))
    said[0] = re.sub(r" SIZE=\d+\Z", "", said[0])
    assert said == ["MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "DATA"]
    assert list(reads_in(mail)) == [1] * 19


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


def test_an_envelope_takes_the_sender_and_all_recipients_once() -> None:
    mail = {
        "from": "Author <a@x.org>, other@x.org",
        "to": ["B@Y.org", {"name": "C", "address": "c@y.org"}],
        "cc": "Team: d@y.org, c@y.org;",
        "bcc": [["e@y.org", "b@y.org"]],
        "text": "x",
    }
    to = ["B@Y.org", "c@y.org", "d@y.org", "e@y.org", "b@y.org"]
    assert envelope_of(mail) == {"from": "a@x.org", "to": to}
    assert envelope_of({**mail, "sender": "s@x.org"})["from"] == "s@x.org"
    assert envelope_of({"from": "a@x.org"}) == {"from": "a@x.org", "to": []}


def test_nobody_becomes_the_null_sender_by_mistake() -> None:
    for mail in ({"to": "b@y.org"}, {"from": "", "to": "b@y.org"}, {"from": None, "text": "x"}):
        assert "No sender" in str(refused(envelope_of, mail, "EENVELOPE"))


def test_an_unknown_field_is_an_error_here_too() -> None:
    assert "'to'" in str(refused(envelope_of, {"too": "a@x.org"}))


@pytest.mark.parametrize(
    ("field", "value"), [("to", "a b@x.org"), ("sender", "a@x.org, b@x.org"), ("from", 5)]
)
def test_the_code_of_an_address_error_tells_what_was_asked_for(field: str, value: Any) -> None:
    for call, code in ((envelope_of, "EENVELOPE"), (composed, "EMESSAGE")):
        assert str(refused(call, {field: value}, code)).startswith(f"'{field}'")


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ({"sender": "a@x.org, b@x.org"}, ["'sender'", "one address"]),
        ({"headers": {"content-type": "x/y"}}, ["'headers'", "content-type"]),
        ({"headers": {"Resent-Bcc": "a@x.org"}}, ["'headers'", "Resent-Bcc"]),
        ({"headers": {"Subject": ["1", "2"]}}, ["'subject'", "['1', '2']"]),
    ],
    ids=case_name,
)  # fmt: skip
def test_bad_values_are_named(mail: Any, words: list[str]) -> None:
    assert_refusal_names(mail, words)
