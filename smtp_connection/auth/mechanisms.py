"""The mechanisms that the package knows, one generator for each.

Each of them raises :class:`SMTPError` (``EAUTH``) unless the server accepts the login.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from ..errors import auth_error
from ..protocol.bearer import bearer_response
from ..protocol.replies import Reply
from ..protocol.secrets import SECRET
from ..protocol.steps import Ask, Command, Dialogue
from .credentials import Credentials

__all__ = ["MECHANISMS"]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _plain(credentials: Credentials) -> Dialogue[None]:
    """PLAIN (RFC 4616), without an authorization identity, because some servers refuse any."""
    user, password = credentials.require("PLAIN")
    if "\0" in user or "\0" in password:
        raise auth_error("auth 'user' or 'pass' contains NUL, which PLAIN cannot carry")
    response = _base64(f"\0{user}\0{password}")
    reply = yield Command(f"AUTH PLAIN {response}", f"AUTH PLAIN {SECRET}", "PLAIN")
    if reply.code == 334:
        # RFC 4616 has no second step, but some servers ask for one.
        reply = yield Command("")
    yield from _conclude(reply, "AUTH PLAIN")


def _login(credentials: Credentials) -> Dialogue[None]:
    """LOGIN (draft-murchison-sasl-login): any 334 is a prompt, because servers word it freely."""
    user, password = credentials.require("LOGIN")
    reply = yield Command("AUTH LOGIN")
    _expect_prompt(reply, "AUTH LOGIN")
    reply = yield Command(_base64(user), reveals="LOGIN")
    _expect_prompt(reply, "AUTH LOGIN")
    reply = yield Command(_base64(password), SECRET, "LOGIN")
    yield from _conclude(reply, "AUTH LOGIN")


def _cram_md5(credentials: Credentials) -> Dialogue[None]:
    """CRAM-MD5 (RFC 2195)."""
    user, password = credentials.require("CRAM-MD5")
    reply = yield Command("AUTH CRAM-MD5")
    _expect_prompt(reply, "AUTH CRAM-MD5")
    try:
        challenge = base64.b64decode(reply.text[4:].strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        yield _cancel()
        text = "Invalid challenge, it is not base64"
        raise reply.failure(text, "EAUTH", "AUTH CRAM-MD5") from None
    import hmac  # it loads hashlib: 2 ms, which only this mechanism needs

    try:
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    except ValueError:
        yield _cancel()
        text = "This system has no MD5 (FIPS?)"
        raise reply.failure(text, "EAUTH", "AUTH CRAM-MD5") from None
    reply = yield Command(_base64(f"{user} {digest}"), SECRET)
    yield from _conclude(reply, "AUTH CRAM-MD5")


def _ntlm(credentials: Credentials) -> Dialogue[None]:
    """NTLM."""
    user, password = credentials.require("NTLM")
    from .ntlm import ntlm_login  # few need it

    reply = yield from ntlm_login(user, password, credentials.domain)
    yield from _conclude(reply, "AUTH NTLM")


# -- XOAUTH2 --------------------------------------------------------------------------------------


def _xoauth2(credentials: Credentials) -> Dialogue[None]:
    """XOAUTH2, as Google and Microsoft define it.  If the server refuses the token of a generator
    object, the generator is asked for a new one, once."""
    token = credentials.token
    if not token:
        raise auth_error('Missing credentials for "XOAUTH2": auth has no xoauth2')
    if isinstance(token, str):
        reply = yield from _xoauth2_attempt(_xoauth2_response(credentials.user, token))
    else:
        response = yield from _ask_for_response(token, renew=False)
        reply = yield from _xoauth2_attempt(response)
        if not reply.positive:
            response = yield from _ask_for_response(token, renew=True)
            reply = yield from _xoauth2_attempt(response)
    _expect_success(reply, "AUTH XOAUTH2")


def _xoauth2_response(user: str | None, access_token: str) -> str:
    if not user:
        raise auth_error('Missing credentials for "XOAUTH2": auth has no user')
    refusal = "auth 'user' or 'xoauth2' contains a control character"
    return bearer_response(user, access_token, refusal)


def _xoauth2_attempt(response: str) -> Dialogue[Reply]:
    shown_as = f"AUTH XOAUTH2 {SECRET}"
    reply: Reply = yield Command(f"AUTH XOAUTH2 {response}", shown_as, "XOAUTH2")
    if reply.code == 334:
        # The challenge is an error document; the final reply comes after an empty answer.
        reply = yield Command("")
    yield from _cancel_prompt(reply)
    return reply


def _ask_for_response(generator: Any, *, renew: bool) -> Dialogue[str]:
    """Ask a generator object, in Node's spelling or in Python's, for the finished response."""
    names = ("generateToken", "generate_token") if renew else ("getToken", "get_token")
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
        raise auth_error(f"No access token: {exc}", "AUTH XOAUTH2") from exc
    if not isinstance(response, str) or not re.fullmatch("[A-Za-z0-9+/]+={0,2}", response):
        raise auth_error("No access token: the generator gave no base64 string", "AUTH XOAUTH2")
    return response


# -- what the server says -------------------------------------------------------------------------


def _expect_prompt(reply: Reply, command: str) -> None:
    if reply.code != 334:
        raise reply.failure("Invalid login", "EAUTH", command)


def _expect_success(reply: Reply, command: str) -> None:
    if not reply.positive:
        raise reply.failure("Invalid login", "EAUTH", command)


def _conclude(reply: Reply, command: str) -> Dialogue[None]:
    yield from _cancel_prompt(reply)
    _expect_success(reply, command)


def _cancel_prompt(reply: Reply) -> Dialogue[None]:
    """Cancel if the server still asks for something: it would read the next command, whatever that
    is, as the answer."""
    if reply.code == 334:
        yield _cancel()


def _cancel() -> Command:
    return Command("*")  # RFC 4954 section 4


MECHANISMS: dict[str, Callable[[Credentials], Dialogue[None]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "XOAUTH2": _xoauth2,
    "NTLM": _ntlm,
}
