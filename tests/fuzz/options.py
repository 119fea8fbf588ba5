"""Whatever stands in a dict of options, either it is refused with a ``TypeError`` or ``ValueError``
that is fit to be printed, or what is kept of it cannot end a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smtp_connection.options.proxy import ProxyURL
from smtp_connection.options.smtp import Options
from smtp_connection.options.table import Settings
from smtp_connection.options.tls import TLSOptions
from smtp_connection.xoauth2.options import XOAuth2Options

from .inputs import CONTROL, check_refusal, fields

_PARSERS: tuple[Callable[[Any], Any], ...] = (
    lambda given: Options.parse(given, {}),
    lambda given: XOAuth2Options.parse(given, {}),
    TLSOptions.parse,
)

# Bodies of requests are encoded; files may have names of any kind, and passphrases any text.
_ANYTHING = {"customParams", "accessToken", "privateKey", "ca", "cert", "key"}


def check(data: bytes) -> None:
    """(The invariant stands above.)"""
    given = fields(data)
    for parse in _PARSERS:
        try:
            options = parse(given)
        except (TypeError, ValueError) as error:
            check_refusal(error)
        else:
            _check_kept(options)


def _check_kept(options: Any) -> None:
    assert not CONTROL.search(repr(options))
    for name in options if isinstance(options, Settings) else type(options).__slots__:
        value = getattr(options, name)
        if isinstance(value, (TLSOptions, ProxyURL)):
            _check_kept(value)
        elif name == "customHeaders":
            assert not any(CONTROL.search(f"{k}{v}".replace("\t", "")) for k, v in value.items())
        elif isinstance(value, str) and name not in _ANYTHING:
            assert not CONTROL.search(value)
