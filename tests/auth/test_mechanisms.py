"""Mechanisms, fed by hand: vectors, the choice among them, and what is never shown."""

from __future__ import annotations

import base64

import pytest

from smtp_connection.auth.mechanisms import Credentials, choose_mechanism, login
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.session import Session
from tests.support.helpers import Talk, reply

PASSWORD = {"user": "tim", "pass": "tanstaaftanstaaf"}
TOKEN = {"user": "someuser@example.com", "xoauth2": "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"}
SHOWN_SECRET = "/* secret */"

SECRETS = [PASSWORD["pass"], TOKEN["xoauth2"]]
SECRETS += [base64.b64encode(secret.encode()).decode() for secret in SECRETS]


def session_with(*mechanisms, **options):
    session = Session("me", **options)
    announced = "AUTH " + " ".join(mechanisms) if mechanisms else "HELP"
    session.capabilities = Capabilities(reply(f"250-mx\r\n250 {announced}"))
    return session


def log_in(auth, *answers, mechanisms=("PLAIN",), **options):
    """Log in; check that the session knows, and that no secret is shown."""
    session = session_with(*mechanisms, **options)
    talk = Talk(login(auth, session), *answers)
    assert session.authenticated == (talk.error is None)
    if talk.error is None:
        assert talk.value is True
    else:
        assert talk.error.code == "EAUTH"
    shown = "\n".join([*map(str, talk.shown), str(talk.error), repr(talk.error)])
    assert not [secret for secret in SECRETS if secret in shown]
    return talk


# -- what each of them says -----------------------------------------------------------------------


def test_plain():
    talk = log_in({"user": "tim", "pass": "grüße"}, "235 welcome")
    (line,) = talk.said
    verb, _, response = line.rpartition(" ")
    assert verb == "AUTH PLAIN"
    assert base64.b64decode(response) == b"\0tim\0" + "grüße".encode()
    assert talk.shown == [f"AUTH PLAIN {SHOWN_SECRET}"]


def test_plain_with_one_more_prompt():
    assert log_in(PASSWORD, "334 ", "235 welcome").said[1:] == [""]


@pytest.mark.parametrize("prompts", [("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"), ("334", "334 ?")])
def test_login(prompts):
    talk = log_in(PASSWORD, *prompts, "235 welcome", mechanisms=["LOGIN"])
    assert talk.said == ["AUTH LOGIN", "dGlt", "dGFuc3RhYWZ0YW5zdGFhZg=="]
    assert talk.shown == ["AUTH LOGIN", "dGlt", SHOWN_SECRET]


def test_cram_md5_as_in_rfc_2195():
    challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    talk = log_in(PASSWORD, f"334 {challenge}", "235 welcome", mechanisms=["CRAM-MD5"])
    assert talk.said == [
        "AUTH CRAM-MD5",
        "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
    ]
    assert talk.shown == ["AUTH CRAM-MD5", SHOWN_SECRET]


@pytest.mark.parametrize("challenge", [b"", b"\0\xff\r\n", bytes(range(256))])
def test_cram_md5_takes_any_challenge(challenge):
    answer = base64.b64encode(challenge).decode()
    talk = log_in(PASSWORD, f"334 {answer}", "235 welcome", mechanisms=["CRAM-MD5"])
    assert len(base64.b64decode(talk.said[1])) == len("tim ") + 32


@pytest.mark.parametrize("challenge", ["not base64!", "PDE", "PDE=4", "\xe4\xf6\xfc="])
def test_cram_md5_cancels_where_there_is_no_challenge(challenge):
    talk = log_in(PASSWORD, f"334 {challenge}", "501 cancelled", mechanisms=["CRAM-MD5"])
    assert talk.said == ["AUTH CRAM-MD5", "*"]
    assert str(talk.error) == f"Invalid challenge, it is not base64: 334 {challenge}"
    assert talk.error.command == "AUTH CRAM-MD5"


def test_xoauth2_as_google_has_it():
    talk = log_in(TOKEN, "235 welcome", mechanisms=["XOAUTH2"])
    (line,) = talk.said
    assert line == (
        "AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRx"
        "bVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )
    assert talk.shown == [f"AUTH XOAUTH2 {SHOWN_SECRET}"]


def test_xoauth2_answers_the_error_document_with_an_empty_line():
    talk = log_in(TOKEN, "334 eyJzdGF0dXMiOiI0MDEifQ==", "535 no", mechanisms=["XOAUTH2"])
    assert talk.said[1:] == [""]
    assert str(talk.error) == "Invalid login: 535 no"


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mechanism", "answers"),
    [
        ("PLAIN", []),
        ("PLAIN", ["334"]),
        ("LOGIN", []),
        ("LOGIN", ["334"]),
        ("LOGIN", ["334", "334"]),
        ("CRAM-MD5", []),
        ("CRAM-MD5", ["334 PDE4"]),
        ("XOAUTH2", []),
        ("XOAUTH2", ["334 e30="]),
    ],
)
def test_a_refusal_at_every_point(mechanism, answers):
    auth = TOKEN if mechanism == "XOAUTH2" else PASSWORD
    talk = log_in(auth, *answers, "535 5.7.8 no", mechanisms=[mechanism])
    assert str(talk.error) == "Invalid login: 535 5.7.8 no"
    assert (talk.error.command, talk.error.responseCode) == (f"AUTH {mechanism}", 535)


