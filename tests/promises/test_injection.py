"""Whatever a caller hands in, a control character or line break in it is refused under the name of
the value, or arrives as a part of that value: it never makes a second command or header."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import smtp_connection
from smtp_connection import SMTPError
from smtp_connection.auth.credentials import Credentials
from smtp_connection.options.dkim import DKIMOptions
from smtp_connection.options.smtp import Options
from smtp_connection.options.tls import TLSOptions
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.xoauth2.options import XOAuth2Options
from tests.injected import VALUES
from tests.injected.values import CONTROL, injections
from tests.injected.world import World
from tests.support.mails import composed


@pytest.fixture
def world(reactor, by_hand, monkeypatch, tmp_path) -> World:
    return World(reactor, by_hand, monkeypatch, tmp_path)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.key)
def test_what_is_injected_is_refused_by_name_or_stays_where_it_is(world, value):
    assert value.essence(value.put(world, value.sample)) == value.essence(value.sample)
    for what, text in injections(value.sample):
        try:
            arrived = value.put(world, text)
        except (TypeError, ValueError, SMTPError) as error:
            check_text(str(error), value, what)
        else:
            assert value.essence(arrived) == value.essence(text), f"{arrived!r} of {text!r}"


def check_text(text, value, injected):
    """The text of an error names the value, and shows it escaped, unless it may be a secret."""
    assert value.called in text
    assert not CONTROL.search(text)
    if not value.hidden:
        shown = {injected, injected.strip()} - {""}  # at an edge, blanks may not count
        assert any(repr(each)[1:-1] in text for each in shown)


def test_as_many_are_tried_as_is_said():
    tried = sum(1 for value in VALUES for _ in injections(value.sample))
    assert tried >= 39_000


# -- nothing is forgotten -------------------------------------------------------------------------

NO_TEXT = {
    "options": {
        *("secure", "ignoreTLS", "requireTLS", "opportunisticTLS", "debug", "transactionLog"),
        *("connectionTimeout", "greetingTimeout", "socketTimeout", "socketCloseTimeout"),
        *("commandTimeouts", "sendTimeout", "dnsTimeout", "maxResponseSize"),
        *("ehloAfterAuth", "pipelineMessages", "lmtp", "secured"),
        *("logger", "socket", "connection", "beforeCommit"),
        *("disableFileAccess", "disableUrlAccess", "attachDataUrls"),
    },
    "tls": {
        *("rejectUnauthorized", "ca", "cert", "key", "ciphers", "minVersion", "maxVersion"),
        *("context", "session"),
    },
    "envelope": {
        *("use8BitMime", "requireTLSExtensionEnabled", "holdFor", "mtPriority", "beforeCommit"),
    },
    "mail": {
        *("disableFileAccess", "disableUrlAccess", "attachDataUrls", "keepBcc"),
        "requireTLSExtensionEnabled",
    },
    "headerValue": {"prepared", "foldLines"},
    "dkim": {"privateKey", "hashAlgo", "cacheTreshold"},
    "token": {
        *("timeout", "expires", "serviceRequestTimeout", "requestTimeout", "privateKey"),
    },
}
"""What is no text, or is read here: control characters in it are refused."""

TABLES = {
    "options": {"tls", "auth", "dkim"},
    "dkim": {"keys"},
    "envelope": {"dsn"},
    "token": {"tls"},
    "mail": {"attachments", "alternatives", "icalEvent", "list", "dsn", "dkim"},
}
"""Dicts, with rows of their own."""

ELSEWHERE = {"tls": {"passphrase"}, "dkim": {"cacheDir"}}
"""Text that reaches nobody: it opens the key, or names a folder."""

PARSERS = {
    "options": lambda given: Options.parse(given, {}),
    "tls": TLSOptions.parse,
    "envelope": lambda given: Envelope.parse({"to": "b@y.org", **given}),
    "dsn": lambda given: Envelope.parse({"to": "b@y.org", "dsn": given}),
    "dkim": DKIMOptions.parse,
    "token": lambda given: XOAuth2Options.parse(given, {}),
    "mail": composed,
    "address": lambda given: composed({"to": given}),
    "header": lambda given: composed({"headers": [given]}),
    "content": lambda given: composed({"text": given}),
    "file": lambda given: composed({"attachments": given}),
    "event": lambda given: composed({"icalEvent": given}),
    "list": lambda given: composed({"list": {"help": given}}),
    "headerValue": lambda given: composed({"headers": {"X-Own": given}}),
}


@pytest.mark.parametrize("group", PARSERS)
def test_every_name_that_a_dict_may_have_is_in_the_table(group):
    with pytest.raises((TypeError, SMTPError), match="known are") as caught:
        PARSERS[group]({"qqqqqqqqqqqqqqqq": "x"})
    known = set(str(caught.value).partition("known are ")[2].split(", "))
    others = [each.get(group, set()) for each in (NO_TEXT, TABLES, ELSEWHERE)]
    assert known == in_table(group).union(*others)


def in_table(group):
    keys = (value.key.partition(" ")[0].partition(".") for value in VALUES)
    return {name for first, _, name in keys if first == group} - NOT_BY_NAME.get(group, set())


NOT_BY_NAME = {"token": {"updateToken", "getToken"}}


def test_every_name_that_a_login_looks_for_is_in_the_table():
    looked_for = re.findall(r'\.get\("(\w+)"\)', inspect.getsource(Credentials))
    assert set(looked_for) == in_table("auth")


@pytest.mark.parametrize("injected", ["\0", "\r\nRSET", "\x85", "\u2028"])
@pytest.mark.parametrize(
    "key", [f"{group}.{name}" for group, names in NO_TEXT.items() for name in sorted(names)]
)
def test_everything_else_takes_no_text_with_control_characters(key, injected):
    group, _, name = key.partition(".")
    with pytest.raises((TypeError, ValueError, SMTPError)) as caught:
        PARSERS[group]({name: f"x{injected}y"})
    assert name in str(caught.value)
    assert not CONTROL.search(str(caught.value))


def test_only_the_modules_that_are_known_for_it_say_something_to_a_server():
    """Whatever another one wants to say needs a row in the table."""
    folder = Path(smtp_connection.__file__).parent
    calls = {
        (path.stem, ast.unparse(node.func))
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    steps = ("Command", "Pipeline", "_Line")
    speakers = {name for name, called in calls if called in steps}
    assert speakers == {
        *("custom", "mechanisms", "ntlm", "oauth", "prompts", "scram"),
        *("opening", "addressing", "transaction", "commands"),
    }
    writers = {name for name, called in calls if called.endswith("transport.write")}
    assert writers == {"exchange", "pump"}
