"""The options of a connection: Node's names, checked once, when the connection is made."""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Callable, Mapping
from socket import gethostname
from socket import socket as Socket
from typing import TYPE_CHECKING, Any

from ..net.tls import TLSOptions
from ..records import Settings
from ..text import control_in
from .names import NameTable

if TYPE_CHECKING:
    from .proxy import ProxyURL

__all__ = ["Options"]


_DEFAULTS: dict[str, Any] = {
    "host": "localhost",
    "port": 25,
    "secure": False,
    "ignoreTLS": False,
    "requireTLS": False,
    "opportunisticTLS": False,
    "name": "",
    "localAddress": None,
    "connectionTimeout": 120_000,
    "greetingTimeout": 30_000,
    "socketTimeout": 600_000,
    "debug": False,
    "logger": None,
    "transactionLog": False,
    "lmtp": False,
    "authMethod": None,
    "tls": TLSOptions(),
    "servername": "",
    "socket": None,
    "connection": None,
    "secured": False,
    "maxResponseSize": 1024 * 1024,
    "socketCloseTimeout": 5_000,
    "dnsTimeout": 30_000,
    "customAuth": {},
    "proxy": None,
}


class Options(Settings):
    """All options of :class:`SMTPConnection`, with their defaults filled in.

    Read as attributes or as a dict, in Node's spelling.  Time-outs are in milliseconds.  What each
    of them means stands in the README; a wrong value raises ``TypeError`` or ``ValueError`` that
    names the option, what it got and what it takes.
    """

    __slots__ = tuple(_DEFAULTS)
    defaults = _DEFAULTS
    # A handler may be a partial that holds a password.
    hidden = frozenset({"customAuth"})

    host: str
    port: int
    secure: bool
    ignoreTLS: bool
    requireTLS: bool
    opportunisticTLS: bool
    name: str
    localAddress: str | None
    connectionTimeout: float
    greetingTimeout: float
    socketTimeout: float
    debug: bool
    logger: Any
    transactionLog: bool
    lmtp: bool
    authMethod: str | None
    tls: TLSOptions
    servername: str
    socket: Socket | None
    connection: Socket | None
    secured: bool
    maxResponseSize: int
    socketCloseTimeout: float
    dnsTimeout: float
    customAuth: Mapping[str, Callable[..., Any]]
    proxy: ProxyURL | None

    @classmethod
    def parse(cls, given: Mapping[str, Any] | None, more: Mapping[str, Any]) -> Options:
        """Read the options dict; ``more`` are options given by keyword, which win."""
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"options are a dict; got {type(given).__name__}")
        values = {**_NAMES.canonical(given or {}), **_NAMES.canonical(more)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            # None stands for JavaScript's undefined; a check returns it where the default is meant.
            if value is not None and (accepted := _CHECKS[name](name, value)) is not None:
                checked[name] = accepted
        _settle(checked)
        return cls(**checked)


def _settle(values: dict[str, Any]) -> None:
    """Fill in the defaults that depend on other options, and refuse contradictions."""
    if values.get("socket") is not None and values.get("connection") is not None:
        raise ValueError("options 'socket' and 'connection' exclude each other; give one of them")
    handed_over = values.get("connection") or values.get("socket")
    if handed_over is not None and values.get("proxy") is not None:
        raise ValueError(
            "option 'proxy' and options 'socket' and 'connection' exclude each other: a socket that"
            " is handed over goes where it goes"
        )
    if values.get("secured") and not isinstance(handed_over, ssl.SSLSocket):
        raise TypeError(
            "option 'secured' takes an ssl.SSLSocket as option 'connection' or 'socket';"
            f" got {type(handed_over).__name__}"
        )
    if isinstance(handed_over, ssl.SSLSocket) and not values.get("secured"):
        raise TypeError("an ssl.SSLSocket as option 'connection' or 'socket' needs secured=True")
    if values.get("requireTLS"):
        # Contradictory options must not quietly end in clear text.
        values["ignoreTLS"] = values["opportunisticTLS"] = False
    values.setdefault("secure", values.get("port") == 465)
    values.setdefault("port", 465 if values["secure"] else 25)
    host = values.setdefault("host", "localhost")
    values["name"] = values.get("name") or _own_name()
    tls: TLSOptions = values.get("tls") or _DEFAULTS["tls"]
    values["servername"] = tls.servername or values.get("servername") or host


def _own_name() -> str:
    """Return the name to greet the server with (RFC 5321 section 4.1.4)."""
    name = gethostname()
    if "." not in name or control_in(name):
        return "[127.0.0.1]"
    return f"[{name}]" if _is_ip(name) else name


def _is_ip(text: str) -> bool:
    from ipaddress import ip_address  # of use to few, and slow to import

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _wrong(name: str, value: object, takes: str) -> TypeError:
    return TypeError(f"option {name!r} takes {takes}; got {value!r}")


def _flag(name: str, value: object) -> bool:
    # Not bool(value): 'false' and 'no' would be true.
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False")
    return value


def _text(name: str, value: object) -> str | None:
    if not isinstance(value, str):
        raise _wrong(name, value, "a string")
    control = control_in(value)
    if control:
        raise ValueError(f"option {name!r} takes a string without {control!r}; got {value!r}")
    return value.strip() or None


def _client_name(name: str, value: object) -> str | None:
    if not isinstance(value, str):
        raise _wrong(name, value, "a string")
    return _text(name, value.replace("\r", "").replace("\n", ""))


def _host(name: str, value: object) -> str:
    return _text(name, value) or "localhost"


def _port(name: str, value: object) -> int:
    takes = "a number or a numeric string"
    if isinstance(value, str):
        digits = value.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise ValueError(f"option {name!r} takes {takes}; got {value!r}")
        return int(digits)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, value, takes)
    return value


