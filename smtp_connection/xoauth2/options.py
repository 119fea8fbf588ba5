"""The options of an XOAUTH2 generator: the names of ``xoauth2`` and nodemailer, checked once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from ..callbacks import arguments_taken
from ..errors import SMTPError, auth_error, needs_extra
from ..hosts import is_loopback
from ..net.tls import TLSOptions
from ..options.names import NameTable
from ..protocol.secrets import SECRET
from ..text import control_in, has_surrogate, without_controls

__all__ = ["XOAuth2Options", "extra_missing"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e][\t\x20-\x7e]*)?")  # requests takes no blank in front
_PEM = "-----BEGIN"

# A parameter of the caller's own is as likely an assertion or an API key as the name of a tenant;
# these are known to be none, and errors are about them often enough.
_OPEN_PARAMETERS = {"grant_type", "scope", "resource", "audience", "client_assertion_type"}
_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class XOAuth2Options:
    """All options of :class:`XOAuth2Generator`, with their defaults filled in.

    What each of them means stands in the README.  A wrong value raises ``TypeError`` or
    ``ValueError``, which shows what it got unless that may be a secret.
    """

    user: str = ""
    clientId: str = ""
    clientSecret: str = field(default="", repr=False)
    refreshToken: str = field(default="", repr=False)
    accessUrl: str = field(default="https://oauth2.googleapis.com/token", repr=False)
    accessToken: str = field(default="", repr=False)
    timeout: float = 0
    expires: float = 0
    customHeaders: Mapping[str, str] = field(default_factory=dict, repr=False)
    customParams: Mapping[str, str] = field(default_factory=dict, repr=False)
    service: str = ""
    scope: str = "https://mail.google.com/"
    privateKey: str = field(default="", repr=False)
    serviceRequestTimeout: float = 300
    provisionCallback: Callable[..., object] | None = field(default=None, repr=False)
    requestTimeout: float = 30_000
    tls: TLSOptions = field(default_factory=TLSOptions)

    @classmethod
    def parse(cls, given: Mapping[str, Any] | None, more: Mapping[str, Any]) -> XOAuth2Options:
        """Read the options dict; ``more`` are options given by keyword, which win."""
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"options are a dict; got {type(given).__name__}")
        checked: dict[str, Any] = {}
        for name, value in {**_renamed(given or {}), **_renamed(more)}.items():
            # None, or a check that returns it, stands for the default, as undefined does in Node.
            if value is not None and (accepted := _CHECKS[name](name, value)) is not None:
                checked[name] = accepted
        options = cls(**checked)
        if options.service and not (options.privateKey and options.user):
            raise ValueError("option 'service' needs the options 'privateKey' and 'user'")
        return options

    @property
    def host(self) -> str:
        """The host of ``accessUrl``: the one part that may be shown."""
        return urlsplit(self.accessUrl).hostname or ""

    @property
    def can_request(self) -> bool:
        """Whether there is something to show a token endpoint."""
        # Whoever names a grant of his own (RFC 6749, 4.4: client_credentials) needs nothing else.
        return bool(self.service or self.refreshToken or "grant_type" in self.customParams)

    def masked(self, text: str, *secrets: str) -> str:
        """Return ``text``, somebody else's words, fit to be part of an error's text: without the
        secrets of the options, ``secrets`` and control characters, and not too long."""
        shown = without_controls(self.without_secrets(text, *secrets))
        shown = " ".join(shown.split())
        return shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}..."

    def without_secrets(self, text: str, *secrets: str) -> str:
        """Return ``text`` with the secrets of the options, and ``secrets``, masked."""
        for secret in sorted({*self._secrets(), *secrets}, key=len, reverse=True):
            if len(secret) < 4:
                continue  # masking each "a" of a text tells more than it hides
            for form in (secret, quote(secret, safe=""), quote_plus(secret)):
                text = text.replace(form, SECRET)
        return text

    def _secrets(self) -> set[str]:
        secrets = {self.clientSecret, self.refreshToken, self.accessToken, self.privateKey}
        for value in self.customHeaders.values():
            secrets |= {value, *(word for word in value.split() if len(word) >= 8)}
        for name, value in self.customParams.items():
            if name not in _OPEN_PARAMETERS:
                secrets.add(value)
        return secrets


def extra_missing(exc: ImportError) -> SMTPError:
    """Return the error that says what to install."""
    error = auth_error(needs_extra("asking for an access token", "oauth2"))
    error.__cause__ = exc.with_traceback(None)
    return error


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``given`` with the names of :class:`XOAuth2Options`."""
    values = dict(_NAMES.canonical(given))
    client = values.pop("serviceClient", None)  # nodemailer's name of 'service'
    if client is not None:
        if values.get("service") is not None:
            raise TypeError(
                "options 'service' and 'serviceClient' are one option; give one of them"
            )
        values["service"] = client
    return values


