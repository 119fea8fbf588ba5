"""A login (RFC 4954): which mechanism is used, and the dialogue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import SMTPError, auth_error
from ..protocol.hints import about_clear_login
from ..protocol.opening import say_hello_again
from ..protocol.session import Session
from ..protocol.steps import Dialogue
from .credentials import Credentials, refuse_async_generator
from .custom import custom_login
from .mechanisms import MECHANISMS

__all__ = ["choose_mechanism", "login", "usual_mechanism"]

# In the order of preference.  SCRAM shows the password to nobody, and needs a server that knows it.
# Over TLS the simplest comes next, because servers get it right; in clear text the one that does
# not show the password either.
_SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
_HIDES_PASSWORD = (*_SCRAM, "CRAM-MD5")
_SHOWS_PASSWORD = ("PLAIN", "LOGIN")
_OVER_TLS = (*_SCRAM, *_SHOWS_PASSWORD, "CRAM-MD5")
_BEARER = ("OAUTHBEARER", "XOAUTH2")


def login(auth: Mapping[str, Any] | None, session: Session) -> Dialogue[bool]:
    """Return the dialogue that logs in with the credentials in ``auth``; its value is ``True``.

    ``auth`` is read here, once: what the caller does to it afterwards changes nothing.  Here
    ``TypeError`` is raised for a generator of tokens whose methods are ``async def`` functions, and
    nothing else.  The dialogue raises :class:`SMTPError` (``EAUTH``), also for an ``auth`` that
    cannot be used; the session can be used after that.
    """
    try:
        own = dict(auth) if isinstance(auth, Mapping) else auth
        credentials = Credentials(own)
    except SMTPError as error:
        return _dialogue(error.with_traceback(None), None, session)
    except Exception as exc:
        what = type(exc).__name__
    else:
        if credentials.token is not None:
            refuse_async_generator(credentials.token)
        return _dialogue(credentials, own, session)
    # Neither the text nor the traceback of that exception is shown: both may contain credentials.
    return _dialogue(auth_error(f"auth cannot be read: it raises {what}"), None, session)


def _dialogue(
    credentials: Credentials | SMTPError, auth: dict[str, Any] | None, session: Session
) -> Dialogue[bool]:
    if isinstance(credentials, SMTPError):
        raise credentials
    mechanism = choose_mechanism(credentials, session)
    handler = session.custom_auth.get(mechanism)
    if handler is not None:
        yield from custom_login(handler, auth, mechanism, session)
    else:
        yield from MECHANISMS[mechanism](credentials, session)
    session.authenticated = True
    if session.ehlo_after_auth:
        yield from say_hello_again(session)
    return True


def usual_mechanism(announced: Collection[str], *, over_tls: bool, private: bool) -> str | None:
    """Return the mechanism for a user name and a password, ``None`` if none of ``announced`` is
    one.  Without TLS and not ``private``, others can read what is said: nothing shows them the
    password."""
    order: tuple[str, ...] = _OVER_TLS
    if not over_tls:
        order = _HIDES_PASSWORD + _SHOWS_PASSWORD if private else _HIDES_PASSWORD
    return next((mechanism for mechanism in order if mechanism in announced), None)


def choose_mechanism(credentials: Credentials, session: Session) -> str:
    """Return the name of the mechanism to use.

    The one that the caller names is used whether or not the server announces it; of several the
    first that the server announces and that ``credentials`` are enough for.  Raises
    :class:`SMTPError` (``EAUTH``) if none fits or one is unknown, and after a refused STARTTLS.
    """
    session.require_upgraded()
    named = credentials.method or session.auth_method
    if isinstance(named, str):
        _require_known([named], session)
        return named
    announced = session.capabilities.auth
    if named is not None:
        _require_known(named, session)
        for mechanism in named:
            if mechanism in announced and _is_enough(credentials, mechanism, session):
                return mechanism
        raise _nothing_fits(session, f"none of {', '.join(named)} that fits")
    return _usual_choice(credentials, session)


def _usual_choice(credentials: Credentials, session: Session) -> str:
    announced = session.capabilities.auth
    if credentials.token:
        for mechanism in _BEARER:
            if mechanism in announced:
                return mechanism
    if credentials.domain and "NTLM" in announced:
        return "NTLM"
    if credentials.password or not credentials.token:
        usable = announced
        if not _scram_is_possible(credentials):
            usable = tuple(each for each in announced if each not in _SCRAM)
        usual = usual_mechanism(usable, over_tls=session.secure, private=session.private)
        if usual is not None:
            return usual
    for mechanism in announced:
        if mechanism in session.custom_auth:
            return mechanism
    showing = [each for each in announced if each in _SHOWS_PASSWORD]
    if showing and credentials.password:
        raise auth_error(
            f"No login in clear text: {' and '.join(showing)} would show the password to anybody on"
            " the way; use secure or requireTLS, or name the mechanism with authMethod"
        )
    raise _nothing_fits(session, "no authentication mechanism that fits")


def _require_known(mechanisms: Iterable[str], session: Session) -> None:
    for mechanism in mechanisms:
        if mechanism not in MECHANISMS and mechanism not in session.custom_auth:
            known = ", ".join([*MECHANISMS, *session.custom_auth])
            raise auth_error(f'Unknown authentication method "{mechanism}"; known are {known}')


def _is_enough(credentials: Credentials, mechanism: str, session: Session) -> bool:
    if mechanism in session.custom_auth or mechanism == "EXTERNAL":
        return True
    if mechanism in _BEARER:
        return bool(credentials.token)
    if mechanism in _SCRAM and not _scram_is_possible(credentials):
        return False
    return bool(credentials.password)


def _scram_is_possible(credentials: Credentials) -> bool:
    """Whether SCRAM allows this user name and this password; nearly all are of plain letters."""
    texts = (credentials.user or "", credentials.password or "")
    if all(text.isascii() and text.isprintable() for text in texts):
        return True
    from .saslprep import is_allowed

    return all(map(is_allowed, texts))


def _nothing_fits(session: Session, what: str) -> SMTPError:
    announced = session.capabilities.auth
    offer = f"it announces {', '.join(announced)}" if announced else "it announces none"
    error = auth_error(f"The server announces {what}; {offer}")
    starttls = session.ignore_tls or "STARTTLS" in session.capabilities
    if not announced and starttls and not session.secure:
        error.add_hint(about_clear_login(ignores_tls=session.ignore_tls))
    return error
