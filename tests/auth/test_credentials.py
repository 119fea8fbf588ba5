"""What ``auth`` may be, and what is refused before anything is said."""

from __future__ import annotations

import pytest

from smtp_connection.auth.credentials import Credentials
from tests.support.login_talk import PASSWORD, log_in


@pytest.mark.parametrize(
    "auth",
    [
        PASSWORD,
        {"credentials": PASSWORD},
        {"type": "login", "credentials": PASSWORD, "user": "other", "pass": "other"},
        {"credentials": {"user": "tim"}, "pass": PASSWORD["pass"]},
        {"credentials": None, **PASSWORD},
    ],
)
def test_both_forms_of_auth(auth):
    credentials = Credentials(auth)
    assert (credentials.user, credentials.password) == ("tim", PASSWORD["pass"])


@pytest.mark.parametrize(
    ("given", "method"),
    [
        (None, None),
        ("", None),
        (" plain ", "PLAIN"),
        ([], None),
        (["scram-sha-256", " plain "], ("SCRAM-SHA-256", "PLAIN")),
        (("plain",), ("PLAIN",)),
    ],
)
def test_one_mechanism_or_several(given, method):
    assert Credentials({"method": given}).method == method


@pytest.mark.parametrize("key", ["xoauth2", "oauth2"])
def test_both_names_of_the_token(key):
    assert Credentials({"user": "tim", key: "token"}).token == "token"
    assert Credentials({"user": "tim", key: ""}).token is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "NTLM"])
@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        (None, "no user and no pass"),
        ({}, "no user and no pass"),
        ({"user": "", "pass": ""}, "no user and no pass"),
        ({"user": "tim"}, "no pass"),
        ({"user": "tim", "pass": ""}, "no pass"),
        ({"pass": "tanstaaftanstaaf"}, "no user"),
    ],
)
def test_without_credentials_nothing_is_sent(mechanism, auth, missing):
    talk = log_in({**(auth or {}), "method": mechanism}, mechanisms=[mechanism])
    assert talk.said == []
    assert str(talk.error) == f'Missing credentials for "{mechanism}": auth has {missing}'
    assert talk.error.command == "API"


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ("tim", "auth is a dict with 'user' and 'pass'; got str"),
        (["tim"], "auth is a dict with 'user' and 'pass'; got list"),
        ({"credentials": "tim"}, "auth 'credentials' is a dict; got str"),
        ({"user": 5, "pass": "x"}, "auth 'user' is a string; got int"),
        ({"user": "tim", "pass": b"tanstaaftanstaaf"}, "auth 'pass' is a string; got bytes"),
        ({**PASSWORD, "method": 5}, "auth 'method' is a string; got int"),
        ({**PASSWORD, "method": ["PLAIN", 5]}, "auth 'method' is a string; got int"),
        (
            {**PASSWORD, "method": ["PLAIN", " "]},
            "auth 'method' is the name of a mechanism, or a list; one of these is ''",
        ),
        (
            {**PASSWORD, "method": ["PL\nAIN"]},
            "auth 'method' is the name of a mechanism; got 'PL\\nAIN'",
        ),
        ({**PASSWORD, "domain": 5}, "auth 'domain' is a string; got int"),
        ({"user": "tim", "pass": "tanstaaf\ud800"}, "auth 'pass' contains a lone surrogate"),
        (
            {"user": "tim\0", "pass": "tanstaaftanstaaf"},
            "auth 'user' or 'pass' contains NUL, which PLAIN cannot carry",
        ),
        (
            {"user": "tim", "pass": "tanstaaf\0tanstaaf"},
            "auth 'user' or 'pass' contains NUL, which PLAIN cannot carry",
        ),
    ],
)
def test_credentials_that_cannot_be_read(auth, text):
    talk = log_in(auth)
    assert talk.said == []
    assert str(talk.error) == text
    assert talk.error.__cause__ is None
    assert talk.error.__suppress_context__ or talk.error.__context__ is None
