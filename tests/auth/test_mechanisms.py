"""Mechanisms, fed by hand: vectors, refusals, and what is never shown."""

from __future__ import annotations

import base64
import hmac

import pytest

from tests.support.login_talk import PASSWORD, log_in

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


@pytest.mark.parametrize(
    ("auth", "response", "answer"),
    [
        ({}, "=", ""),
        ({"user": ""}, "=", ""),
        ({"user": "tim"}, "dGlt", "dGlt"),
        ({"user": "gr\xfc\xdfe", "pass": "tanstaaftanstaaf"}, "Z3LDvMOfZQ==", "Z3LDvMOfZQ=="),
    ],
)
def test_external(auth, response, answer):
    """RFC 4422 appendix A, with the "=" of RFC 4954 for an empty identity."""
    auth = {**auth, "method": "EXTERNAL"}
    talk = log_in(auth, "235 welcome", mechanisms=["EXTERNAL"])
    assert talk.said == talk.shown == [f"AUTH EXTERNAL {response}"]
    prompted = log_in(auth, "334 ", "235 welcome", mechanisms=["EXTERNAL"])
    assert prompted.said == [f"AUTH EXTERNAL {response}", answer]


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
        ("EXTERNAL", []),
        ("EXTERNAL", ["334"]),
    ],
)
def test_a_refusal_at_every_point(mechanism, answers):
    auth = {**PASSWORD, "method": mechanism}
    talk = log_in(auth, *answers, "535 5.7.8 no", mechanisms=[mechanism])
    assert str(talk.error) == "Invalid login: 535 5.7.8 no"
    assert (talk.error.command, talk.error.responseCode) == (f"AUTH {mechanism}", 535)


@pytest.mark.parametrize(
    ("mechanism", "answers"),
    [
        ("PLAIN", ["334"]),
        ("LOGIN", ["334", "334"]),
        ("CRAM-MD5", ["334 PDE4"]),
        ("EXTERNAL", ["334"]),
    ],
)
def test_a_server_that_wants_more_than_there_is_is_told_to_stop(mechanism, answers):
    auth = {**PASSWORD, "method": mechanism}
    talk = log_in(auth, *answers, "334 more", "501 cancelled", mechanisms=[mechanism])
    assert talk.said[-1] == "*"
    assert str(talk.error) == "Invalid login: 334 more"
