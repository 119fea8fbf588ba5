"""Exceptions of kinds that nobody has listed: from the system, and from code of the caller's."""

from __future__ import annotations

import errno
import ssl

from .chance import Chance
from .judge import Judge


class Odd(BaseException):
    """Neither an ``Exception`` nor one of Python's own."""


_KINDS: tuple[type[BaseException], ...] = (
    RuntimeError,
    MemoryError,
    ZeroDivisionError,
    RecursionError,
    LookupError,
    SystemExit,
    Odd,
)

# By what is called.  Beside the kinds above, some may raise one that is foreseen, in an odd form.
_SYSTEM: tuple[type[BaseException], ...] = (*_KINDS, OSError, TimeoutError, ValueError)
PLACES: dict[str, tuple[type[BaseException], ...]] = {
    "socket()": (*_KINDS, OSError),
    "setblocking": (*_KINDS, OSError),
    "setsockopt": _KINDS,
    "connect": _SYSTEM,
    "getsockopt": (*_KINDS, OSError),
    "getpeername": _KINDS,
    "recv": _SYSTEM,
    "send": _SYSTEM,
    "shutdown": _KINDS,
    "close": _KINDS,
    "wrap": _SYSTEM,
    "handshake": (*_SYSTEM, ssl.SSLError),
    "TLS recv": (*_SYSTEM, ssl.SSLError),
    "TLS send": (*_SYSTEM, ssl.SSLError),
    "unwrap": _KINDS,
    "select": _KINDS,
    "register": (*_KINDS, OSError),
    "modify": (*_KINDS, OSError),
    "resolver": (*_KINDS, OSError),
    "generator": _KINDS,
    "read": _KINDS,
    "pause": _KINDS,
    "resume": _KINDS,
    "logger": _KINDS,
    "isEnabledFor": _KINDS,
    "auth": _KINDS,
    "token source": _KINDS,
    "login handler": _KINDS,
}

# How often they are called; each call may be that which makes a difference.
_SEVERAL_TIMES = ("generator", "read", "pause", "resume", "logger", "auth", "shutdown", "close")
_OFTEN = ("recv", "send", "TLS recv", "TLS send", "select", "register", "modify", "isEnabledFor")


class Surprises:
    """The one surprise of a schedule, in the n-th call of one place.

    - ``place`` (str): one of ``PLACES``
    """

    def __init__(self, chance: Chance, judge: Judge) -> None:
        self.place = chance.pick(tuple(PLACES))
        self._judge = judge
        self._kind = chance.pick(PLACES[self.place])
        self._calls = chance.below(chance.pick((2, 12))) if self.place in _OFTEN else 0
        if self.place in _SEVERAL_TIMES:
            self._calls = chance.below(3)

    def strike(self, place: str, *, done: bool = False) -> None:
        """``place`` is called, and perhaps ``done``: perhaps this is when it raises."""
        if place != self.place or self._calls < 0:
            return
        if done and issubclass(self._kind, (OSError, ValueError)):
            return  # the system, if it says so, has not done it
        self._calls -= 1
        if self._calls < 0:
            self._judge.surprise(self._made(), place)

    def _made(self) -> BaseException:
        if self._kind is OSError and self._calls % 2:
            return OSError(errno.ENOSPC, "no room")
        return self._kind("what a surprise")
