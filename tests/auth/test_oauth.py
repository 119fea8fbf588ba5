"""Access tokens, fed by hand: XOAUTH2, OAUTHBEARER, and the objects that make tokens."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.login_talk import TOKEN, log_in

SHOWN_SECRET = "/* secret */"


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


@pytest.mark.parametrize(
    ("mechanism", "answers"),
    [
        ("XOAUTH2", []),
        ("XOAUTH2", ["334 e30="]),
        ("OAUTHBEARER", []),
        ("OAUTHBEARER", ["334 e30="]),
    ],
)
def test_a_refusal_at_every_point(mechanism, answers):
    talk = log_in(TOKEN, *answers, "535 5.7.8 no", mechanisms=[mechanism])
    assert str(talk.error) == "Invalid login: 535 5.7.8 no"
    assert (talk.error.command, talk.error.responseCode) == (f"AUTH {mechanism}", 535)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_server_that_wants_more_than_there_is_is_told_to_stop(mechanism):
    answers = ["334 e30=", "334 more", "501 cancelled"]
    talk = log_in(TOKEN, *answers, mechanisms=[mechanism])
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


@pytest.mark.parametrize(("answer", "prompt"), [("235 welcome", None), ("334 e30=", "AQ==")])
def test_oauthbearer(answer, prompt):
    """As in RFC 7628 section 3.1, with the ^A of section 3.2.3 after the error document."""
    answers = [answer] if prompt is None else [answer, "535 no"]
    talk = log_in(TOKEN, *answers, mechanisms=["OAUTHBEARER"], host="mx.example.com", port=587)
    start, *rest = talk.said
    assert base64.b64decode(start.removeprefix("AUTH OAUTHBEARER ")).decode() == (
        "n,a=someuser@example.com,\x01host=mx.example.com\x01port=587\x01"
        f"auth=Bearer {TOKEN['xoauth2']}\x01\x01"
    )
    assert talk.shown[0] == f"AUTH OAUTHBEARER {SHOWN_SECRET}"
    assert rest == [prompt] * (prompt is not None)


def test_oauthbearer_needs_no_user():
    talk = log_in({"xoauth2": "token"}, "235 welcome", mechanisms=["OAUTHBEARER"])
    response = base64.b64decode(talk.said[0].split()[-1])
    assert response == b"n,,\x01auth=Bearer token\x01\x01"


# -- why a token is refused -----------------------------------------------------------------------


def refused_with(document, mechanism="OAUTHBEARER"):
    """Return the error of a login that the server refuses with ``document``."""
    answer = base64.b64encode(document).decode()
    return log_in(TOKEN, f"334 {answer}", "535 5.7.8 no", mechanisms=[mechanism]).error


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_the_server_says_what_is_wrong_with_the_token(mechanism):
    """RFC 7628 section 3.2.2; XOAUTH2 has the status of HTTP."""
    document = {"status": "invalid_token", "scope": "https://mail.google.com/", "schemes": "x"}
    error = refused_with(json.dumps(document).encode(), mechanism)
    assert (error.status, error.scope) == ("invalid_token", "https://mail.google.com/")
    assert str(error) == "Invalid login: 535 5.7.8 no"
    assert (error.copy().status, error.command) == ("invalid_token", f"AUTH {mechanism}")


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b'{"status": 401}', "401"),
        (b'{"status": true}', None),
        (b'{"status": ["invalid_token"]}', None),
        (b'{"scope": null}', None),
        (b"{}", None),
        (b"[]", None),
        (b"no JSON", None),
        (b"\xff", None),
        (b"", None),
        (b"[" * 4000, None),
        (b'{"status": "' + b"x" * 5000 + b'"}', None),
    ],
)
def test_documents_that_say_little(document, status):
    error = refused_with(document)
    assert (error.status, error.scope) == (status, None)


def test_a_document_that_is_no_base64():
    error = log_in(TOKEN, "334 not base64!", "535 no", mechanisms=["OAUTHBEARER"]).error
    assert (error.status, error.scope) == (None, None)


def test_a_refusal_without_a_document():
    error = log_in(TOKEN, "535 no", mechanisms=["OAUTHBEARER"]).error
    assert (error.status, error.scope) == (None, None)


def test_a_document_that_quotes_the_token():
    token = TOKEN["xoauth2"]
    document = {"status": f"bad {token}", "scope": token}
    error = refused_with(json.dumps(document).encode())
    assert (error.status, error.scope) == (f"bad {SHOWN_SECRET}", SHOWN_SECRET)


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


def finished(token):
    """What a generator makes of a token."""
    return base64.b64encode(f"user=tim\x01auth=Bearer {token}\x01\x01".encode()).decode()


def test_a_generator_for_oauthbearer():
    answers = [finished("first"), "334 e30=", "535 no", finished("second"), "235 welcome"]
    talk = log_in({"xoauth2": Generator()}, *answers, mechanisms=["OAUTHBEARER"])
    assert talk.said[0] == talk.said[3] == "Ask"
    for token, line in (("first", talk.said[1]), ("second", talk.said[4])):
        response = base64.b64decode(line.removeprefix("AUTH OAUTHBEARER "))
        assert response.decode() == f"n,a=tim,\x01auth=Bearer {token}\x01\x01"


def test_the_error_tells_of_the_second_token():
    documents = [
        f"334 {base64.b64encode(json.dumps({'status': status}).encode()).decode()}"
        for status in ("expired", "insufficient_scope")
    ]
    answers = [finished("one"), documents[0], "535 no", finished("two"), documents[1], "535 never"]
    talk = log_in({"xoauth2": Generator()}, *answers, mechanisms=["OAUTHBEARER"])
    assert (str(talk.error), talk.error.status) == (
        "Invalid login: 535 never",
        "insufficient_scope",
    )


@pytest.mark.parametrize("answer", ["Zmlyc3Q=", "/////w==", finished(""), finished("a\x01b")])
def test_a_generator_whose_response_is_of_another_kind(answer):
    talk = log_in({"xoauth2": Generator()}, answer, mechanisms=["OAUTHBEARER"])
    assert talk.said == ["Ask"]
    assert str(talk.error) == "No access token: the generator gave no response of XOAUTH2"
