"""Tunnels through a proxy, by way of python-socks.

python-socks blocks, and reads more than it should, so it is given as little as possible to do.  The
connection to the proxy is made on the reactor, like any other.  Then python-socks does the
handshake with the proxy on a worker thread, over a duplicate of the socket:

- each thread closes its own descriptor, so neither can close one that the other is using;
- ``shutdown()`` on one descriptor ends the wait on the other, so the thread can be stopped;
- the duplicate (:class:`_Duplicate`) returns no byte beyond the proxy's answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast

from ..errors import SMTPError, needs_extra
from ..options.proxy import ProxyURL
from ..reactor.loop import Reactor
from ..reactor.threads import Job
from ..text import printable
from .connector import Connector
from .errors import socket_error
from .resolver import Address, Lookup, look_up

__all__ = ["ProxyConnector"]

# Bytes; larger than the head of any answer to CONNECT.
_MAX_HEAD = 64 * 1024
_MISSING = needs_extra("a proxy", "proxy")


class ProxyConnector:
    """Has a proxy open one tunnel; ``done(sock, error)`` is called once, unless it is cancelled."""

    def __init__(
        self,
        reactor: Reactor,
        done: Callable[[socket.socket | None, SMTPError | None], None],
        proxy: ProxyURL,
        timeout: float,
        *,
        local_address: str | None = None,
    ) -> None:
        """``timeout`` (seconds) bounds each wait of the worker thread, should nobody cancel."""
        self.waiting_for = f"the connection to the proxy {proxy.place}"
        """What a time-out should name."""
        self._reactor = reactor
        self._done = done
        self._proxy = proxy
        self._timeout = timeout
        self._local_address = local_address
        self._dns_timeout = 0.0
        self._host = self._spelling = ""
        self._port = 0
        self._step: Lookup | Connector | None = None
        self._sock: socket.socket | None = None
        self._job: Job | None = None
        self._over = False

    def start(self, host: str, port: int, dns_timeout: float) -> None:
        """Have the proxy connect to ``host``; ``dns_timeout`` (seconds) bounds each of at most two
        look-ups."""
        self._host, self._port, self._dns_timeout = host, port, dns_timeout
        try:
            import python_socks.sync  # noqa: F401
        except ImportError as exc:
            self._reactor.call_soon(self._finish, None, self._error(_MISSING, cause=exc))
            return
        if self._proxy.resolves_here:
            self._step = look_up(self._reactor, host, port, dns_timeout, self._resolved)
        else:
            self._reactor.call_soon(self._aim_at, host)

    def cancel(self) -> None:
        """Stop, and close the socket; the thread, if there is one, ends at once."""
        self._over = True
        if self._step is not None:
            self._step.cancel()
        if self._job is not None:
            self._job.cancel()
        if self._sock is not None:
            try:
                if not self._reactor.is_parents:
                    self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the proxy hung up first
            self._sock.close()

    def _resolved(self, addresses: list[Address], error: SMTPError | None) -> None:
        self._step = None
        if error is not None:
            self._finish(None, error)
            return
        # Nobody knows whether the proxy can use IPv6, so IPv4 goes first.
        addresses = sorted(addresses, key=lambda address: address.family != socket.AF_INET)
        self._aim_at(addresses[0].sockaddr[0])

    def _aim_at(self, host: str) -> None:
        """Connect to the proxy, to ask it for ``host``, a name or an IP address."""
        if self._over:
            return
        try:
            self._spelling = self._proxy.spelling(host)
        except ValueError as exc:
            text = f"cannot ask for {self._host!r}: {exc}"
            self._finish(None, self._error(text, "ENOTFOUND"))
            return
        self._step = Connector(self._reactor, self._reached, local_address=self._local_address)
        self._step.start(self._proxy.host, self._proxy.port, self._dns_timeout)

    def _reached(self, sock: socket.socket | None, error: SMTPError | None) -> None:
        self._step = None
        if sock is None:
            assert error is not None
            self._finish(None, self._error(error.message, error.code, error.__cause__))
            return
        self._sock = sock
        self.waiting_for = f"the answer of the proxy {self._proxy.place}"
        try:
            duplicate = _Duplicate(sock, self._timeout, http=self._proxy.scheme == "http")
        except OSError as exc:
            self._answered(exc)
            return
        proxy, host, port = self._proxy, self._spelling, self._port

        def finished(nothing: None, exc: BaseException | None) -> None:
            duplicate.close()  # the thread has done so, unless it could not be started
            self._answered(exc)

        self._job = self._reactor.run_in_thread(
            lambda: _shake_hands(duplicate, proxy, host, port), finished
        )

    def _answered(self, exc: BaseException | None) -> None:
        sock, self._sock, self._job = self._sock, None, None
        assert sock is not None
        if exc is None:
            self._finish(sock, None)
        else:
            sock.close()
            self._finish(None, self._failure(exc))

    def _failure(self, exc: BaseException) -> SMTPError:
        if isinstance(exc, TimeoutError):
            return self._error(f"no answer in {self._timeout:g} seconds", "ETIMEDOUT")
        if isinstance(exc, OSError):
            # The variables of the frames that it passed through hold the password.
            return socket_error(exc.with_traceback(None), f"Proxy {self._proxy.place}")
        reason = str(exc) or type(exc).__name__
        return self._error(f"no tunnel to {self._host}:{self._port}: {printable(reason[:200])}")

    def _error(
        self, text: str, code: str | None = "ECONNECTION", cause: BaseException | None = None
    ) -> SMTPError:
        error = SMTPError(f"Proxy {self._proxy.place}: {text}", code=code, command="CONN")
        error.__cause__ = cause
        return error

    def _finish(self, sock: socket.socket | None, error: SMTPError | None) -> None:
        if not self._over:
            self._over = True
            self._done(sock, error)


class _Duplicate(socket.socket):
    """A second descriptor of a connected socket, for the handshake: blocking, with a time-out."""

    def __init__(self, sock: socket.socket, timeout: float, *, http: bool) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.dup().detach())
        self.settimeout(timeout)
        self._http = http

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return what python-socks asked for; if that is the answer to CONNECT, exactly its head.

        python-socks takes what the first ``recv()`` returns for the whole answer.  If that is half
        of it, the other half is read as the greeting; if it is more, the greeting is lost.
        """
        if self._http:
            return self._read_head()
        data = super().recv(bufsize, flags)
        if not data:
            raise EOFError("it hung up without an answer")
        return data

    def _read_head(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            seen = super().recv(4096, socket.MSG_PEEK)
            if not seen:
                raise EOFError("it hung up without an answer")
            tail = head[-3:]
            end = (tail + seen).find(b"\r\n\r\n")
            head += super().recv(len(seen) if end < 0 else end + 4 - len(tail))
            if not head.startswith(b"HTTP/"[: len(head)]):
                said = head[:60].decode("latin-1")
                raise ValueError(f"it is not an HTTP proxy, it says {said!r}")
            if len(head) > _MAX_HEAD:
                raise ValueError(f"its answer is longer than {_MAX_HEAD} bytes")
        return head


class _Opened:
    """The socket that is connected already, in the place where python-socks expects the previous
    proxy of a chain, which would connect it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def connect(self, **where: Any) -> socket.socket:
        return self._sock


def _shake_hands(sock: socket.socket, proxy: ProxyURL, host: str, port: int) -> None:
    """Ask for the tunnel (on a worker thread) and close ``sock``, which is a duplicate."""
    from python_socks import ProxyType
    from python_socks.sync import Proxy

    kind = ProxyType[proxy.scheme[: len("socks5")].upper()]  # without the h or a
    with sock:
        Proxy(
            kind,
            proxy.host,
            proxy.port,
            # For an HTTP proxy python-socks encodes both as Latin-1; the proxy is to get UTF-8.
            username=proxy.user.encode().decode("latin-1"),
            password=proxy.password.encode().decode("latin-1"),
            rdns=True,  # whatever had to be resolved here is an IP address by now
            forward=cast(Any, _Opened(sock)),
        ).connect(host, port)
