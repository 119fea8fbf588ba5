"""The options of a connection: Node's names, checked once, when the connection is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..callbacks import only_awaited, refuse_async
from ..hosts import a_labels, is_domain, is_ip, own_name
from ..text import control_in
from .checks import WrongType, WrongValue, flag, is_instance, number, or_default, text
from .command_timeouts import CommandTimeouts
from .table import Option, Settings
from .tls import TLSOptions

if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import TypeVar

    from .dkim import DKIMOptions
    from .proxy import ProxyURL

    O = TypeVar("O", bound="Options")  # noqa: E741 - made at run time, it would cost 1 ms

__all__ = ["Options"]


def _client_name(value: object) -> str | None:
    name = text(value.replace("\r", "").replace("\n", "") if isinstance(value, str) else value)
    if name is None:
        return None
    # Blanks would make parameters of the rest, and servers refuse what is not ASCII.
    encoded = name if name.isascii() else _a_labels(name)
    if encoded is None or not (is_domain(encoded) or _is_address_literal(encoded)):
        says = "takes a domain, or an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]"
        raise WrongValue(says, value)
    return encoded


def _is_address_literal(name: str) -> bool:
    """Whether ``name`` is an address literal (RFC 5321 section 4.1.3)."""
    if not (name.startswith("[") and name.endswith("]")):
        return False
    tag, colon, rest = name[1:-1].partition(":")
    if not colon:
        return is_ip(tag)
    # A zone means nothing to the server.
    return tag.upper() == "IPV6" and ":" in rest and "%" not in rest and is_ip(rest)


def _a_labels(name: str) -> str | None:
    """Return ``name`` with each label that is not ASCII as an A-label (RFC 5890), ``None`` if that
    cannot be.

    By IDNA 2008 if the package ``idna`` is there, else by Python's own codec, IDNA 2003, which
    gives another name for the few labels with, for example, a sharp s.
    """
    try:
        return a_labels(name)
    except ImportError:
        pass
    except ValueError:
        return None
    try:
        return ".".join(
            label if label.isascii() else label.encode("idna").decode("ascii")
            for label in name.split(".")
        )
    except UnicodeError:
        return None


def _host(value: object) -> str | None:
    host = text(value)
    if host is None:
        return None
    alone = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", host).partition("/")[0].rpartition("@")[2]
    port = ""
    found = re.fullmatch(r"([^:]*|\[.*\]):([0-9]*)", alone)  # an IPv6 address is full of colons
    if found:
        alone, port = found[1], found[2]
    alone = alone.strip("[]")
    if alone == host:
        return host
    # What was given is not shown: there may be a password in a URL.
    instead = f"; give host {alone!r}{port and f' and port {port}'}" if alone else ""
    takes = "takes a name or an IP address, without a scheme, a port, a path or brackets"
    raise WrongValue(f"{takes}{instead}")


def _port(value: object) -> int:
    says = "takes a number or a numeric string"
    if isinstance(value, str):
        digits = value.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise WrongValue(says, value)
        return int(digits)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongType(says, value)
    return value


_duration = number("a number of milliseconds, 0 or more")
_time_out = or_default(_duration)


def _size(value: object) -> int:
    says = "takes a number of bytes, 0 or more"
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongType(says, value)
    if value < 0:
        raise WrongValue(says, value)
    return value


def _local_address(value: object) -> str:
    if not isinstance(value, str):
        raise WrongType("takes an IP address", value)
    if control_in(value) or not is_ip(value):
        raise WrongValue("takes an IP address", value)
    return value


def _socket(value: Socket) -> Socket:
    if not is_instance(value, "socket", "socket"):
        raise WrongType("takes a socket.socket", value)
    return value


def _mechanism(value: object) -> str | tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)):
        name = text(value)
        return name.upper() if name else None
    if not all(isinstance(each, str) and each.strip() for each in value):
        raise WrongType("takes the name of a mechanism, or a list of names", value)
    return tuple(str(text(each)).upper() for each in value) or None


def _logger(value: object) -> Any:
    if isinstance(value, bool):
        return value or None
    # A logger in the style of npmlog has 'verbose', one in that of bunyan 'warn'.
    methods = (("debug", "verbose"), ("info",), ("warning", "warn"), ("error",))
    for names in methods:
        if not any(callable(getattr(value, name, None)) for name in names):
            raise WrongType(
                "takes True, False or an object with debug, info, warning (or warn) and error",
                value,
                f", which has no {names[0]}()",
            )
    return value


def _auth(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise WrongType("takes a dict with 'user' and 'pass'", value)
    return dict(value)


def _custom_auth(value: object) -> dict[str, Callable[..., Any]]:
    says = "takes a dict of mechanism names and handlers"
    if not isinstance(value, Mapping):
        raise WrongType(says, value)
    handlers = {}
    for name, handler in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name.strip()):
            raise WrongValue(f"{says}; {name!r} is no mechanism name")
        if not callable(handler):
            raise WrongType(says, handler, f" for {name!r}")
        if only_awaited(handler):
            raise WrongType(
                f"{says} that call resolve() or reject(err) of their context, or return a"
                " concurrent.futures.Future",
                handler,
                f" for {name!r}, an 'async def' function, which nobody would await",
            )
        handlers[name.strip().upper()] = handler
    return handlers


def _gate(value: object) -> Callable[..., object]:
    if not callable(value):
        raise WrongType("takes a function of (envelope, callback)", value)
    refuse_async(value)
    return value


def _proxy(value: object) -> ProxyURL:
    from .proxy import parse_proxy  # of use to few, and slow to import

    return parse_proxy(value)


def _dkim(value: object) -> DKIMOptions:
    from .dkim import DKIMOptions  # of use to some

    return DKIMOptions.parse(value)


_MAIL_RULES = ("disableFileAccess", "disableUrlAccess", "attachDataUrls")


def _advice(name: str) -> str | None:
    from .foreign import advice_for  # only for the text of an error

    return advice_for(name)


class Options(Settings, shows=repr, advice=_advice):
    """All options of :class:`SMTPConnection`, with their defaults filled in.

    Read as attributes or as a dict, in Node's spelling.  Time-outs are in milliseconds, and 0
    stands for the default.  The manual says what each option means.  ``repr`` leaves out ``auth``,
    ``customAuth`` and ``dkim``.
    """

    host: Option[str] = Option(_host, "localhost")
    port: Option[int] = Option(_port, 25)
    secure: Option[bool] = Option(flag, False)
    ignoreTLS: Option[bool] = Option(flag, False)
    requireTLS: Option[bool] = Option(flag, False)
    opportunisticTLS: Option[bool] = Option(flag, False)
    name: Option[str] = Option(_client_name, "")
    localAddress: Option[str | None] = Option(_local_address, None)
    connectionTimeout: Option[float] = Option(_time_out, 120_000)
    greetingTimeout: Option[float] = Option(_time_out, 30_000)
    socketTimeout: Option[float] = Option(_time_out, 600_000)
    commandTimeouts: Option[CommandTimeouts] = Option(CommandTimeouts.parse, CommandTimeouts())
    sendTimeout: Option[float] = Option(_duration, 0)
    debug: Option[bool] = Option(flag, False)
    logger: Option[Any] = Option(_logger, None, kind=bool)
    transactionLog: Option[bool] = Option(flag, False)
    lmtp: Option[bool] = Option(flag, False)
    auth: Option[Mapping[str, Any] | None] = Option(_auth, None, secret=True)
    authMethod: Option[str | tuple[str, ...] | None] = Option(_mechanism, None)
    ehloAfterAuth: Option[bool] = Option(flag, False)
    tls: Option[TLSOptions] = Option(TLSOptions.parse, TLSOptions())
    servername: Option[str] = Option(text, "")
    socket: Option[Socket | None] = Option(_socket, None)
    connection: Option[Socket | None] = Option(_socket, None)
    secured: Option[bool] = Option(flag, False)
    pipelineMessages: Option[bool] = Option(flag, True)
    maxResponseSize: Option[int] = Option(or_default(_size), 1024 * 1024)
    socketCloseTimeout: Option[float] = Option(_duration, 5_000)
    dnsTimeout: Option[float] = Option(_time_out, 30_000)
    # A handler may be a partial that holds a password.
    customAuth: Option[Mapping[str, Callable[..., Any]]] = Option(_custom_auth, {}, secret=True)
    proxy: Option[ProxyURL | None] = Option(_proxy, None)
    disableFileAccess: Option[bool] = Option(flag, False)
    disableUrlAccess: Option[bool] = Option(flag, False)
    attachDataUrls: Option[bool] = Option(flag, False)
    dkim: Option[DKIMOptions | None] = Option(_dkim, None, secret=True)
    beforeCommit: Option[Callable[..., object] | None] = Option(_gate, None)

    @classmethod
    def parse(cls: type[O], given: object, more: Mapping[str, Any] = {}) -> O:
        """Check options, as :meth:`Settings.parse` does; ``given`` may also be a URL, see
        :func:`.url.options_in`."""
        if isinstance(given, str):
            from .url import options_in  # of use to few, and slow to import

            given = options_in(given, cls)
        return super().parse(given, more)

    def mail_rules(self) -> dict[str, bool]:
        """Return the flags that hold for every mail that is composed."""
        return {name: True for name in _MAIL_RULES if getattr(self, name)}

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        _check_sockets(values)
        if values.get("requireTLS"):
            # Contradictory options must not quietly end in clear text.
            values["ignoreTLS"] = values["opportunisticTLS"] = False
        values.setdefault("secure", values.get("port") == 465)
        values.setdefault("port", 465 if values["secure"] else 25)
        host = values.get("host", cls.defaults["host"])
        values["name"] = values.get("name") or _name_to_greet_with()
        tls: TLSOptions = values.get("tls", cls.defaults["tls"])
        values["servername"] = tls.servername or values.get("servername") or host


def _check_sockets(values: Mapping[str, Any]) -> None:
    """Refuse contradictions about a socket that is handed over."""
    if "socket" in values and "connection" in values:
        raise ValueError("options 'socket' and 'connection' exclude each other; give one of them")
    handed_over = values.get("connection", values.get("socket"))
    if handed_over is not None and "proxy" in values:
        raise ValueError(
            "option 'proxy' and options 'socket' and 'connection' exclude each other: a socket that"
            " is handed over goes where it goes"
        )
    is_tls = is_instance(handed_over, "ssl", "SSLSocket")
    if values.get("secured") and not is_tls:
        raise TypeError(
            "option 'secured' takes an ssl.SSLSocket as option 'connection' or 'socket';"
            f" got {type(handed_over).__name__}"
        )
    if is_tls and not values.get("secured"):
        raise TypeError("an ssl.SSLSocket as option 'connection' or 'socket' needs secured=True")


def _name_to_greet_with() -> str:
    """Return the name of this machine, or an address literal where it has none that is fit
    (RFC 5321 section 4.1.4)."""
    name = own_name()
    if "." not in name:
        return "[127.0.0.1]"
    if is_ip(name):
        literal = f"[IPv6:{name}]" if ":" in name else f"[{name}]"
        return literal if _is_address_literal(literal) else "[127.0.0.1]"
    return name if name.isascii() and is_domain(name) else "[127.0.0.1]"
