"""What carries an OAuth 2.0 access token to the server: the client's response of XOAUTH2.

The mechanism is Google's and Microsoft's own; its response lists fields that end with ^A.
"""

from __future__ import annotations

import base64

from ..text import control_in

__all__ = ["bearer_response"]


def bearer_response(user: str, access_token: str) -> str:
    """Return the response for ``access_token`` of ``user``, in base64.

    Raises ``ValueError``, whose text does not show what it found, if there is a control character
    or a lone surrogate in one of them.
    """
    if control_in(user) or control_in(access_token):
        # ^A would end the field: what follows would be another field.
        raise ValueError("contains a control character")
    response = f"user={user}\x01auth=Bearer {access_token}\x01\x01"
    return base64.b64encode(response.encode()).decode("ascii")