@pytest.mark.parametrize(
    ("mechanism", "answers"),
    [
        ("PLAIN", ["334"]),
        ("LOGIN", ["334", "334"]),
        ("CRAM-MD5", ["334 PDE4"]),
        ("XOAUTH2", ["334 e30="]),
    ],
)
def test_a_server_that_wants_more_than_there_is_is_told_to_stop(mechanism, answers):
    auth = TOKEN if mechanism == "XOAUTH2" else PASSWORD
    talk = log_in(auth, *answers, "334 more", "501 cancelled", mechanisms=[mechanism])
    assert talk.said[-1] == "*"
    assert str(talk.error) == "Invalid login: 334 more"


@pytest.mark.parametrize("answer", ["235 welcome", "250 ok", "200 ok"])
def test_any_2xx_is_a_welcome(answer):
    assert log_in(PASSWORD, answer).value is True


# -- credentials ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ({"user": "tim", "xoauth2": "a\x01b"}, "auth 'user' or 'xoauth2' contains"),
        ({"user": "tim\n", "xoauth2": "token"}, "auth 'user' or 'xoauth2' contains"),
        ({"xoauth2": "token"}, 'Missing credentials for "XOAUTH2": auth has no user'),
        ({"user": "tim"}, 'Missing credentials for "XOAUTH2": auth has no xoauth2'),
        ({"user": "tim", "xoauth2": 5}, "auth 'xoauth2' is an access token or an object with get"),
    ],
)
def test_tokens_that_cannot_be_sent(auth, text):
    talk = log_in({**auth, "method": "XOAUTH2"})
    assert talk.said == []
    assert str(talk.error).startswith(text)


# -- the choice -----------------------------------------------------------------------------------

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


# -- token generators -----------------------------------------------------------------------------


class Generator:
    """As the npm package xoauth2 has it."""

    def getToken(self, callback):
        pass

    def generateToken(self, callback):
        pass


class PythonGenerator:
    def get_token(self, callback):
        pass

    def generate_token(self, callback):
        pass


def with_generator(generator, *answers):
    return log_in({"xoauth2": generator}, *answers, mechanisms=["XOAUTH2"])


@pytest.mark.parametrize("kind", [Generator, PythonGenerator])
def test_a_generator_is_asked_again_if_its_token_is_refused(kind):
    generator = kind()
    talk = with_generator(generator, "Zmlyc3Q=", "334 e30=", "535 no", "c2Vjb25k", "235 welcome")
    assert talk.said == ["Ask", "AUTH XOAUTH2 Zmlyc3Q=", "", "Ask", "AUTH XOAUTH2 c2Vjb25k"]
    assert talk.shown == [f"AUTH XOAUTH2 {SHOWN_SECRET}", "", f"AUTH XOAUTH2 {SHOWN_SECRET}"]
    names = [step.question.__name__ for step in talk.steps if hasattr(step, "question")]
    assert [name.replace("_", "").lower() for name in names] == ["gettoken", "generatetoken"]


def test_a_generator_whose_token_is_good_is_asked_once():
    talk = with_generator(Generator(), "Zmlyc3Q=", "235 welcome")
    assert talk.said == ["Ask", "AUTH XOAUTH2 Zmlyc3Q="]


def test_two_refused_tokens_are_enough():
    talk = with_generator(Generator(), "Zmlyc3Q=", "535 one", "c2Vjb25k", "535 two")
    assert str(talk.error) == "Invalid login: 535 two"


def test_a_generator_that_fails():
    cause = LookupError("no network")
    talk = with_generator(Generator(), cause)
    assert str(talk.error) == "No access token: no network"
    assert talk.error.command == "AUTH XOAUTH2"
    assert talk.error.__cause__ is cause


@pytest.mark.parametrize("answer", [None, 5, "", "not base64!", "YQ==\r\n", "YQ==\n"])
def test_a_generator_that_gives_no_token(answer):
    """It could hold a line break, and with it another command."""
    talk = with_generator(Generator(), answer)
    assert talk.said == ["Ask"]
    assert str(talk.error) == "No access token: the generator gave no base64 string"


def test_a_generator_that_cannot_renew():
    class Once:
        def getToken(self, callback):
            pass

    talk = with_generator(Once(), "Zmlyc3Q=", "535 no")
    assert str(talk.error) == (
        "auth 'xoauth2' is an access token or an object with generateToken(callback); got Once"
    )
