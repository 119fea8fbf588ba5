"""Envelopes, and the notifications that they ask for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.support.desk import Desk

from .values import CONTROL, Put, Value, nothing
from .world import World


def addressed(key: str, make: Callable[[str], Any] = str) -> Put:
    def put(world: World, text: str) -> str:
        mail, rcpt = world.send({"from": "a@x.org", "to": "b@y.org", key: make(text)})
        (sender,) = re.findall(r"^MAIL FROM:<([^<>]*)>(?: SMTPUTF8)?(?: SIZE=\d+)?$", mail)
        (recipient,) = re.findall("^RCPT TO:<([^<>]*)>$", rcpt)
        return str(sender if key == "from" else recipient)

    return put


def probed(key: str) -> Put:
    def put(world: World, text: str) -> str:
        envelope: Any = {"from": "a@x.org", "to": "b@y.org", key: text}
        said = world.server().hear(lambda connection, done: connection.probe(envelope, done))
        pattern = "MAIL FROM:<([^<>]*)>(?: SMTPUTF8)?\nRCPT TO:<([^<>]*)>\nRSET"
        found = re.fullmatch(pattern, "\n".join(said))
        assert found
        return found[1 if key == "from" else 2]

    return put


def asked(given: Callable[[str], dict[str, Any]], parameter: str) -> Put:
    def put(world: World, text: str) -> str:
        said = world.send({"from": "a@x.org", "to": "b@y.org", **given(text)})
        (found,) = re.findall(
            rf" {parameter}=([^ ]*)(?: SIZE=\d+)?$", "\n".join(said), re.MULTILINE
        )
        return str(found)

    return put


def notification(key: str, parameter: str) -> Put:
    return asked(lambda text: {"dsn": {key: text}}, parameter)


def requested(given: Callable[[str], dict[str, Any]], parameter: str, *announced: str) -> Put:
    """What MAIL asks for at a server that announces ``announced``."""

    def put(world: World, text: str) -> str:
        talk = Desk(*announced).send(*() if CONTROL.search(text) else ("550 no",), **given(text))
        if not talk.said:
            raise talk.error
        (found,) = re.findall(rf" {parameter}=([^ ]*)$", talk.said[0])
        return str(found)

    return put


def of_recipient(key: str, parameter: str) -> Put:
    def to(text: str) -> dict[str, Any]:
        return {"to": {"address": "b@y.org", "dsn": {key: text}}}

    return asked(to, parameter)


def without_blanks(text: str) -> str:
    return text.strip(" \t")


VALUES = [
    Value("envelope.from", "a@x.org", addressed("from"), "sender", without_blanks),
    Value("envelope.to", "b@y.org", addressed("to"), "recipient", without_blanks),
    Value(
        "envelope.to (list)",
        "b@y.org",
        addressed("to", lambda text: [text]),
        "recipient",
        without_blanks,
    ),
    Value(
        "envelope.to (dict)",
        "b@y.org",
        addressed("to", lambda text: {"address": text}),
        "recipient",
        without_blanks,
    ),
    Value(
        "envelope.from (name)",
        "A",
        addressed("from", lambda text: {"address": "a@x.org", "name": text}),
        "sender",
        nothing,
    ),
    Value(
        "envelope.from (dict)",
        "a@x.org",
        addressed("from", lambda text: {"address": text}),
        "sender",
        without_blanks,
    ),
    Value("envelope.from (of a probe)", "a@x.org", probed("from"), "sender", without_blanks),
    Value("envelope.to (of a probe)", "b@y.org", probed("to"), "recipient", without_blanks),
    Value("envelope.from (not ASCII)", "ä@x.org", addressed("from"), "sender", without_blanks),
    Value("envelope.size", "1000", asked(lambda text: {"size": text}, "SIZE"), "'size'"),
    Value(
        "envelope.auth",
        "e@x.org",
        requested(lambda text: {"auth": text}, "AUTH", "AUTH"),
        "'auth'",
        without_blanks,
    ),
    Value(
        "envelope.deliverBy (mode)",
        "N",
        requested(
            lambda text: {"deliverBy": {"seconds": 1, "mode": text}}, "BY=1;N|BY", "DELIVERBY"
        ),
        "'deliverBy'",
        nothing,
    ),
    Value(
        "envelope.holdUntil",
        "2030-06-01T12:00:00Z",
        requested(lambda text: {"holdUntil": text}, "HOLDUNTIL", "FUTURERELEASE"),
        "'holdUntil'",
    ),
    Value(
        "envelope.to (notify)",
        "DELAY",
        of_recipient("notify", "NOTIFY"),
        "DSN notify",
        str.strip,
    ),
    Value(
        "envelope.to (orcpt)",
        "rfc822;a@x.org",
        of_recipient("orcpt", "ORCPT"),
        "DSN orcpt",
    ),
    Value("dsn.ret", "HDRS", notification("ret", "RET"), "DSN ret"),
    Value("dsn.return", "HDRS", notification("return", "RET"), "DSN ret"),
    Value("dsn.envid", "order", notification("envid", "ENVID"), "DSN envid"),
    Value("dsn.id", "order", notification("id", "ENVID"), "DSN envid"),
    Value("dsn.notify", "DELAY", notification("notify", "NOTIFY"), "DSN notify", str.strip),
    Value("dsn.orcpt", "rfc822;a@x.org", notification("orcpt", "ORCPT"), "DSN orcpt"),
    Value("dsn.orcpt (utf-8)", "utf-8;a@x.org", notification("orcpt", "ORCPT"), "DSN orcpt"),
    Value("dsn.recipient", "rfc822;a@x.org", notification("recipient", "ORCPT"), "DSN orcpt"),
]
