"""TLS sessions that are taken up again, so that a handshake costs less.

The facts
---------

**Nobody is verified when a session is taken up again.**  The handshake proves that the peer is the
one of the session's first handshake, or shares its keys.  No certificate is checked, and no name.

**A session is there when the peer says so.**  With TLS 1.3 that is after the handshake, in front of
what the server says next; before, ``SSLSocket.session`` cannot be taken up again.  Each reading of
that attribute makes a copy, which costs a third of a handshake.

**A session keeps its context alive**, with all the CAs in it: nearly a megabyte.  It keeps the
peer's own certificate, but not the rest of the chain.

**The peer may refuse.**  Then the handshake is made in full, by itself.  Some servers that ask for
certificates of clients, and are not configured well, fail instead.

The strategy
------------

- A session is offered only where it was made: with the same context that verifies in the same way,
  to the same name, host and port.  What was verified then is what would be verified now.
- Nothing is kept for longer than an hour, nor for longer than the server says: a certificate that
  is revoked, or expires, is trusted for no longer than that.
- One session is read for each place, when the first SMTP session there is open.  It is offered
  again and again, which servers accept.  One that was refused is replaced.
- A place that gives no sessions, refuses three in a row, or fails with one, gets full handshakes
  for an hour.
- At most 16 contexts are kept, with 64 places each; those that were used longest ago go first.

Any thread may call.  There is no lock, which could be held while the process forks: each step on
the dicts is one that Python does not interrupt, and to miss a session costs no more than a full
handshake.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import sent_certificates

__all__ = ["SESSIONS", "Resumption", "SessionStore"]

_LONGEST = 3600.0
_CONTEXTS = 16
_PLACES = 64
_REFUSALS = 3

K = TypeVar("K")
V = TypeVar("V")

_Place = tuple[Any, ...]


class _Kept:
    """What is known of one place.

    - ``session`` (SSLSession or None): the one to offer; ``None`` asks for full handshakes
    - ``certificates`` (list): those that the server sent in its first handshake
    - ``until`` (float): when to forget it, on the clock of the store
    - ``refusals`` (int): how many sessions in a row the server has refused
    """

    __slots__ = ("certificates", "refusals", "session", "until")

    def __init__(
        self,
        session: ssl.SSLSession | None,
        until: float,
        certificates: list[Any],
        refusals: int = 0,
    ) -> None:
        self.session = session
        self.until = until
        self.certificates = certificates
        self.refusals = refusals


class SessionStore:
    """The sessions of a process; see the module for its rules.

    ``clock`` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._contexts: dict[ssl.SSLContext, dict[_Place, _Kept]] = {}

    def resumption(
        self, context: ssl.SSLContext, servername: str, host: str, port: int
    ) -> Resumption | None:
        """Return the part of one handshake with the server ``servername`` at ``host`` and ``port``;
        ``None`` for a context that may do more than those of Python itself."""
        # A subclass may verify by itself, after the handshake, what is not there the next time.
        if type(context) is not ssl.SSLContext:
            return None
        # The caller may change his own context at any time.
        verifies = context.verify_mode, context.check_hostname, int(context.verify_flags)
        return Resumption(self, context, (servername, host, port, *verifies))

    def find(self, context: ssl.SSLContext, place: _Place) -> _Kept | None:
        """Return what is known, and not too old."""
        places = self._contexts.get(context)
        kept = places.get(place) if places else None
        if places is None or kept is None:
            return None
        if kept.until <= self.clock():
            places.pop(place, None)
            return None
        _put(self._contexts, context, places, _CONTEXTS)
        _put(places, place, kept, _PLACES)
        return kept

    def keep(self, context: ssl.SSLContext, place: _Place, kept: _Kept) -> None:
        """Replace what is known by ``kept``."""
        places = self._contexts.get(context) or {}
        _put(self._contexts, context, places, _CONTEXTS)
        _put(places, place, kept, _PLACES)


def _put(entries: dict[K, V], key: K, value: V, limit: int) -> None:
    """Make ``key`` the newest of at most ``limit`` entries."""
    entries.pop(key, None)
    entries[key] = value
    while len(entries) > limit:
        try:
            entries.pop(next(iter(entries)), None)
        except (StopIteration, RuntimeError):  # another thread was faster
            return


class Resumption:
    """What one handshake offers, and what is learnt from it.

    - ``offered`` (SSLSession or None): the session to offer
    - ``certificates`` (list): those that the server sent in its first handshake, its own first;
      empty if none is offered
    """

    __slots__ = ("_context", "_kept", "_place", "_store", "certificates", "offered")

    def __init__(self, store: SessionStore, context: ssl.SSLContext, place: _Place) -> None:
        self._store = store
        self._context = context
        self._place = place
        self._kept = store.find(context, place)
        self.offered = None if self._kept is None else self._kept.session
        self.certificates: list[Any] = [] if self._kept is None else self._kept.certificates

    def opened(self, sock: ssl.SSLSocket) -> None:
        """Keep the session of ``sock``, unless that is known already; the server has said its first
        words over TLS."""
        offered = self._kept
        if sock.session_reused:
            if offered is not None:
                offered.refusals = 0
            return
        if self._store.find(self._context, self._place) is not offered:
            return  # another connection was faster
        refusals = 0
        if offered is not None:
            if offered.session is None:
                return
            refusals = offered.refusals + 1
        session = sock.session if refusals < _REFUSALS else None
        lasts = _LONGEST
        if session is not None:
            if session.has_ticket or session.id:
                lasts = min(lasts, session.ticket_lifetime_hint or session.timeout)
            else:
                session = None
        self._keep(_Kept(session, self._store.clock() + lasts, sent_certificates(sock), refusals))

    def failed(self) -> None:
        """Offer this place no session for some time, if one was offered: the handshake failed."""
        if self.offered is not None:
            self._keep(_Kept(None, self._store.clock() + _LONGEST, []))

    def _keep(self, kept: _Kept) -> None:
        self._store.keep(self._context, self._place, kept)


SESSIONS = SessionStore()
"""Those of this process."""
