"""Logs in without a connection: the test feeds the replies by hand."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from smtp_connection.auth.login import login
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.session import Session
from tests.support.helpers import Talk, reply

PASSWORD = {"user": "tim", "pass": "tanstaaftanstaaf"}
TOKEN = {"user": "someuser@example.com", "xoauth2": "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"}

SECRETS = [PASSWORD["pass"], TOKEN["xoauth2"]]
SECRETS += [base64.b64encode(secret.encode()).decode() for secret in SECRETS]


def session_with(*mechanisms: str, **options: Any) -> Session:
    """Return a session whose server announces ``mechanisms``."""
    session = Session("me", **options)
    announced = "AUTH " + " ".join(mechanisms) if mechanisms else "HELP"
    session.capabilities = Capabilities(reply(f"250-mx\r\n250 {announced}"))
    return session


def log_in(
    auth: Any, *answers: Any, mechanisms: Sequence[str] = ("PLAIN",), **options: Any
) -> Talk:
    """Log in; check that the session knows, and that no secret is shown."""
    session = session_with(*mechanisms, **options)
    talk = Talk(login(auth, session), *answers)
    assert session.authenticated == (talk.error is None)
    if talk.error is None:
        assert talk.value is True
    else:
        assert talk.error.code == "EAUTH"
    shown = "\n".join([*map(str, talk.shown), str(talk.error), repr(talk.error)])
    assert not [secret for secret in SECRETS if secret in shown]
    return talk
