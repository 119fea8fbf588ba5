"""What carries an OAuth 2.0 access token to the server: the client's response of XOAUTH2.

The mechanism is Google's and Microsoft's own; its response lists fields that end with ^A.
"""

from __future__ import annotations

import base64

from ..errors import auth_error
from ..text import control_in

__all__ = ["bearer_response"]


def bearer_response(user: str, access_token: str, refusal: str) -> str:
    """Return the response for ``access_token`` of ``user``, in base64.

    Raises :class:`SMTPError` (``EAUTH``) with the text ``refusal``, in which the caller gives the
    two their names, if one of them contains a control character or a lone surrogate.
    """
    if control_in(user) or control_in(access_token):
        # ^A would end the field: what follows would be another field.
        raise auth_error(refusal)
    response = f"user={user}\x01auth=Bearer {access_token}\x01\x01"
    return base64.b64encode(response.encode()).decode("ascii")