def _wrong(kind: type[Exception], name: str, value: object, takes: str) -> Exception:
    shown = name in _SHOWN and isinstance(value, (str, int, float))
    got = repr(value) if shown else type(value).__name__
    return kind(f"option {name!r} takes {takes}; got {got}")


def _text(name: str, value: object) -> str:
    takes = "a string without control characters"
    if not isinstance(value, str):
        raise _wrong(TypeError, name, value, takes)
    if control_in(value):
        raise _wrong(ValueError, name, value, takes)
    return value


def _scope(name: str, value: object) -> str | None:
    return _text(name, value) or None


def _token(name: str, value: object) -> str:
    # No more than this: wherever a token comes from, it is judged when it is used.
    if not isinstance(value, str):
        raise _wrong(TypeError, name, value, "a string")
    return value


def _url(name: str, value: object) -> str | None:
    takes = "an https:// URL (or http:// to this very machine)"
    if not _text(name, value):
        return None
    try:
        parts = urlsplit(str(value))
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise _wrong(ValueError, name, value, takes)
    return str(value)


def _number(name: str, value: object) -> float:
    takes = "a number, 0 or more"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(TypeError, name, value, takes)
    if not 0 <= value < 1e18:
        raise _wrong(ValueError, name, value, takes)
    return value


def _milliseconds(name: str, value: object) -> float | None:
    return _number(name, value) or None


def _at_most_an_hour(name: str, value: object) -> float | None:
    # Google refuses assertions that are valid for longer.
    return min(_number(name, value), 3600) or None


def _headers(name: str, value: object) -> dict[str, str]:
    takes = "a dict of HTTP headers: printable ASCII, or numbers"
    headers = _strings(name, value, takes)
    for header, content in headers.items():
        if not _HEADER_NAME.fullmatch(header) or not _HEADER_VALUE.fullmatch(content):
            raise _wrong_item(ValueError, name, header, content, takes)
    return headers


def _parameters(name: str, value: object) -> dict[str, str]:
    return _strings(name, value, "a dict of strings or numbers")


def _strings(name: str, value: object, takes: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _wrong(TypeError, name, value, takes)
    strings = {}
    for key, content in value.items():
        if content is None:
            continue
        plain = isinstance(content, (str, int, float)) and not isinstance(content, bool)
        if not isinstance(key, str) or not plain:
            raise _wrong_item(TypeError, name, key, content, takes)
        strings[key] = str(content)
        if has_surrogate(key + strings[key]):
            raise _wrong_item(ValueError, name, key, content, takes)
    return strings


def _wrong_item(
    kind: type[Exception], name: str, key: object, value: object, takes: str
) -> Exception:
    return kind(f"option {name!r} takes {takes}; got {type(value).__name__} for {key!r}")


def _key(name: str, value: object) -> str:
    takes = "a private key in PEM, as text, with its BEGIN line"
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        raise _wrong(TypeError, name, value, takes)
    if value and (_PEM not in value or not value.isascii()):
        raise _wrong(ValueError, name, value, takes)
    return value


def _callback(name: str, value: object) -> Callable[..., object]:
    if not callable(value):
        raise _wrong(TypeError, name, value, "a callable")
    arguments_taken(value)
    return value


def _tls(name: str, value: object) -> TLSOptions:
    return TLSOptions.parse(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "user": _text,
    "clientId": _text,
    "clientSecret": _text,
    "refreshToken": _text,
    "accessUrl": _url,
    "accessToken": _token,
    "timeout": _number,
    "expires": _number,
    "customHeaders": _headers,
    "customParams": _parameters,
    "service": _text,
    "scope": _scope,
    "privateKey": _key,
    "serviceRequestTimeout": _at_most_an_hour,
    "provisionCallback": _callback,
    "requestTimeout": _milliseconds,
    "tls": _tls,
}
_SHOWN = {
    "user",
    "clientId",
    "timeout",
    "expires",
    "service",
    "scope",
    "serviceRequestTimeout",
    "requestTimeout",
}
_NAMES = NameTable("option", [*(option.name for option in fields(XOAuth2Options)), "serviceClient"])