def _milliseconds(name: str, value: object) -> float | None:
    # As in Node, 0 stands for the default.
    return _duration(name, value) or None


def _duration(name: str, value: object) -> float:
    takes = "a number of milliseconds, 0 or more"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(name, value, takes)
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"option {name!r} takes {takes}; got {value!r}")
    return value


def _size(name: str, value: object) -> int | None:
    takes = "a number of bytes, 0 or more"
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, value, takes)
    if value < 0:
        raise ValueError(f"option {name!r} takes {takes}; got {value!r}")
    return value or None


def _local_address(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value, "an IP address")
    # Python takes anything for a zone, line breaks too.
    if control_in(value) or not _is_ip(value):
        raise ValueError(f"option {name!r} takes an IP address; got {value!r}")
    return value


def _socket(name: str, value: object) -> Socket:
    if not isinstance(value, Socket):
        raise _wrong(name, value, "a socket.socket")
    return value


def _tls(name: str, value: Any) -> TLSOptions:
    return TLSOptions.parse(value)


def _mechanism(name: str, value: object) -> str | None:
    text = _text(name, value)
    return text.upper() if text else None


def _logger(name: str, value: object) -> Any:
    if isinstance(value, bool):
        return value or None
    methods = ("debug", "info", "warning", "error")
    missing = [method for method in methods if not callable(getattr(value, method, None))]
    if missing:
        raise TypeError(
            f"option {name!r} takes True, False or an object with debug, info, warning and error;"
            f" got {value!r}, which has no {missing[0]}()"
        )
    return value


def _custom_auth(name: str, value: object) -> dict[str, Callable[..., Any]]:
    takes = "a dict of mechanism names and handlers"
    if not isinstance(value, Mapping):
        raise TypeError(f"option {name!r} takes {takes}; got {type(value).__name__}")
    handlers = {}
    for mechanism, handler in value.items():
        if not isinstance(mechanism, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", mechanism.strip()):
            raise ValueError(f"option {name!r} takes {takes}; {mechanism!r} is no mechanism name")
        if not callable(handler):
            got = type(handler).__name__
            raise TypeError(f"option {name!r} takes {takes}; got {got} for {mechanism!r}")
        handlers[mechanism.strip().upper()] = handler
    return handlers


def _proxy(name: str, value: object) -> ProxyURL | None:
    # An empty string is what a program gets that reads it from an unset variable.
    if value == "":
        return None
    from .proxy import parse_proxy

    return parse_proxy(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "host": _host,
    "port": _port,
    "secure": _flag,
    "ignoreTLS": _flag,
    "requireTLS": _flag,
    "opportunisticTLS": _flag,
    "name": _client_name,
    "localAddress": _local_address,
    "connectionTimeout": _milliseconds,
    "greetingTimeout": _milliseconds,
    "socketTimeout": _milliseconds,
    "debug": _flag,
    "logger": _logger,
    "transactionLog": _flag,
    "lmtp": _flag,
    "authMethod": _mechanism,
    "tls": _tls,
    "servername": _text,
    "socket": _socket,
    "connection": _socket,
    "secured": _flag,
    "maxResponseSize": _size,
    "socketCloseTimeout": _duration,
    "dnsTimeout": _milliseconds,
    "customAuth": _custom_auth,
    "proxy": _proxy,
}

_NAMES = NameTable("option", _DEFAULTS)
