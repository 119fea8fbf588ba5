"""The mechanisms that the package knows, one generator for each.

Each of them raises :class:`SMTPError` (``EAUTH``) unless the server accepts the login.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..errors import auth_error
from ..protocol.secrets import SECRET
from ..protocol.session import Session
from ..protocol.steps import Command, Dialogue
from .credentials import Credentials
from .prompts import b64, cancelled, challenge_in, conclude, expect_prompt

__all__ = ["MECHANISMS"]


def _plain(credentials: Credentials, session: Session) -> Dialogue[None]:
    """PLAIN (RFC 4616), without an authorization identity, because some servers refuse any."""
    user, password = credentials.require("PLAIN")
    if "\0" in user or "\0" in password:
        raise auth_error("auth 'user' or 'pass' contains NUL, which PLAIN cannot carry")
    response = b64(f"\0{user}\0{password}")
    reply = yield Command(f"AUTH PLAIN {response}", f"AUTH PLAIN {SECRET}", "PLAIN")
    if reply.code == 334:
        # RFC 4616 has no second step, but some servers ask for one.
        reply = yield Command("")
    yield from conclude(reply, "AUTH PLAIN")


def _login(credentials: Credentials, session: Session) -> Dialogue[None]:
    """LOGIN (draft-murchison-sasl-login): any 334 is a prompt, because servers word it freely."""
    user, password = credentials.require("LOGIN")
    reply = yield Command("AUTH LOGIN")
    expect_prompt(reply, "AUTH LOGIN")
    reply = yield Command(b64(user), reveals="LOGIN")
    expect_prompt(reply, "AUTH LOGIN")
    reply = yield Command(b64(password), SECRET, "LOGIN")
    yield from conclude(reply, "AUTH LOGIN")


def _cram_md5(credentials: Credentials, session: Session) -> Dialogue[None]:
    """CRAM-MD5 (RFC 2195)."""
    user, password = credentials.require("CRAM-MD5")
    reply = yield Command("AUTH CRAM-MD5")
    expect_prompt(reply, "AUTH CRAM-MD5")
    challenge = challenge_in(reply)
    if challenge is None:
        text = "Invalid challenge, it is not base64"
        raise (yield from cancelled(reply, text, "AUTH CRAM-MD5"))
    import hmac  # it loads hashlib: 2 ms, which only this mechanism needs

    try:
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    except ValueError:
        text = "This system has no MD5 (FIPS?)"
        raise (yield from cancelled(reply, text, "AUTH CRAM-MD5")) from None
    reply = yield Command(b64(f"{user} {digest}"), SECRET)
    yield from conclude(reply, "AUTH CRAM-MD5")


def _external(credentials: Credentials, session: Session) -> Dialogue[None]:
    """EXTERNAL (RFC 4422 appendix A): the server knows already who this is, by the certificate of
    the TLS handshake, say.  A ``user`` is the identity to act as."""
    identity = b64(credentials.user or "")
    # RFC 4954 section 4: "=" is an initial response of no bytes.
    reply = yield Command(f"AUTH EXTERNAL {identity or '='}")
    if reply.code == 334:
        # Some servers ask for what they have been told.
        reply = yield Command(identity)
    yield from conclude(reply, "AUTH EXTERNAL")


# -- those that few need, in modules of their own -------------------------------------------------


def _scram(digest: str, credentials: Credentials, session: Session) -> Dialogue[None]:
    from .scram import scram_login

    yield from scram_login(credentials, digest)


def _oauth(mechanism: str, credentials: Credentials, session: Session) -> Dialogue[None]:
    from .oauth import oauth_login

    yield from oauth_login(credentials, session, mechanism)


def _ntlm(credentials: Credentials, session: Session) -> Dialogue[None]:
    user, password = credentials.require("NTLM")
    from .ntlm import ntlm_login

    reply = yield from ntlm_login(user, password, credentials.domain)
    yield from conclude(reply, "AUTH NTLM")


MECHANISMS: dict[str, Callable[[Credentials, Session], Dialogue[None]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "SCRAM-SHA-1": partial(_scram, "sha1"),
    "SCRAM-SHA-256": partial(_scram, "sha256"),
    "SCRAM-SHA-512": partial(_scram, "sha512"),
    "XOAUTH2": partial(_oauth, "XOAUTH2"),
    "OAUTHBEARER": partial(_oauth, "OAUTHBEARER"),
    "EXTERNAL": _external,
    "NTLM": _ntlm,
}
