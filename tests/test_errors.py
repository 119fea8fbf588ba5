"""Errors carry what programs test, under Node's names."""

from __future__ import annotations

import copy
import pickle

import pytest

from smtp_connection import SMTPError
from smtp_connection.errors import auth_error, envelope_error, message_error, needs_extra

ATTRIBUTES = ["code", "command", "response", "responseCode", "recipient"]
ATTRIBUTES += ["rejected", "rejectedErrors"]


def test_what_does_not_apply_is_none():
    error = SMTPError("it failed")
    assert str(error) == error.message == "it failed"
    assert [getattr(error, name) for name in ATTRIBUTES] == [None] * len(ATTRIBUTES)
    assert isinstance(error, Exception)
    assert not isinstance(error, OSError)


def test_the_text_ends_with_the_server_s_own_words():
    error = SMTPError("Sender refused", code="EENVELOPE", command="MAIL FROM", response="550 no")
    assert str(error) == error.message == "Sender refused: 550 no"
    assert (error.code, error.command) == ("EENVELOPE", "MAIL FROM")
    assert (error.response, error.responseCode) == ("550 no", 550)


def test_the_text_has_no_control_characters():
    error = SMTPError("Nobody\x07", response="550-\x1b[2J\n550 grüße")
    error.add_hint("hint")
    assert str(error) == error.message == "Nobody\\x07: 550-\\x1b[2J\n550 grüße (hint)"
    assert str(error.copy()) == str(error)
    assert error.response == "550-\x1b[2J\n550 grüße"


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("550-no\n550 never", 550),
        ("550", 550),
        ("no", None),
        ("", None),
        (None, None),
        ("\u0665\u0665\u0660 no", None),
        ("\u00b2\u00b2\u00b2", None),
    ],
)
def test_the_response_code_is_the_number_in_front(response, code):
    assert SMTPError("x", response=response).responseCode == code


def test_a_response_code_that_is_given_counts():
    assert SMTPError("x", response="550 no", responseCode=421).responseCode == 421


@pytest.mark.parametrize(
    ("response", "code"),
    [("550 5.1.1 no", "5.1.1"), ("550-5.7.26 no\n550 5.7.26 x", "5.7.26"), ("550 no", None)],
)
def test_the_enhanced_code_is_in_the_response(response, code):
    error = SMTPError("x", response=response)
    assert error.enhancedCode == error.copy().enhancedCode == code


@pytest.mark.parametrize(
    ("response", "milliseconds"),
    [
        ("450 4.7.1 Greylisted for 5 minutes", 300_000),
        ("400 try again in 1 second", 1000),
        ("499 try again in 1 second", 1000),
        ("399 try again in 1 second", None),
        ("550 try again in 5 minutes", None),
        ("450 no", None),
        ("no, try again in 5 minutes", None),
    ],
)
def test_a_temporary_refusal_may_say_when_to_try_again(response, milliseconds):
    assert SMTPError("x", response=response).retryAfter == milliseconds


def test_without_a_reply_there_is_neither():
    error = SMTPError("try again in 5 minutes", responseCode=450)
    assert (error.enhancedCode, error.retryAfter) == (None, None)


def test_lists_are_the_error_s_own():
    rejected, errors = ["a@x.org"], [SMTPError("no", recipient="a@x.org")]
    error = SMTPError("x", rejected=rejected, rejectedErrors=errors)
    rejected.clear()
    errors.clear()
    assert error.rejected == ["a@x.org"]
    assert [each.recipient for each in error.rejectedErrors] == ["a@x.org"]


def test_a_hint_is_put_behind_the_text():
    error = SMTPError("it failed", response="500 no")
    error.add_hint("")
    assert str(error) == "it failed: 500 no"
    error.add_hint("try again")
    assert str(error) == error.message == "it failed: 500 no (try again)"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_travel(again):
    """Between processes, say."""
    error = SMTPError("no", code="EENVELOPE", response="550 no", rejected=["a@x.org"])
    error.add_hint("hint")
    other = again(error)
    assert str(other) == str(error) == "no: 550 no (hint)"
    assert vars(other) == vars(error)


@pytest.mark.parametrize(
    ("build", "code"),
    [(auth_error, "EAUTH"), (envelope_error, "EENVELOPE"), (message_error, "EMESSAGE")],
)
def test_the_usual_errors_have_a_code_and_are_about_the_call_or_a_command(build, code):
    assert (build("no").message, build("no").code, build("no").command) == ("no", code, "API")
    assert build("no", "MAIL FROM").command == "MAIL FROM"


def test_what_is_not_installed_is_named_with_the_way_to_install_it():
    """The way works from a checkout: no index has to have the package."""
    assert needs_extra("NTLM", "ntlm") == (
        "NTLM needs the extra 'ntlm' of smtp_connection (in a checkout: pip install '.[ntlm]')"
    )


def test_an_error_shows_itself():
    assert repr(SMTPError("no", code="EAUTH")) == "SMTPError('no', code='EAUTH')"


def test_it_becomes_json():
    error = SMTPError("No", code="EAUTH", command="AUTH PLAIN", response="535 no")
    assert error.toJSON() == {
        "message": "No: 535 no",
        "code": "EAUTH",
        "command": "AUTH PLAIN",
        "response": "535 no",
        "responseCode": 535,
    }
