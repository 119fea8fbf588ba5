"""Mechanisms, fed by hand: vectors, refusals, and what is never shown."""

from __future__ import annotations

import base64
import hmac

import pytest

from tests.support.login_talk import PASSWORD, TOKEN, log_in

SHOWN_SECRET = "/* secret */"


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


def test_cram_md5_cancels_where_the_system_has_no_md5(monkeypatch):
    """OpenSSL refuses it in FIPS mode; the server must not wait for an answer."""

    def refuse(key, message, digest):
        raise ValueError(f"unsupported hash type {digest}")

    monkeypatch.setattr(hmac, "new", refuse)
    talk = log_in(PASSWORD, "334 PDE4", "501 cancelled", mechanisms=["CRAM-MD5"])
    assert talk.said == ["AUTH CRAM-MD5", "*"]
    assert str(talk.error) == "This system has no MD5 (FIPS?): 334 PDE4"
    assert (talk.error.code, talk.error.command) == ("EAUTH", "AUTH CRAM-MD5")


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


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ({"user": "tim", "xoauth2": "a\x01b"}, "auth 'user' or 'xoauth2' contains"),
        ({"user": "tim\n", "xoauth2": "token"}, "auth 'user' or 'xoauth2' contains"),
        ({"user": "tim", "xoauth2": "tok\ten"}, "auth 'user' or 'xoauth2' contains a control"),
        ({"user": "tim\x85", "xoauth2": "token"}, "auth 'user' or 'xoauth2' contains a control"),
        ({"xoauth2": "token"}, 'Missing credentials for "XOAUTH2": auth has no user'),
        ({"user": "tim"}, 'Missing credentials for "XOAUTH2": auth has no xoauth2'),
        ({"user": "tim", "xoauth2": 5}, "auth 'xoauth2' is an access token or an object with get"),
    ],
)
def test_tokens_that_cannot_be_sent(auth, text):
    talk = log_in({**auth, "method": "XOAUTH2"})
    assert talk.said == []
    assert str(talk.error).startswith(text)


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
