"""Whatever a server says to an access token, also in the document that says what is wrong with it,
the login ends with nobody waiting, asks for at most one new token, and shows none."""

from __future__ import annotations

import base64
import re
from typing import Any

from smtp_connection.protocol.bearer import bearer_response

from .dialogues import Login
from .inputs import pieces

_TOKEN = "ya29.the-first-token"
_NEW_TOKEN = "ya29.the-second-token"
_CODED = re.compile(rb"\{\{(.*?)\}\}", re.DOTALL)


class _Generator:
    def __init__(self) -> None:
        self.asked = 0

    def getToken(self, callback: Any) -> None:
        self._give(callback, _TOKEN)

    def generateToken(self, callback: Any) -> None:
        self._give(callback, _NEW_TOKEN)

    def _give(self, callback: Any, token: str) -> None:
        self.asked += 1
        callback(None, bearer_response("user", token, "refused"))


def check(data: bytes) -> None:
    """(The invariant stands above.)

    The server's replies are cut at each ``|``; what stands in {{double braces}} is sent in base64,
    and ``%t`` is the token.  In front may stand ``#`` and letters, up to the first ``|``: ``X`` for
    XOAUTH2, ``G`` for a generator of tokens.
    """
    manner, *said = pieces(data) if data[:1] == b"#" else [b"", *pieces(data)]
    generator = _Generator()
    token: Any = generator if b"G" in manner else _TOKEN
    mechanism = "XOAUTH2" if b"X" in manner else "OAUTHBEARER"
    login = Login({"user": "user", "xoauth2": token}, mechanism)
    for piece in said:
        piece = piece.replace(b"%t", _TOKEN.encode())
        login.hear(_CODED.sub(lambda found: base64.b64encode(found[1]), piece))
    login.end()
    assert generator.asked <= 2
    assert len([line for line in login.commands if line.startswith("AUTH ")]) <= 2
    error = login.error
    for told in (getattr(error, "status", None), getattr(error, "scope", None)):
        assert told is None or isinstance(told, str)
        assert _TOKEN not in (told or "")
        assert _NEW_TOKEN not in (told or "")
