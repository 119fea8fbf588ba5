"""Greeting, EHLO, HELO or LHLO, and STARTTLS, fed by hand."""

from __future__ import annotations

import pytest

from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.opening import open_session
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.steps import StartTLS
from tests.support.helpers import Talk, failed, reply

EHLO = "250-mx\r\n250-PIPELINING\r\n250 SIZE 1000"
WITH_TLS = "250-mx\r\n250-PIPELINING\r\n250 STARTTLS"


def opened(*answers, **options):
    """Open a session; return the talk and the session."""
    session = Session("me", **options)
    talk = Talk(open_session(session), *answers)
    return talk, session


def test_greeting_and_ehlo():
    talk, session = opened("220 ready", EHLO)
    assert talk.said == ["AwaitGreeting", "EHLO me"]
    assert talk.error is None
    assert session.capabilities.size == 1000
    assert session.capabilities.pipelining
    assert not session.secure


@pytest.mark.parametrize(
    ("greeting", "code"),
    [("554 no", 554), ("250 ok", 250), ("221 bye", 221), ("354 go", 354)],
)
def test_another_greeting_than_220(greeting, code):
    talk, _ = opened(greeting)
    failed(talk, "EPROTOCOL", "CONN", f"Invalid greeting: {greeting}")
    assert (talk.error.response, talk.error.responseCode) == (greeting, code)


def test_421_as_greeting_is_the_end_of_the_connection():
    """It breaks no rule, and another attempt may succeed."""
    talk, _ = opened("421 busy")
    text = "The server closed the connection instead of greeting: 421 busy"
    failed(talk, "ECONNECTION", "CONN", text)
    assert (talk.error.response, talk.error.responseCode) == ("421 busy", 421)


def test_a_greeting_of_another_protocol_is_explained():
    talk, _ = opened("HTTP/1.1 400 Bad Request")
    failed(
        talk,
        "EPROTOCOL",
        "CONN",
        "Invalid greeting (this looks like an HTTP server: check host and port):"
        " HTTP/1.1 400 Bad Request",
    )


def test_helo_for_servers_that_do_not_know_ehlo():
    session = Session("me")
    session.capabilities = Capabilities(reply(WITH_TLS))
    talk = Talk(open_session(session), "220 ready", "502 what?", "250-mx\r\n250 STARTTLS")
    assert talk.said == ["AwaitGreeting", "EHLO me", "HELO me"]
    assert talk.error is None
    assert dict(session.capabilities) == {}, "HELO announces nothing"


def test_helo_refused():
    talk, _ = opened("220 ready", "502 what?", "550 no")
    failed(talk, "EPROTOCOL", "HELO", "HELO refused: 550 no")


def test_no_helo_where_tls_is_required():
    talk, _ = opened("220 ready", "502 what?", require_tls=True)
    failed(
        talk,
        "ECONNECTION",
        "EHLO",
        "EHLO refused, and with HELO there is no STARTTLS, which is required: 502 what?",
    )


def test_helo_where_tls_is_required_and_there():
    talk, _ = opened("220 ready", "502 what?", "250 mx", require_tls=True, secure=True)
    assert talk.said == ["AwaitGreeting", "EHLO me", "HELO me"]
    assert talk.error is None


def test_lhlo():
    talk, session = opened("220 ready", EHLO, lmtp=True)
    assert talk.said == ["AwaitGreeting", "LHLO me"]
    assert session.capabilities.pipelining


def test_lhlo_refused():
    talk, _ = opened("220 ready", "502 what?", lmtp=True)
    hint = "it does not know LHLO, so it seems to speak SMTP: try lmtp: False"
    failed(talk, "EPROTOCOL", "LHLO", f"LHLO refused ({hint}): 502 what?")


def test_lhlo_refused_by_a_server_that_knows_it():
    talk, _ = opened("220 ready", "550 no", lmtp=True)
    failed(talk, "EPROTOCOL", "LHLO", "LHLO refused: 550 no")


@pytest.mark.parametrize(
    ("greeting", "ehlo", "helo"),
    [
        ("220 mx LMTP Cyrus ready", "550 no", "550 no"),
        ("220 ready", "503 use LHLO", "503 use LHLO"),
        ("220 ready", "500 what?", "502 what?"),
    ],
)
@pytest.mark.parametrize("over_tls", [False, True])
def test_a_server_that_speaks_lmtp(greeting, ehlo, helo, over_tls):
    before = [WITH_TLS, "220 go", None] if over_tls else []
    talk, _ = opened(greeting, *before, ehlo, helo)
    hint = "it knows neither EHLO nor HELO, so it may speak LMTP: try lmtp: True"
    failed(talk, "EPROTOCOL", "HELO", f"HELO refused ({hint}): {helo}")


@pytest.mark.parametrize("options", [{}, {"require_tls": True}, {"opportunistic_tls": True}])
def test_starttls_where_it_is_announced(options):
    talk, session = opened("220 ready", WITH_TLS, "220 go", None, EHLO, **options)
    assert talk.said == ["AwaitGreeting", "EHLO me", "STARTTLS", "StartTLS", "EHLO me"]
    assert session.secure
    assert not session.upgrade_refused
    assert "STARTTLS" not in session.capabilities


def test_what_was_said_in_clear_text_is_forgotten():
    """Somebody in between could have added 'AUTH PLAIN', say."""
    session = Session("me")
    dialogue = open_session(session)
    answers = [None, reply("220 ready"), reply(WITH_TLS), reply("220 go")]
    steps = [dialogue.send(answer) for answer in answers]
    assert isinstance(steps[-1], StartTLS)
    assert not session.secure, "not before the handshake has succeeded"
    dialogue.send(None)
    assert session.secure
    assert dict(session.capabilities) == {}
    dialogue.close()


def test_lhlo_after_starttls():
    talk, _ = opened("220 ready", WITH_TLS, "220 go", None, EHLO, lmtp=True)
    assert talk.said[-1] == "LHLO me"


@pytest.mark.parametrize("announced", [WITH_TLS, EHLO])
@pytest.mark.parametrize("options", [{"ignore_tls": True}, {"secure": True}])
def test_no_starttls_where_it_is_not_wanted(announced, options):
    talk, session = opened("220 ready", announced, **options)
    assert talk.said == ["AwaitGreeting", "EHLO me"]
    assert session.secure == options.get("secure", False)


def test_tls_that_is_required_and_not_announced():
    """Nothing more is said, in clear text, to whoever took the announcement out."""
    talk, _ = opened("220 ready", EHLO, require_tls=True)
    assert talk.said == ["AwaitGreeting", "EHLO me"]
    failed(talk, "ETLS", "STARTTLS", "STARTTLS is required, and the server does not offer it")


@pytest.mark.parametrize("options", [{}, {"require_tls": True}])
@pytest.mark.parametrize("answer", ["454 later", "502 what?", "334 go"])
def test_starttls_refused(options, answer):
    talk, session = opened("220 ready", WITH_TLS, answer, **options)
    failed(talk, "ETLS", "STARTTLS", f"STARTTLS refused: {answer}")
    assert not session.secure


def test_starttls_refused_and_not_needed():
    talk, session = opened("220 ready", WITH_TLS, "454 later", opportunistic_tls=True)
    assert talk.error is None
    assert session.upgrade_refused
    assert not session.secure
    assert session.capabilities.pipelining
