"""What a signature says of the domain that has signed."""

from __future__ import annotations

from typing import Any

from smtp_connection.mime.compose import compose
from tests.support.mails import header_names
from tests.support.signatures import ED25519, tags

from .messages import MAIL
from .values import Put, Value, nothing
from .world import World


def said(tag: str, build: Any, *, by_key: bool = False) -> Put:
    """``build(text)`` are the options in which the value stands, and ``tag`` is where it arrives.

    The message has one signature more, with the tags of any other, and nothing else.
    """

    def put(world: World, text: str) -> str:
        own = {**ED25519, **build(text)}
        message = compose({**MAIL, "dkim": {"keys": [own]} if by_key else own}).build()
        assert header_names(message) == ["DKIM-Signature", *header_names(compose(MAIL).build())]
        found = tags(message)
        assert list(found) == ["v", "a", "c", "d", "q", "s", "t", "bh", "h", "b"]
        return found[tag].replace("\r\n ", "").removeprefix("from:from").lstrip(":")

    return put


def domain(text: str) -> dict[str, Any]:
    return {"domainName": text}


def selector(text: str) -> dict[str, Any]:
    return {"keySelector": text}


def names(text: str) -> dict[str, Any]:
    return {"headerFieldNames": f"from:{text}"}


def names_in_a_list(text: str) -> dict[str, Any]:
    return {"headerFieldNames": ["from", text]}


def skipped(text: str) -> dict[str, Any]:
    return {"headerFieldNames": "from:to", "skipFields": text}


VALUES = [
    Value("dkim.domainName", "x.org", said("d", domain), "'domainName'"),
    Value("dkim.domainName (one of several)", "x.org", said("d", domain, by_key=True), "'domain"),
    Value("dkim.keySelector", "news.2026", said("s", selector), "'keySelector'"),
    Value("dkim.headerFieldNames", "to", said("h", names), "'headerFieldNames'"),
    Value("dkim.headerFieldNames (list)", "to", said("h", names_in_a_list), "'headerFieldNames'"),
    Value("dkim.skipFields", "to", said("h", skipped), "'skipFields'", nothing),
]
