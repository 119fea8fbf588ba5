"""What the tests of the XOAUTH2 generator share: tokens, answers of an endpoint, checks.

All secrets here and in the tests have CANARY in them: whatever shows that, shows a secret.
"""

from __future__ import annotations

import base64
import socket
import traceback
from typing import Any

from cryptography.hazmat.primitives import serialization

USER = "someone@example.com"
SECRETS = {
    "clientSecret": "client-CANARY/secret",
    "refreshToken": "1//refresh-CANARY+token",
}
OLD, NEW, NEWER = "old-CANARY-token", "new-CANARY-token", "newer-CANARY-token"
ISSUED = {"access_token": NEW, "expires_in": 3599, "token_type": "Bearer"}
LATER = {"access_token": NEWER, "expires_in": 3599, "token_type": "Bearer"}
NOW = 1_800_000_000_000.0
PKCS8 = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


def response(access_token: str, user: str = USER) -> str:
    return base64.b64encode(f"user={user}\1auth=Bearer {access_token}\1\1".encode()).decode()


def check_discreet(error: BaseException) -> None:
    """Check that neither ``error`` nor what is chained to it holds a secret, however shown."""
    shown = traceback.format_exception(error)
    shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    exc: BaseException | None = error
    while exc is not None:
        assert not type(exc).__module__.startswith(("requests", "urllib3", "jwt"))
        shown += [str(exc), repr(exc), repr(exc.args), repr(vars(exc))]
        exc = exc.__cause__ or exc.__context__
    assert "CANARY" not in "".join(shown)


def pem(key: Any) -> str:
    return key.private_bytes(*PKCS8).decode()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
