"""The response that carries an access token, which two rooms build logins with."""

from __future__ import annotations

import base64

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.bearer import bearer_response, oauthbearer_response


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


def test_the_response_as_in_rfc_7628():
    """Section 4.1."""
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    response = oauthbearer_response(
        "user@example.com", token, "no", host="server.example.com", port=143
    )
    assert base64.b64decode(response) == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )


@pytest.mark.parametrize(
    ("user", "header"),
    [("", "n,,"), ("a,b=c", "n,a=a=2Cb=3Dc,"), ("gr\xfc\xdfe", "n,a=gr\xfc\xdfe,")],
)
def test_the_user_of_oauthbearer(user, header):
    response = base64.b64decode(oauthbearer_response(user, "token", "no"))
    assert response.decode() == f"{header}\x01auth=Bearer token\x01\x01"


@pytest.mark.parametrize("injected", [*"\0\1\t\r\n\x7f\x85\u2028", "\ud800"], ids=ascii)
def test_no_field_can_be_ended_from_within(injected):
    for build, user, token, *host in (
        (bearer_response, f"CANARY{injected}", "token"),
        (bearer_response, "tim", f"CANARY{injected}auth=other"),
        (oauthbearer_response, f"CANARY{injected}", "token"),
        (oauthbearer_response, "tim", f"CANARY{injected}auth=other"),
        (oauthbearer_response, "tim", f"CANARY{injected}", "host", 25),
        (oauthbearer_response, "tim", "CANARY", f"host{injected}", 25),
    ):
        with pytest.raises(SMTPError) as caught:
            build(user, token, "one of the two is wrong", *host)
        assert str(caught.value) == "one of the two is wrong"
        assert caught.value.code == "EAUTH"
        assert caught.value.__context__ is None, "whose frames would hold the token"
