"""The options of an XOAUTH2 generator: the names of ``xoauth2`` and nodemailer, checked once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from ..callbacks import arguments_taken
from ..errors import SMTPError, auth_error, needs_extra
from ..hosts import is_loopback
from ..options.checks import PEM_BEGIN, WrongType, WrongValue, line, number, or_default
from ..options.table import Option, Settings
from ..options.tls import TLSOptions
from ..protocol.secrets import SECRET
from ..text import has_surrogate, without_controls

__all__ = ["XOAuth2Options", "extra_missing"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The library that makes the request refuses a blank in front.
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e][\t\x20-\x7e]*)?")

# A parameter that a caller adds may be an assertion or an API key as well as the name of a tenant,
# so its value is masked. The values of these are never secret, and errors are often about them.
_OPEN_PARAMETERS = {"grant_type", "scope", "resource", "audience", "client_assertion_type"}
_LONGEST_TEXT = 500

_line = line()
_number = number("a number, 0 or more", most=1e18)


def _token(value: object) -> str:
    # Its characters are checked when it is used, like those of a token from anywhere else.
    if not isinstance(value, str):
        raise WrongType("takes a string", value)
    return value


def _url(value: object) -> str | None:
    url = _line(value)
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise WrongValue("takes an https:// URL (or http:// to this very machine)", value)
    return url


def _at_most_an_hour(value: object) -> float:
    # Google refuses assertions that are valid for longer.
    return min(_number(value), 3600)


def _headers(value: object) -> dict[str, str]:
    says = "takes a dict of HTTP headers: printable ASCII, or numbers"
    headers = _strings(value, says)
    for name, content in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(content):
            raise WrongValue(says, content, f" for {name!r}")
    return headers


def _parameters(value: object) -> dict[str, str]:
    return _strings(value, "takes a dict of strings or numbers")


def _strings(value: object, says: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise WrongType(says, value)
    strings = {}
    for name, content in value.items():
        if content is None:
            continue
        plain = isinstance(content, (str, int, float)) and not isinstance(content, bool)
        if not isinstance(name, str) or not plain:
            raise WrongType(says, content, f" for {name!r}")
        strings[name] = str(content)
        if has_surrogate(name + strings[name]):
            raise WrongValue(says, content, f" for {name!r}")
    return strings


def _key(value: object) -> str:
    says = "takes a private key in PEM, as text, with its BEGIN line"
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        raise WrongType(says, value)
    if value and (PEM_BEGIN not in value or not value.isascii()):
        raise WrongValue(says, value)
    return value


def _callback(value: Callable[..., object]) -> Callable[..., object]:
    if not callable(value):
        raise WrongType("takes a callable", value)
    arguments_taken(value)
    return value


class XOAuth2Options(Settings):
    """All options of :class:`XOAuth2Generator`, with their defaults filled in.

    The manual says what each of them means.
    """

    user: Option[str] = Option(_line, "")
    clientId: Option[str] = Option(_line, "")
    clientSecret: Option[str] = Option(_line, "", secret=True)
    refreshToken: Option[str] = Option(_line, "", secret=True)
    accessUrl: Option[str] = Option(_url, "https://oauth2.googleapis.com/token", secret=True)
    accessToken: Option[str] = Option(_token, "", secret=True)
    timeout: Option[float] = Option(_number, 0)
    expires: Option[float] = Option(_number, 0)
    customHeaders: Option[Mapping[str, str]] = Option(_headers, {}, secret=True)
    customParams: Option[Mapping[str, str]] = Option(_parameters, {}, secret=True)
    service: Option[str] = Option(_line, "", alias="serviceClient")
    scope: Option[str] = Option(or_default(_line), "https://mail.google.com/")
    privateKey: Option[str] = Option(_key, "", secret=True)
    serviceRequestTimeout: Option[float] = Option(or_default(_at_most_an_hour), 300)
    provisionCallback: Option[Callable[..., object] | None] = Option(_callback, None, secret=True)
    requestTimeout: Option[float] = Option(or_default(_number), 30_000)
    tls: Option[TLSOptions] = Option(TLSOptions.parse, TLSOptions())

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        if values.get("service") and not (values.get("privateKey") and values.get("user")):
            raise ValueError("option 'service' needs the options 'privateKey' and 'user'")

    @property
    def host(self) -> str:
        """The host of ``accessUrl``: the only part of the URL that may be shown."""
        return urlsplit(self.accessUrl).hostname or ""

    @property
    def can_request(self) -> bool:
        """Whether the options allow a request to the token endpoint."""
        # A caller who names another grant (client_credentials: RFC 6749 section 4.4) needs no more.
        return bool(self.service or self.refreshToken or "grant_type" in self.customParams)

    def masked(self, text: str, *secrets: str) -> str:
        """Return ``text``, the words of somebody else, as error texts may quote them: without
        control characters, the secrets of the options, and ``secrets``, and not too long."""
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
