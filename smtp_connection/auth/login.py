"""A login (RFC 4954): which mechanism is used, and the dialogue."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import SMTPError, auth_error
from ..protocol.hints import about_clear_login
from ..protocol.opening import say_hello_again
from ..protocol.session import Session
from ..protocol.steps import Dialogue
from .credentials import Credentials
from .custom import custom_login
from .mechanisms import MECHANISMS

__all__ = ["choose_mechanism", "login", "usual_mechanism"]

# In the order of preference.  Over TLS the simplest comes first, because servers get it right; in
# clear text the one that does not show the password.
_OVER_TLS = ("PLAIN", "LOGIN", "CRAM-MD5")
_IN_CLEAR = ("CRAM-MD5", "PLAIN", "LOGIN")


def login(auth: Mapping[str, Any] | None, session: Session) -> Dialogue[bool]:
    """Return the dialogue that logs in with the credentials in ``auth``; its value is ``True``.

    ``auth`` is read here, once: what the caller does to it afterwards changes nothing.  Nothing is
    raised here.  The dialogue raises :class:`SMTPError` (``EAUTH``), also for an ``auth`` that
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
    elif mechanism in MECHANISMS:
        yield from MECHANISMS[mechanism](credentials)
    else:
        known = ", ".join([*MECHANISMS, *session.custom_auth])
        raise auth_error(f'Unknown authentication method "{mechanism}"; known are {known}')
    session.authenticated = True
    if session.ehlo_after_auth:
        yield from say_hello_again(session)
    return True


def usual_mechanism(announced: Collection[str], *, over_tls: bool) -> str | None:
    """Return the mechanism for a user name and a password, ``None`` if none of ``announced`` is
    one."""
    order = _OVER_TLS if over_tls else _IN_CLEAR
    return next((mechanism for mechanism in order if mechanism in announced), None)


def choose_mechanism(credentials: Credentials, session: Session) -> str:
    """Return the name of the mechanism to use.

    The one that the caller names is used whether or not the server announces it.  Raises
    :class:`SMTPError` (``EAUTH``) if none fits, and after a refused STARTTLS.
    """
    named = credentials.method or session.auth_method
    session.require_upgraded()
    if named:
        return named
    announced = session.capabilities.auth
    if credentials.token and "XOAUTH2" in announced:
        return "XOAUTH2"
    if credentials.domain and "NTLM" in announced:
        return "NTLM"
    if credentials.password or not credentials.token:
        usual = usual_mechanism(announced, over_tls=session.secure)
        if usual is not None:
            return usual
    for mechanism in announced:
        if mechanism in session.custom_auth:
            return mechanism
    offer = f"it announces {', '.join(announced)}" if announced else "it announces none"
    error = auth_error(f"The server announces no authentication mechanism that fits; {offer}")
    starttls = session.ignore_tls or "STARTTLS" in session.capabilities
    if not announced and starttls and not session.secure:
        error.add_hint(about_clear_login(ignores_tls=session.ignore_tls))
    raise error
