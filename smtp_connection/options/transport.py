"""The options of a pool of connections: nodemailer's names, beside those of each connection."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .checks import WrongType, WrongValue, flag, number, or_default, text
from .names import folded
from .smtp import Options
from .table import Option, Settings

if TYPE_CHECKING:
    from typing import TypeVar

    from .services import Service

    O = TypeVar("O", bound="PoolOptions")  # noqa: E741 - made at run time, it would cost 1 ms

__all__ = [
    "MOST_RECIPIENTS",
    "ClosingOptions",
    "PoolOptions",
    "TransportOptions",
    "most_recipients",
]

_SUBMISSION, _SUBMISSIONS = 587, 465

_duration = or_default(number("a number of milliseconds, 0 or more"))


def _count(takes: str) -> Callable[[object], int | None]:
    """Return a check for a whole number; 0 stands for the default, and infinity for so many that
    nobody gets there, as ``Infinity`` in Node."""

    def check(value: object) -> int | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise WrongType(f"takes {takes}", value)
        if value == math.inf:
            return 1 << 62
        if not value >= 0 or value != int(value):
            raise WrongValue(f"takes {takes}", value)
        return int(value) or None

    return check


def _requeues(value: object) -> int:
    says = "takes a number of times, or -1 for any number"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongType(says, value)
    if value == math.inf or value < 0:
        return -1
    if value != value or value != int(value):
        raise WrongValue(says, value)
    return int(value)


MOST_RECIPIENTS = 100_000
"""How many recipients a mail may have if nobody says so."""


def most_recipients(value: object) -> int:
    """Check ``maxRecipients``: 0, ``False`` and infinity stand for any number, 0 for short."""
    says = "takes a number of recipients, or 0 for any number"
    if value is False or value == math.inf:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongType(says, value)
    if not value >= 0 or value != int(value):
        raise WrongValue(says, value)
    return int(value)


def _idle_time(value: object) -> float:
    says = "takes a number of milliseconds, or 0 for ever"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongType(says, value)
    if value != value:
        raise WrongValue(says, value)
    return 0 if value < 0 or value == math.inf else value


def _function(value: object) -> Callable[..., Any]:
    if not callable(value):
        raise WrongType("takes a function", value)
    return value


def _limiter(value: object) -> Any:
    if not callable(getattr(value, "acquire", None)):
        raise WrongType("takes an object with acquire()", value)
    return value


_NEWLINES = {
    **dict.fromkeys(("windows", "win", "dos", "\r\n"), "\r\n"),
    **dict.fromkeys(("unix", "linux", "\n"), "\n"),
}


def _newline(value: object) -> str | None:
    if not isinstance(value, str):
        raise WrongType("takes 'windows' or 'unix'", value)
    if value and value.lower() not in _NEWLINES:
        raise WrongValue("takes 'windows' or 'unix'", value)
    return _NEWLINES[value.lower()] if value else None


def _service(value: object) -> Service | None:
    from .services import service_of  # for those who name one

    return service_of(value)


def _advice(name: str) -> str | None:
    from .foreign import advice_for  # only for the text of an error

    return advice_for(name)


def _advice_of_a_pool(name: str) -> str | None:
    if folded(name) in _OF_TRANSPORTS:
        return "it belongs to createTransport(), and SMTPPool is a pool"
    return _advice(name)


_OF_TRANSPORTS = {
    *("pool", "streamtransport", "jsontransport", "buffer", "newline", "skipencoding"),
    "maxrecipients",
}


class PoolOptions(Options, shows=repr, advice=_advice_of_a_pool):
    """All options of :class:`SMTPPool`, with their defaults filled in: those of a connection, and
    those of the pool.  Times are in milliseconds.  ``repr`` leaves out what may be secret."""

    maxConnections: Option[int] = Option(_count("a number of connections"), 5)
    maxMessages: Option[int] = Option(_count("a number of messages"), 100)
    maxRequeues: Option[int] = Option(_requeues, 5)
    maxQueued: Option[int] = Option(_count("a number of messages"), 0)
    rateLimit: Option[int] = Option(_count("a number of messages"), 0)
    rateDelta: Option[float] = Option(_duration, 1000)
    rateLimiter: Option[Any] = Option(_limiter, None)
    idleTimeout: Option[float] = Option(_idle_time, 240_000)
    maxLifetime: Option[float] = Option(_idle_time, 0)
    getSocket: Option[Callable[..., Any] | None] = Option(_function, None)
    forceAuth: Option[bool] = Option(flag, True)
    service: Option[Service | None] = Option(_service, None)
    url: Option[str | None] = Option(text, None, secret=True)

    @classmethod
    def parse(cls: type[O], given: object, more: Mapping[str, Any] = {}) -> O:
        """Check options, as :meth:`Options.parse` does.  What the option ``url`` says wins over the
        other options, as in nodemailer."""
        if isinstance(given, str):
            return super().parse(given, more)
        if given is None or isinstance(given, Mapping):
            names = {**cls._canonical(given or {}), **cls._canonical(more)}
            url = names.pop("url", None)
            if url is not None:
                from .url import options_in  # of use to few, and slow to import

                if not isinstance(url, str):
                    raise TypeError(f"option 'url' takes a string; got {type(url).__name__}")
                return super().parse({**names, **options_in(url, cls)})
        return super().parse(given, more)

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        _check_one_socket(values)
        if values.get("rateLimit") and values.get("rateLimiter") is not None:
            raise ValueError(
                "options 'rateLimit' and 'rateLimiter' exclude each other: the limiter has a limit"
                " of its own"
            )
        service: Service | None = values.get("service")
        if service is not None:
            for name, value in service.options.items():
                values.setdefault(name, value)
        # Whoever sends much submits it (RFC 6409), as in nodemailer.
        secure = values.get("secure")
        values.setdefault("port", _SUBMISSIONS if secure else _SUBMISSION)
        super()._complete(values)

    def for_connection(self, more: Mapping[str, Any] | None = None) -> Options:
        """Return the options of one of the connections; ``more`` are those that ``getSocket`` has
        given.  Raises ``TypeError`` or ``ValueError`` for what they cannot be."""
        values = {name: self[name] for name in Options.defaults}
        if more:
            # What it gives alone is checked: the rest has been.
            given = Options.parse(more)
            values.update({name: given[name] for name in Options._canonical(more)})
        return Options(**values)


class TransportOptions(
    PoolOptions,
    shows=repr,
    advice=_advice,
    instead={
        "sendmail": "run the program with subprocess, or use the server on this machine:"
        " {'host': 'localhost', 'port': 25}",
        "SES": "use SMTP: {'service': 'SES-us-east-1', 'auth': {...}}, with the region in place of"
        " us-east-1",
        "direct": "look the MX records up, and use one of their hosts as 'host', with 'port': 25",
    },
):
    """All options of ``createTransport``, with their defaults filled in."""

    pool: Option[bool] = Option(flag, False)
    streamTransport: Option[bool] = Option(flag, False)
    jsonTransport: Option[bool] = Option(flag, False)
    buffer: Option[bool] = Option(flag, False)
    newline: Option[str | None] = Option(_newline, None)
    skipEncoding: Option[bool] = Option(flag, False)
    maxRecipients: Option[int] = Option(most_recipients, MOST_RECIPIENTS)

    @classmethod
    def _complete(cls, values: dict[str, Any]) -> None:
        ways = [name for name in ("pool", "streamTransport", "jsonTransport") if values.get(name)]
        if len(ways) > 1:
            raise ValueError(f"options {ways[0]!r} and {ways[1]!r} exclude each other")
        super()._complete(values)


class ClosingOptions(Settings, noun="close() option"):
    """How a pool is closed: ``drain``, after what is queued, or ``force``, at once."""

    drain: Option[bool] = Option(flag, False)
    force: Option[bool] = Option(flag, False)


def _check_one_socket(values: Mapping[str, Any]) -> None:
    for name in ("socket", "connection"):
        if name in values:
            raise ValueError(
                f"option {name!r} is the socket of one connection, and a pool has several: use"
                " 'getSocket'"
            )
