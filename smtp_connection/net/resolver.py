"""Name look-ups off the reactor's thread, and the order in which addresses are tried."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any

from ..errors import SMTPError
from ..reactor.loop import Reactor
from ..reactor.threads import Job, Workers
from ..reactor.timers import Timer
from .errors import lookup_error

__all__ = ["Address", "Lookup", "interleave", "look_up"]

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
    """A look-up under way; ``found(addresses, error)`` is called once, unless it is cancelled."""

    __slots__ = ("_found", "_job", "_timer")

    def __init__(self, found: Found) -> None:
        self._found: Found | None = found
        self._job: Job | None = None
        self._timer: Timer | None = None

    def cancel(self) -> None:
        """Forget the look-up.  It is not made if it still waits for a thread; otherwise its thread
        cannot be stopped, and is free when the resolver answers."""
        self._found = None
        if self._job is not None:
            self._job.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._job = self._timer = None  # both know this look-up: they would be a cycle

    def _finish(self, addresses: list[Address], error: SMTPError | None) -> None:
        found = self._found
        self.cancel()
        if found is not None:
            found(addresses, error)


def look_up(reactor: Reactor, host: str, port: int, timeout: float, found: Found) -> Lookup:
    """Resolve ``host``, waiting at most ``timeout`` seconds.

    ``found`` is called on a later turn of the reactor with the addresses, or with an empty list
    and the error: the resolver's own code (``ENOTFOUND``, ``EAI_AGAIN`` ...), or ``ETIMEDOUT``.
    """
    lookup = Lookup(found)
    literal = _literal(host, port)
    if literal:
        reactor.call_soon(lookup._finish, literal, None)
        return lookup

    def answered(addresses: list[Address] | None, exc: BaseException | None) -> None:
        lookup._finish(addresses or [], None if exc is None else lookup_error(exc, host))

    def timed_out() -> None:
        text = f"The look-up of {host} timed out after {round(timeout * 1000)} ms"
        lookup._finish([], SMTPError(text, code="ETIMEDOUT", command="CONN"))

    lookup._job = reactor.run_in_thread(lambda: _getaddrinfo(host, port), answered, _workers)
    lookup._timer = reactor.call_later(timeout, timed_out)
    return lookup


def _literal(host: str, port: int) -> list[Address]:
    """Return the address that ``host`` is; nothing if ``host`` is a name."""
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, UnicodeError):
        pass
    else:
        # Most addresses end here, in a tenth of the time that getaddrinfo() takes.
        return [Address(socket.AF_INET, (host, port))]
    try:
        return _getaddrinfo(host, port, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []


def _getaddrinfo(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return interleave([Address(entry[0], entry[4]) for entry in found])
