"""The choice among the mechanisms, and what a login does whichever it is."""

from __future__ import annotations

import pytest

from smtp_connection.auth.credentials import Credentials
from smtp_connection.auth.login import choose_mechanism, login
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.session import Session
from tests.support.helpers import Talk, reply
from tests.support.login_talk import PASSWORD, TOKEN, log_in, session_with

ALL = ["LOGIN", "XOAUTH2", "CRAM-MD5", "PLAIN", "NTLM"]
BOTH = {**PASSWORD, "xoauth2": "token"}


@pytest.mark.parametrize(
    ("auth", "mechanisms", "options", "choice"),
    [
        (PASSWORD, ALL, {}, "CRAM-MD5"),
        (PASSWORD, ALL, {"secure": True}, "PLAIN"),
        (PASSWORD, ["LOGIN", "CRAM-MD5"], {"secure": True}, "LOGIN"),
        (PASSWORD, ["LOGIN", "PLAIN"], {}, "PLAIN"),
        (PASSWORD, ["cram-md5"], {"secure": True}, "CRAM-MD5"),
        (BOTH, ALL, {}, "XOAUTH2"),
        (BOTH, ["PLAIN"], {}, "PLAIN"),
        ({**PASSWORD, "domain": "D"}, ALL, {}, "NTLM"),
        ({**PASSWORD, "domain": "D"}, ["PLAIN"], {}, "PLAIN"),
        (PASSWORD, ALL, {"auth_method": "LOGIN"}, "LOGIN"),
        (PASSWORD, [], {"auth_method": "LOGIN"}, "LOGIN"),
        ({**PASSWORD, "method": " login "}, ALL, {"auth_method": "PLAIN"}, "LOGIN"),
        ({**PASSWORD, "method": "X-Own"}, [], {}, "X-OWN"),
        (BOTH, ALL, {"auth_method": "PLAIN"}, "PLAIN"),
        (PASSWORD, ["X-OWN"], {"custom_auth": {"X-OWN": None}}, "X-OWN"),
        (PASSWORD, ["X-OWN", "PLAIN"], {"custom_auth": {"X-OWN": None}}, "PLAIN"),
    ],
)
def test_the_choice(auth, mechanisms, options, choice):
    assert choose_mechanism(Credentials(auth), session_with(*mechanisms, **options)) == choice


@pytest.mark.parametrize(
    ("auth", "mechanisms", "offer"),
    [
        (PASSWORD, [], "it announces none"),
        (PASSWORD, ["GSSAPI", "X-OWN"], "it announces GSSAPI, X-OWN"),
        (PASSWORD, ["XOAUTH2"], "it announces XOAUTH2"),
        (TOKEN, ["PLAIN", "LOGIN"], "it announces PLAIN, LOGIN"),
        (None, [], "it announces none"),
    ],
)
def test_no_choice_sends_no_credential(auth, mechanisms, offer):
    talk = log_in(auth, mechanisms=mechanisms)
    assert talk.said == []
    assert str(talk.error) == (
        f"The server announces no authentication mechanism that fits; {offer}"
    )
    assert talk.error.command == "API"


@pytest.mark.parametrize(
    ("announced", "options", "hint"),
    [
        (["STARTTLS"], {}, "only after STARTTLS)"),
        (["STARTTLS"], {"ignore_tls": True}, "only after STARTTLS: try without ignoreTLS)"),
        ([], {"ignore_tls": True}, "only after STARTTLS: try without ignoreTLS)"),
        (["STARTTLS"], {"ignore_tls": True, "secure": True}, ""),
        (["STARTTLS", "AUTH GSSAPI"], {"ignore_tls": True}, ""),
    ],
)
def test_no_mechanism_because_of_clear_text(announced, options, hint):
    session = Session("me", **options)
    session.capabilities = Capabilities(
        reply("\r\n".join(["250-mx", *(f"250-{each}" for each in announced), "250 HELP"]))
    )
    talk = Talk(login(PASSWORD, session))
    assert talk.said == []
    assert talk.error.code == "EAUTH"
    assert ("this connection is in clear text" in str(talk.error)) is bool(hint)
    assert str(talk.error).endswith(hint)


def test_an_unknown_mechanism():
    talk = log_in({**PASSWORD, "method": "gssapi"}, mechanisms=["GSSAPI"])
    assert talk.said == []
    assert str(talk.error) == (
        'Unknown authentication method "GSSAPI"; known are PLAIN, LOGIN, CRAM-MD5, XOAUTH2, NTLM'
    )


@pytest.mark.parametrize("auth", [PASSWORD, {**PASSWORD, "method": "PLAIN"}])
def test_no_password_in_clear_text_after_a_refused_upgrade(auth):
    session = session_with("PLAIN")
    session.upgrade_refused = True
    talk = Talk(login(auth, session))
    assert talk.said == []
    assert talk.error.code == "EAUTH"
    assert "the server refused STARTTLS" in str(talk.error)


@pytest.mark.parametrize("answer", ["235 welcome", "250 ok", "200 ok"])
def test_any_2xx_is_a_welcome(answer):
    assert log_in(PASSWORD, answer).value is True


@pytest.mark.parametrize(("lmtp", "hello"), [(False, "EHLO me"), (True, "LHLO me")])
def test_ehlo_after_the_login(lmtp, hello):
    session = session_with("PLAIN", ehlo_after_auth=True, lmtp=lmtp)
    talk = Talk(login(PASSWORD, session), "235 ok", "250-mx\r\n250-DSN\r\n250 SIZE 1000")
    assert talk.said[1:] == [hello]
    assert talk.value is True
    assert dict(session.capabilities) == {"DSN": "", "SIZE": "1000"}


def test_ehlo_after_the_login_that_is_refused():
    session = session_with("PLAIN", ehlo_after_auth=True)
    talk = Talk(login(PASSWORD, session), "235 ok", "503 once is enough")
    assert talk.value is True
    assert dict(session.capabilities) == {"AUTH": "PLAIN"}


def test_no_ehlo_after_a_login_that_fails():
    talk = log_in(PASSWORD, "535 no", ehlo_after_auth=True)
    assert len(talk.said) == 1
