"""Logins with an OAuth 2.0 access token: OAUTHBEARER (RFC 7628), and XOAUTH2 as Google and
Microsoft define it."""

from __future__ import annotations

import base64
import re
from typing import Any

from ..errors import SMTPError, auth_error
from ..protocol.bearer import bearer_response, oauthbearer_response
from ..protocol.replies import Reply
from ..protocol.secrets import SECRET, masked
from ..protocol.session import Session
from ..protocol.steps import Ask, Command, Dialogue
from .credentials import ASKED, RENEWED, Credentials
from .prompts import b64, cancel_prompt, challenge_in

__all__ = ["oauth_login"]

_REFUSAL = "auth 'user' or 'xoauth2' contains a control character"

# The answer to the document that says why a token is refused (RFC 7628 section 3.2.3: ^A alone).
_AFTER_DOCUMENT = {"XOAUTH2": "", "OAUTHBEARER": b64("\x01")}

# A longer document than this, in bytes, is not read: those of servers have some hundred.
_LONGEST_DOCUMENT = 4096

# What a generator of XOAUTH2 responses has made of user and token.
_FINISHED = re.compile(r"user=([^\x01]*)\x01auth=Bearer ([^\x01]+)\x01\x01")


def oauth_login(credentials: Credentials, session: Session, mechanism: str) -> Dialogue[None]:
    """Log in with ``mechanism``.  If the server refuses the token of a generator object, the
    generator is asked for a new one, once.

    Raises :class:`SMTPError` (``EAUTH``) unless the server accepts the login; what it says of the
    token is ``status`` and ``scope`` of the error.
    """
    token, command = credentials.token, f"AUTH {mechanism}"
    if not token:
        raise auth_error(f'Missing credentials for "{mechanism}": auth has no xoauth2')
    if isinstance(token, str):
        user = credentials.user
        if not user and mechanism == "XOAUTH2":
            raise auth_error('Missing credentials for "XOAUTH2": auth has no user')
        response = _response(mechanism, user or "", token, session)
        reply, why = yield from _attempt(command, response)
    else:
        response = yield from _ask(token, mechanism, session, renew=False)
        reply, why = yield from _attempt(command, response)
        if not reply.positive:
            response = yield from _ask(token, mechanism, session, renew=True)
            reply, why = yield from _attempt(command, response)
    if not reply.positive:
        raise _refused(reply, why, command, response)


def _response(mechanism: str, user: str, token: str, session: Session) -> str:
    if mechanism == "XOAUTH2":
        return bearer_response(user, token, _REFUSAL)
    return oauthbearer_response(user, token, _REFUSAL, session.host, session.port)


def _attempt(command: str, response: str) -> Dialogue[tuple[Reply, bytes | None]]:
    """Try ``response``; return the last reply, and the document that says what is wrong with the
    token, if there is one."""
    mechanism = command.split()[1]
    reply: Reply = yield Command(f"{command} {response}", f"{command} {SECRET}", mechanism)
    document: bytes | None = None
    if reply.code == 334:
        document = challenge_in(reply)
        reply = yield Command(_AFTER_DOCUMENT[mechanism])
    yield from cancel_prompt(reply)
    return reply, document


def _ask(generator: Any, mechanism: str, session: Session, *, renew: bool) -> Dialogue[str]:
    """Ask a generator object, in Node's spelling or in Python's, for the finished response."""
    command = f"AUTH {mechanism}"
    names = RENEWED if renew else ASKED
    methods = (getattr(generator, name, None) for name in names)
    method = next(filter(callable, methods), None)
    if method is None:
        raise auth_error(
            f"auth 'xoauth2' is an access token or an object with {names[0]}(callback);"
            f" got {type(generator).__name__}"
        )
    try:
        forget = getattr(generator, "forget_callback", None)
        response = yield Ask(method, forget, between_commands=True)
    except Exception as exc:
        raise auth_error(f"No access token: {exc}", command) from exc
    if not isinstance(response, str) or not re.fullmatch("[A-Za-z0-9+/]+={0,2}", response):
        raise auth_error("No access token: the generator gave no base64 string", command)
    if mechanism == "XOAUTH2":
        return response
    # Generators are made for XOAUTH2; the token is in what they give.
    found = _FINISHED.fullmatch(_decoded(response))
    if found is None:
        raise auth_error("No access token: the generator gave no response of XOAUTH2", command)
    return _response(mechanism, found[1], found[2], session)


def _decoded(response: str) -> str:
    try:
        return base64.b64decode(response).decode()
    except ValueError:
        return ""


def _refused(reply: Reply, document: bytes | None, command: str, response: str) -> SMTPError:
    error = reply.failure("Invalid login", "EAUTH", command)
    if document is not None and len(document) <= _LONGEST_DOCUMENT:
        import json  # for the few who are refused

        try:
            said = json.loads(document)
        except (ValueError, RecursionError):
            return error
        if isinstance(said, dict):
            error.status, error.scope = (
                _text(said.get(name), response) for name in ("status", "scope")
            )
    return error


def _text(value: object, response: str) -> str | None:
    """Return ``value``, which may quote the token in ``response``, as it may be shown."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    token = _decoded(response).rpartition("Bearer ")[2].rstrip("\x01")
    return masked(str(value), [response, token])
