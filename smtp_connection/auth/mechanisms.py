"""Logging in (RFC 4954): one generator for each mechanism, and the choice among them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SMTPError
from ..protocol.replies import Reply
from ..protocol.secrets import SECRET
from ..protocol.session import Session
from ..protocol.steps import Ask, Command, Dialogue
from ..text import has_surrogate
from .custom import custom_login

__all__ = ["Credentials", "login"]

# In the order in which they are preferred: over TLS the simplest first, which servers get right;
# in clear text first the one that does not show the password.
_OVER_TLS = ("PLAIN", "LOGIN", "CRAM-MD5")
_IN_CLEAR = ("CRAM-MD5", "PLAIN", "LOGIN")


def _error(message: str, command: str = "API", reply: Reply | None = None) -> SMTPError:
    return SMTPError(message, code="EAUTH", command=command, response=reply.text if reply else None)


def _base64(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode("ascii")


class Credentials:
    """The ``auth`` argument of ``login``, in either of Node's forms.

    - ``user``, ``password`` (str or None)
    - ``token`` (str, generator object or None): for XOAUTH2
    - ``domain`` (str or None): for NTLM
    - ``method`` (str or None): the mechanism that the caller names, upper case
    """

    __slots__ = ("domain", "method", "password", "token", "user")

    def __init__(self, auth: Mapping[str, Any] | None) -> None:
        """Raises :class:`SMTPError` (``EAUTH``) for what cannot be read; no error shows a value."""
        if auth is None:
            auth = {}
        if not isinstance(auth, Mapping):
            raise _error(f"auth is a dict with 'user' and 'pass'; got {type(auth).__name__}")
        inner = auth.get("credentials") or {}
        if not isinstance(inner, Mapping):
            raise _error(f"auth 'credentials' is a dict; got {type(inner).__name__}")
        self.user = _text("user", inner.get("user") or auth.get("user"))
        self.password = _text("pass", inner.get("pass") or auth.get("pass"))
        token = auth.get("xoauth2") or auth.get("oauth2") or None
        self.token = _text("xoauth2", token) if isinstance(token, str) else token
        self.domain = _text("domain", auth.get("domain")) or None
        method = (_text("method", auth.get("method")) or "").strip()
        if not method.isprintable():
            raise _error(f"auth 'method' is the name of a mechanism; got {method!r}")
        self.method = method.upper() or None

    def require(self, mechanism: str) -> tuple[str, str]:
        """Return user and password; raise :class:`SMTPError` if one of them is missing."""
        missing = [
            name for name, value in (("user", self.user), ("pass", self.password)) if not value
        ]
        if not self.user or not self.password:
            raise _error(
                f'Missing credentials for "{mechanism}": auth has no {" and no ".join(missing)}'
            )
        return self.user, self.password


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _error(f"auth {name!r} is a string; got {type(value).__name__}")
    # Looked for, not left to encode(), whose exception would carry the whole text.
    if value and has_surrogate(value):
        raise _error(f"auth {name!r} contains a lone surrogate")
    return value


def choose_mechanism(credentials: Credentials, session: Session) -> str:
    """Return the name of the mechanism to use; raise :class:`SMTPError` if there is none."""
    named = credentials.method or session.auth_method
    if session.upgrade_refused:
        raise _error("No login: the server refused STARTTLS, so this connection is in clear text")
    if named:
        return named
    announced = session.capabilities.auth
    if credentials.token and "XOAUTH2" in announced:
        return "XOAUTH2"
    if credentials.domain and "NTLM" in announced:
        return "NTLM"
    if not (credentials.token and not credentials.password):
        for mechanism in _OVER_TLS if session.secure else _IN_CLEAR:
            if mechanism in announced:
                return mechanism
    for mechanism in announced:
        if mechanism in session.custom_auth:
            return mechanism
    offer = f"it announces {', '.join(announced)}" if announced else "it announces none"
    raise _error(f"The server announces no authentication mechanism that fits; {offer}")


def login(auth: Mapping[str, Any] | None, session: Session) -> Dialogue[bool]:
    """Authenticate with the credentials in ``auth``; the value is ``True``.

    Raises :class:`SMTPError` with the code ``EAUTH``; the session stays usable after that.
    """
    credentials = Credentials(auth)
    mechanism = choose_mechanism(credentials, session)
    handler = session.custom_auth.get(mechanism)
    if handler is not None:
        yield from custom_login(handler, auth, mechanism, session)
    elif mechanism in MECHANISMS:
        yield from MECHANISMS[mechanism](credentials)
    else:
        known = ", ".join([*MECHANISMS, *session.custom_auth])
        raise _error(f'Unknown authentication method "{mechanism}"; known are {known}')
    session.authenticated = True
    return True


def _plain(credentials: Credentials) -> Dialogue[None]:
    """PLAIN (RFC 4616), without an authorization identity: some servers refuse any."""
    user, password = credentials.require("PLAIN")
    if "\0" in user or "\0" in password:
        raise _error("auth 'user' or 'pass' contains NUL, which PLAIN cannot carry")
    reply = yield Command(
        f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}",
        f"AUTH PLAIN {SECRET}",
        "PLAIN",
    )
    if reply.code == 334:
        reply = yield Command("")
    yield from _conclude(reply, "AUTH PLAIN")


def _login(credentials: Credentials) -> Dialogue[None]:
    """LOGIN (draft-murchison-sasl-login): any 334 is a prompt, servers word them as they like."""
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
        yield Command("*")  # RFC 4954 section 4: the client cancels
        raise _error("Invalid challenge, it is not base64", "AUTH CRAM-MD5", reply) from None
    import hmac

    try:
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    except ValueError:
        yield Command("*")
        raise _error("This system has no MD5 (FIPS?)", "AUTH CRAM-MD5", reply) from None
    reply = yield Command(_base64(f"{user} {digest}"), SECRET)
    yield from _conclude(reply, "AUTH CRAM-MD5")


def _xoauth2(credentials: Credentials) -> Dialogue[None]:
    """XOAUTH2, as Google and Microsoft define it; a generator object gets a second chance."""
    token = credentials.token
    if not token:
        raise _error('Missing credentials for "XOAUTH2": auth has no xoauth2')
    if isinstance(token, str):
        if not credentials.user:
            raise _error('Missing credentials for "XOAUTH2": auth has no user')
        reply = yield from _xoauth2_attempt(_xoauth2_response(credentials.user, token))
    else:
        response = yield from _ask_for_response(token, renew=False)
        reply = yield from _xoauth2_attempt(response)
        if not reply.positive:
            response = yield from _ask_for_response(token, renew=True)
            reply = yield from _xoauth2_attempt(response)
    _expect_success(reply, "AUTH XOAUTH2")


def _xoauth2_response(user: str, access_token: str) -> str:
    if any(character in user + access_token for character in "\0\1\r\n"):
        raise _error("auth 'user' or 'xoauth2' contains a line break, NUL or ^A")
    return _base64(f"user={user}\x01auth=Bearer {access_token}\x01\x01")


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
        raise _error(
            f"auth 'xoauth2' is an access token or an object with {names[0]}(callback);"
            f" got {type(generator).__name__}"
        )
    try:
        response = yield Ask(method)
    except Exception as exc:
        raise _error(f"No access token: {exc}", "AUTH XOAUTH2") from exc
    if not isinstance(response, str) or not re.fullmatch("[A-Za-z0-9+/]+={0,2}", response):
        raise _error("No access token: the generator gave no base64 string", "AUTH XOAUTH2")
    return response


def _ntlm(credentials: Credentials) -> Dialogue[None]:
    """NTLM, in a room of its own, because nearly nobody needs it."""
    user, password = credentials.require("NTLM")
    from .ntlm import ntlm_login

    reply = yield from ntlm_login(user, password, credentials.domain)
    yield from _conclude(reply, "AUTH NTLM")


def _expect_prompt(reply: Reply, command: str) -> None:
    if reply.code != 334:
        raise _error("Invalid login", command, reply)


def _cancel_prompt(reply: Reply) -> Dialogue[None]:
    """If the server asks for more than there is, cancel (RFC 4954 section 4): it would take the
    next command, whatever that is, for the answer."""
    if reply.code == 334:
        yield Command("*")


def _conclude(reply: Reply, command: str) -> Dialogue[None]:
    yield from _cancel_prompt(reply)
    _expect_success(reply, command)


def _expect_success(reply: Reply, command: str) -> None:
    if not reply.positive:
        raise _error("Invalid login", command, reply)


MECHANISMS: dict[str, Callable[[Credentials], Dialogue[None]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "XOAUTH2": _xoauth2,
    "NTLM": _ntlm,
}
