"""NTLM (MS-SMTP section 3.2), through the extra ``ntlm``."""

from __future__ import annotations

import base64
from typing import Any

from ..errors import auth_error, needs_extra
from ..protocol.replies import Reply
from ..protocol.secrets import SECRET
from ..protocol.steps import Command, Dialogue

__all__ = ["ntlm_login"]

_SHOWN = f"AUTH NTLM {SECRET}"


def _client(user: str, password: str, domain: str | None) -> Any:
    try:
        import spnego
    except ImportError as exc:
        raise auth_error(needs_extra("NTLM", "ntlm"), "AUTH NTLM") from exc
    name = f"{domain}\\{user}" if domain else user
    # The library's own implementation, not the system's, behaves the same everywhere.
    return spnego.client(name, password, protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)


def ntlm_login(user: str, password: str, domain: str | None) -> Dialogue[Reply]:
    """Authenticate as ``user`` of ``domain``; the value is the final reply.

    Raises :class:`SMTPError` (``EAUTH``) if the server sends no challenge, or none of NTLM, and if
    the extra is not installed.
    """
    client = _client(user, password, domain)
    reply = yield Command(f"AUTH NTLM {_encode(client.step())}", _SHOWN)
    if reply.code != 334:
        raise reply.failure("Invalid login", "EAUTH", "AUTH NTLM")
    answer = _answer(client, reply.text[4:].strip())
    if answer is None:
        yield Command("*")  # RFC 4954 section 4: the client cancels
        raise reply.failure("Invalid challenge, it is not NTLM", "EAUTH", "AUTH NTLM")
    final: Reply = yield Command(answer, SECRET)
    return final


def _answer(client: Any, challenge: str) -> str | None:
    try:
        return _encode(client.step(base64.b64decode(challenge.encode("ascii"), validate=True)))
    except Exception:  # for a bad challenge, the library also raises struct.error and KeyError
        return None  # the exception is dropped, because its frames may hold the password


def _encode(token: bytes | None) -> str:
    return base64.b64encode(token or b"").decode("ascii")
