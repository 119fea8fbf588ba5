"""From a host name to a connected socket: the addresses race one another (RFC 8305)."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from functools import partial

from ..errors import SMTPError
from ..reactor.guard import guarded
from ..reactor.handles import Handle
from ..reactor.loop import Reactor
from ..reactor.timers import Timer
from .errors import socket_error
from .resolver import Address, Lookup

__all__ = ["Connector", "prepare"]

# RFC 8305 section 5: the recommended delay before the next address is tried as well, seconds.
_ATTEMPT_DELAY = 0.25

# Whoever answers for a name may name as many addresses as they like; so many are told of.
_MOST_TOLD = 10

_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR)


def prepare(sock: socket.socket) -> None:
    """Make ``sock`` non-blocking, have it send keep-alives, and switch Nagle's algorithm off, which
    holds a message back until the server has acknowledged the command before it.

    Raises ``OSError`` if the socket is closed.
    """
    sock.setblocking(False)
    try:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        pass  # a socket that has just failed reports it again when it is used


class _Attempt:
    """A socket that is being connected: where to, and who is told of it."""

    __slots__ = ("address", "handle")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.handle: Handle | None = None

    def unwatch(self) -> None:
        """Hear no more of the socket.  To be called before it is closed."""
        if self.handle is not None:
            self.handle.close()


class Connector:
    """Resolves and connects once; ``done(sock, error)`` is called once, unless it is cancelled.

    The next address is tried 250 ms after the last, or as soon as that has failed; the first to
    connect wins, and the other sockets are closed.  If all fail, the error is the last one, and its
    text tells of the others as well.

    The socket is the connector's until ``done`` has returned: :meth:`cancel` closes it before that.
    """

    def __init__(
        self,
        reactor: Reactor,
        done: Callable[[socket.socket | None, SMTPError | None], None],
        broke: Callable[[BaseException], object],
        *,
        local_address: str | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        """``broke(exc)`` is called, perhaps more than once, if an exception that nobody has
        foreseen, ``done``'s included, comes in between; :meth:`cancel` is to be called then.

        ``local_address`` is the IP address to connect from; ``sock`` is the caller's own socket,
        to be used instead of new ones.
        """
        self.waiting_for = ""
        """What a time-out should name, if not the connection to the server."""
        self._reactor = reactor
        self._done = done
        self._broke = broke
        self._local_address = local_address
        self._own = sock
        self._host = ""
        self._lookup: Lookup | None = None
        self._addresses: deque[Address] = deque()
        self._attempts: dict[socket.socket, _Attempt] = {}
        self._timer: Timer | None = None
        self._failures: list[tuple[Address, OSError]] = []

    def start(self, host: str, port: int, dns_timeout: float) -> None:
        """Look ``host`` up, for at most ``dns_timeout`` seconds, and connect."""
        self._host = host
        self._lookup = Lookup(self._reactor, self._resolved, self.broke)
        self._lookup.start(host, port, dns_timeout)

    def cancel(self) -> None:
        """Stop, and close all sockets, the caller's own as well.  Idempotent."""
        self._stop(None)
        if self._own is not None:
            self._own.close()

    def broke(self, exc: BaseException) -> None:
        """Hand on ``exc``, which nobody has foreseen."""
        self._broke(exc)

    def _stop(self, winner: socket.socket | None) -> None:
        """Wait for nothing any more, and close all sockets but the ``winner``."""
        if self._lookup is not None:
            self._lookup.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._lookup = self._timer = None  # both know this connector: they would be a cycle
        for sock, attempt in list(self._attempts.items()):
            attempt.unwatch()
            if sock is not winner:
                sock.close()
                del self._attempts[sock]

    @guarded
    def _resolved(self, addresses: list[Address], error: SMTPError | None) -> None:
        if error is not None:
            self._finish(None, error)
            return
        family = self._family()
        fitting = [address for address in addresses if family in (None, address.family)]
        if not fitting:
            which = "localAddress" if self._own is None else "the socket"
            text = f"No address of {self._host} is of the address family of {which}"
            self._finish(None, SMTPError(text, code="EADDRNOTAVAIL", command="CONN"))
            return
        self._addresses.extend(fitting)
        self._try_next()

    def _family(self) -> int | None:
        if self._own is not None:
            return self._own.family
        if self._local_address is None:
            return None
        return socket.AF_INET6 if ":" in self._local_address else socket.AF_INET

    @guarded
    def _try_next(self) -> None:
        """Try the addresses that are left, up to the first that does not fail at once."""
        if self._timer is not None:
            self._timer.cancel()
        while self._addresses:
            if self._attempt(self._addresses.popleft()):
                # The caller's own socket can only try one address after the other.
                if self._addresses and self._own is None:
                    self._timer = self._reactor.timer(self._try_next)
                    self._timer.start(_ATTEMPT_DELAY)
                return
        if not self._attempts:
            self._finish(None, self._all_failed())

    def _attempt(self, address: Address) -> bool:
        """Begin to connect to ``address``; return whether it is still undecided."""
        sock = None
        attempt = _Attempt(address)
        try:
            sock = self._own or socket.socket(address.family, socket.SOCK_STREAM)
            self._attempts[sock] = attempt
            prepare(sock)
            if self._local_address is not None:
                sock.bind((self._local_address, 0))
            problem = sock.connect_ex(address.sockaddr)
            if problem == errno.ECONNABORTED:
                # Linux reports the failed attempt of the caller's own socket once more.
                problem = sock.connect_ex(address.sockaddr)
            if problem and problem not in _IN_PROGRESS:
                raise OSError(problem, os.strerror(problem))
            decided = partial(self._decided, sock)
            lost = None if self._own is None else decided
            attempt.handle = handle = self._reactor.handle(sock, lost)
            handle.set_writer(decided)
        except OSError as exc:
            self._failed(sock, attempt, exc)
            return False
        except BaseException:
            if sock is not None:
                # An interrupt may have kept it from being noted.
                attempt.unwatch()
                sock.close()
            raise
        return True

    @guarded
    def _decided(self, sock: socket.socket) -> None:
        attempt = self._attempts.get(sock)
        if attempt is None:
            return  # cancelled since the owner of the socket has closed it
        try:
            problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as exc:  # the owner of the socket has closed it
            problem = exc.errno or errno.EBADF
        if problem:
            self._failed(sock, attempt, OSError(problem, os.strerror(problem)))
            self._try_next()
        else:
            self._finish(sock, None)

    def _failed(self, sock: socket.socket | None, attempt: _Attempt, exc: OSError) -> None:
        # The frames of its traceback hold this connector.
        self._failures.append((attempt.address, exc.with_traceback(None)))
        if sock is not None:
            attempt.unwatch()
            if sock is not self._own:
                sock.close()
            self._attempts.pop(sock, None)

    def _all_failed(self) -> SMTPError:
        *others, (address, exc) = self._failures
        error = socket_error(exc, f"Cannot connect to {address}")
        told = [socket_error(exc, str(address)).message for address, exc in others[:_MOST_TOLD]]
        if len(others) > len(told):
            told.append(f"and {len(others) - len(told)} more addresses")
        if told:
            error.add_hint(f"before that: {', '.join(told)}")
        return error

    def _finish(self, sock: socket.socket | None, error: SMTPError | None) -> None:
        self._stop(sock)
        if sock is None and self._own is not None:
            self._own.close()
        self._done(sock, error)
