"""The ``auth`` argument of ``login``, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..callbacks import only_awaited
from ..errors import auth_error
from ..text import has_surrogate

__all__ = ["ASKED", "RENEWED", "Credentials", "refuse_async_generator"]

ASKED = ("getToken", "get_token")
"""What a generator of tokens is asked with, in Node's spelling and in Python's."""

RENEWED = ("generateToken", "generate_token")
"""What it is asked with for a new one."""


class Credentials:
    """The ``auth`` argument of ``login``, in either of Node's forms.

    - ``user``, ``password`` (str or None)
    - ``token`` (str, generator object or None): for XOAUTH2 and OAUTHBEARER
    - ``domain`` (str or None): for NTLM
    - ``method`` (str, tuple of str or None): the mechanism that the caller names, or those of
      which to use the first that fits; upper case
    """

    __slots__ = ("domain", "method", "password", "token", "user")

    def __init__(self, auth: Mapping[str, Any] | None) -> None:
        """Raises :class:`SMTPError` (``EAUTH``) for a wrong value, which the error does not show:
        it may be a secret."""
        if auth is None:
            auth = {}
        if not isinstance(auth, Mapping):
            raise auth_error(f"auth is a dict with 'user' and 'pass'; got {type(auth).__name__}")
        inner = auth.get("credentials") or {}
        if not isinstance(inner, Mapping):
            raise auth_error(f"auth 'credentials' is a dict; got {type(inner).__name__}")
        self.user = _text("user", inner.get("user") or auth.get("user"))
        self.password = _text("pass", inner.get("pass") or auth.get("pass"))
        token = auth.get("xoauth2") or auth.get("oauth2") or None
        self.token = _text("xoauth2", token) if isinstance(token, str) else token
        self.domain = _text("domain", auth.get("domain")) or None
        self.method = _method(auth.get("method"))

    def require(self, mechanism: str) -> tuple[str, str]:
        """Return user and password, which ``mechanism`` needs.

        Raises :class:`SMTPError` (``EAUTH``) if one of them is missing.
        """
        if self.user and self.password:
            return self.user, self.password
        values = {"user": self.user, "pass": self.password}
        missing = " and no ".join(name for name, value in values.items() if not value)
        raise auth_error(f'Missing credentials for "{mechanism}": auth has no {missing}')


def _method(given: object) -> str | tuple[str, ...] | None:
    if not isinstance(given, (list, tuple)):
        return _mechanism(given) or None
    names = tuple(_mechanism(each) for each in given)
    if not all(names):
        raise auth_error("auth 'method' is the name of a mechanism, or a list; one of these is ''")
    return names or None


def _mechanism(given: object) -> str:
    name = (_text("method", given) or "").strip()
    if not name.isprintable():
        raise auth_error(f"auth 'method' is the name of a mechanism; got {name!r}")
    return name.upper()


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise auth_error(f"auth {name!r} is a string; got {type(value).__name__}")
    # Found here, because the exception of encode() would hold the whole text.
    if value and has_surrogate(value):
        raise auth_error(f"auth {name!r} contains a lone surrogate")
    return value


def refuse_async_generator(generator: object) -> None:
    """Raise ``TypeError`` if a method of ``generator`` for tokens is an ``async def`` function."""
    for name in ASKED + RENEWED:
        method = getattr(generator, name, None)
        if callable(method) and only_awaited(method):
            raise TypeError(
                "auth 'xoauth2' is an access token or an object with getToken(callback), which"
                f" calls callback(err, token); the {name}() of {type(generator).__name__} is an"
                " 'async def' function, which nobody would await"
            )
