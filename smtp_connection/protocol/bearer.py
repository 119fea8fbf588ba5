"""What carries an OAuth 2.0 access token to the server: the client's response of XOAUTH2, which is
Google's and Microsoft's own, and of OAUTHBEARER (RFC 7628).  Both list fields that end with ^A."""

from __future__ import annotations

import base64

from ..errors import auth_error
from ..text import control_in

__all__ = ["bearer_response", "oauthbearer_response"]


def bearer_response(user: str, access_token: str, refusal: str) -> str:
    """Return the response for ``access_token`` of ``user``, in base64.

    Raises :class:`SMTPError` (``EAUTH``) with the text ``refusal``, in which the caller gives the
    two their names, if one of them contains a control character or a lone surrogate.
    """
    return _encoded(f"user={user}\x01auth=Bearer {access_token}\x01\x01", 3, refusal)


def oauthbearer_response(
    user: str, access_token: str, refusal: str, host: str = "", port: int = 0
) -> str:
    """Return the response for ``access_token`` of ``user``, who may be ``''``: the token tells; to
    the server ``host`` at ``port``, if there is a ``host`` (RFC 7628 section 3.1).

    Raises as :func:`bearer_response` does.
    """
    # RFC 5801 section 4: a comma would end the name.
    name = f"a={user.replace('=', '=3D').replace(',', '=2C')}" if user else ""
    place = f"host={host}\x01port={port}\x01" if host else ""
    response = f"n,{name},\x01{place}auth=Bearer {access_token}\x01\x01"
    return _encoded(response, 5 if host else 3, refusal)


def _encoded(response: str, ends: int, refusal: str) -> str:
    """Return ``response``, which has ``ends`` ends of fields, in base64."""
    # One more would be in what somebody else has given: what follows would be another field.
    if response.count("\x01") != ends or control_in(response.replace("\x01", "")):
        raise auth_error(refusal)
    return base64.b64encode(response.encode()).decode("ascii")
