"""The response that carries an access token, which two rooms build logins with."""

from __future__ import annotations

import base64

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.bearer import bearer_response


def test_the_response_as_google_has_it():
    response = bearer_response(
        "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29t", "no"
    )
    assert base64.b64decode(response) == (
        b"user=someuser@example.com\x01"
        b"auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29t\x01\x01"
    )


def test_users_may_have_any_letters():
    assert "gr\xfc\xdfe".encode() in base64.b64decode(bearer_response("gr\xfc\xdfe", "token", "no"))


@pytest.mark.parametrize("injected", [*"\0\1\t\r\n\x7f\x85\u2028", "\ud800"], ids=ascii)
def test_no_field_can_be_ended_from_within(injected):
    for user, token in ((f"CANARY{injected}", "token"), ("tim", f"CANARY{injected}auth=other")):
        with pytest.raises(SMTPError) as caught:
            bearer_response(user, token, "one of the two is wrong")
        assert str(caught.value) == "one of the two is wrong"
        assert caught.value.code == "EAUTH"
        assert caught.value.__context__ is None, "whose frames would hold the token"
