"""Name look-ups off the reactor's thread, and the order in which addresses are tried."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable
from functools import partial
from itertools import chain, zip_longest
from typing import Any

from ..errors import SMTPError
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from ..reactor.threads import Workers
from ..reactor.timers import Timer
from .errors import lookup_error

__all__ = ["Address", "Lookup", "interleave"]

# getaddrinfo() blocks and cannot be stopped; if this many calls hang, the next one has to wait.
_workers = Workers(limit=16)


class Address:
    """Where to connect to: an address family and what ``socket.connect`` takes for it."""

    __slots__ = ("family", "sockaddr")

    def __init__(self, family: int, sockaddr: tuple[Any, ...]) -> None:
        self.family = family
        self.sockaddr = sockaddr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self.family, self.sockaddr) == (
            other.family,
            other.sockaddr,
        )

    def __hash__(self) -> int:
        return hash((self.family, self.sockaddr))

    def __str__(self) -> str:
        host, port = self.sockaddr[:2]
        return f"[{host}]:{port}" if self.family == socket.AF_INET6 else f"{host}:{port}"


Found = Callable[[list[Address], SMTPError | None], None]


def interleave(addresses: list[Address]) -> list[Address]:
    """Return ``addresses`` with the families taking turns, in the resolver's order otherwise
    (RFC 8305 section 4), and without repetitions."""
    families: dict[int, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address.family, []).append(address)
    return [address for address in chain(*zip_longest(*families.values())) if address is not None]


class Lookup:
    """Resolves one name, once; unless it is cancelled, ``found(addresses, error)`` is called.

    Look-ups of the same host and port that are under way on one reactor share one call of
    ``getaddrinfo()``, and each gets its answer.
    """

    __slots__ = ("_broke", "_found", "_host", "_query", "_reactor", "_timeout", "_timer")

    def __init__(
        self, reactor: Reactor, found: Found, broke: Callable[[BaseException], object]
    ) -> None:
        """``found`` gets a list that is not to be changed.  ``broke(exc)`` is called, perhaps more
        than once, if an exception that nobody has foreseen, ``found``'s included, comes in between;
        :meth:`cancel` is to be called then."""
        self._reactor = reactor
        self._found: Found | None = found
        self._broke = broke
        self._host = ""
        self._timeout = 0.0
        self._query: _Query | None = None
        self._timer: Timer | None = None

    def start(self, host: str, port: int, timeout: float) -> None:
        """Resolve ``host``, waiting at most ``timeout`` seconds.

        ``found`` is called on a later turn of the reactor with the addresses, or with an empty list
        and the error: the resolver's own code (``ENOTFOUND``, ``EAI_AGAIN`` ...), or ``ETIMEDOUT``.
        """
        literal = _literal(host, port)
        if literal:
            self._reactor.call_soon(self._finish, literal, None)
            return
        self._host, self._timeout = host, timeout
        self._timer = self._reactor.timer(self._timed_out)
        self._timer.start(timeout)
        self._query = query = _Query.of(self._reactor, host, port)
        query.join(self)

    def cancel(self) -> None:
        """Forget the look-up.  It is not made if it still waits for a thread; otherwise its thread
        cannot be stopped, and is free when the resolver answers.  Idempotent."""
        self._found = None
        if self._query is not None:
            self._query.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._query = self._timer = None  # both know this look-up: they would be a cycle

    def broke(self, exc: BaseException) -> None:
        """Hand on ``exc``, which nobody has foreseen."""
        self._broke(exc)

    @guarded
    def answered(self, addresses: list[Address], exc: BaseException | None) -> None:
        """Take the resolver's answer."""
        self._query = None
        self._finish(addresses, None if exc is None else lookup_error(exc, self._host))

    @guarded
    def _timed_out(self) -> None:
        text = f"The look-up of {self._host} timed out after {round(self._timeout * 1000)} ms"
        self._finish([], SMTPError(text, code="ETIMEDOUT", command="CONN"))

    @guarded
    def _finish(self, addresses: list[Address], error: SMTPError | None) -> None:
        found = self._found
        self.cancel()
        if found is not None:
            found(addresses, error)


class _Query:
    """One call of ``getaddrinfo()`` on a thread, for all look-ups that wait for its answer.

    So a name server that is slow to answer takes one thread for a name, not one for each
    connection, and sessions with one server that begin together wait for a thread only once.

    - ``lookups``: those that wait, in the order in which they came
    """

    __slots__ = ("__weakref__", "_job", "_key", "_reactor", "lookups")

    def __init__(self, reactor: Reactor, key: tuple[int, str, int]) -> None:
        self._reactor = reactor
        self._key = key
        self.lookups: dict[Lookup, None] = {}
        self._job = reactor.job(partial(_getaddrinfo, *key[1:]), self._answered, _workers)

    @classmethod
    def of(cls, reactor: Reactor, host: str, port: int) -> _Query:
        """Return the one that is under way, or else one that begins with the first look-up."""
        key = id(reactor), host, port
        return _queries.get(key) or cls(reactor, key)

    def join(self, lookup: Lookup) -> None:
        """Let ``lookup`` wait."""
        self.lookups[lookup] = None
        if _queries.get(self._key) is not self:
            self._job.start()
            # Last: what an interrupt has kept from beginning must not be waited for.
            _queries[self._key] = self

    def leave(self, lookup: Lookup) -> None:
        """Let ``lookup`` wait no longer; if it was the last one, nobody does."""
        self.lookups.pop(lookup, None)
        if not self.lookups:
            self._forget()
            self._job.cancel()

    def broke(self, exc: BaseException) -> None:
        """Hand ``exc`` on to all those that have not got the answer."""
        for lookup in list(self.lookups):
            lookup.broke(exc)

    @guarded
    def _answered(self, addresses: list[Address] | None, exc: BaseException | None) -> None:
        self._forget()
        while self.lookups:
            lookup = next(iter(self.lookups))
            # Each on its own: what one of them raises is not the concern of the next.
            self._reactor.call_soon(lookup.answered, addresses or [], exc)
            del self.lookups[lookup]

    def _forget(self) -> None:
        if _queries.get(self._key) is self:
            del _queries[self._key]


# By the reactor, whose identity is its own for as long as the query, which knows it, exists, and
# what is asked for.  Weak, because nobody will answer if that reactor never runs again.
_queries: weakref.WeakValueDictionary[tuple[int, str, int], _Query] = weakref.WeakValueDictionary()


def _literal(host: str, port: int) -> list[Address]:
    """Return the address that ``host`` is; nothing if ``host`` is a name."""
    if host[-1:].isdigit():
        try:
            socket.inet_pton(socket.AF_INET, host)
        except (OSError, UnicodeError):
            pass
        else:
            # Most addresses end here, in a tenth of the time that getaddrinfo() takes.
            return [Address(socket.AF_INET, (host, port))]
    if ":" in host:
        try:
            return _getaddrinfo(host, port, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            pass
    return []


def _getaddrinfo(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return interleave([Address(entry[0], entry[4]) for entry in found])
