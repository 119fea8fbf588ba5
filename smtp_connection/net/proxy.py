"""Connections through a proxy: to the proxy itself, then the handshake that opens the tunnel.

``tunnels.py`` knows what is said; here is what carries it out, on the reactor.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..errors import SMTPError
from ..options.proxy import ProxyURL
from ..reactor.loop import Reactor
from ..text import printable
from .connector import Connector
from .errors import socket_error
from .resolver import Address, Lookup, look_up
from .tunnels import LOOK, NoTunnel, Tunnelling, open_tunnel

__all__ = ["ProxyConnector"]

# Bytes; the head of nearly every answer to CONNECT is shorter.
_LOOK_SIZE = 4096


class ProxyConnector:
    """Has a proxy open one tunnel; ``done(sock, error)`` is called once, unless it is cancelled."""

    def __init__(
        self,
        reactor: Reactor,
        done: Callable[[socket.socket | None, SMTPError | None], None],
        proxy: ProxyURL,
        *,
        local_address: str | None = None,
    ) -> None:
        """``local_address`` is the IP address to connect from."""
        self.waiting_for = f"the connection to the proxy {proxy.place}"
        """What a time-out should name."""
        self._reactor = reactor
        self._done = done
        self._proxy = proxy
        self._local_address = local_address
        self._dns_timeout = 0.0
        self._host = self._spelling = ""
        self._port = 0
        self._step: Lookup | Connector | _Handshake | None = None
        self._over = False

    def start(self, host: str, port: int, dns_timeout: float) -> None:
        """Have the proxy connect to ``host``; ``dns_timeout`` (seconds) bounds each of at most two
        look-ups."""
        self._host, self._port, self._dns_timeout = host, port, dns_timeout
        if self._proxy.resolves_here:
            self._step = look_up(self._reactor, host, port, dns_timeout, self._resolved)
        else:
            self._reactor.call_soon(self._aim_at, host)

    def cancel(self) -> None:
        """Stop, and close the socket."""
        self._over = True
        if self._step is not None:
            self._step.cancel()

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
        self.waiting_for = f"the answer of the proxy {self._proxy.place}"
        dialogue = open_tunnel(self._proxy, self._spelling, self._port)
        self._step = _Handshake(self._reactor, sock, dialogue, self._answered)
        self._step.go_on()

    def _answered(self, sock: socket.socket | None, exc: OSError | NoTunnel | None) -> None:
        self._step = None
        if exc is None:
            self._finish(sock, None)
        elif isinstance(exc, OSError):
            # The variables of the frames that it passed through hold the password.
            cause = exc.with_traceback(None)
            self._finish(None, socket_error(cause, f"Proxy {self._proxy.place}"))
        else:
            reason = printable(str(exc)[:200])
            self._finish(None, self._error(f"no tunnel to {self._host}:{self._port}: {reason}"))

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


class _Handshake:
    """Has ``dialogue`` over ``sock``, a connected socket that does not block.

    ``ended(sock, exc)`` is called once, perhaps by :meth:`go_on`, unless it is cancelled: with the
    socket, or with the reason why there is no tunnel; then the socket is closed.
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        dialogue: Tunnelling,
        ended: Callable[[socket.socket | None, OSError | NoTunnel | None], None],
    ) -> None:
        self._reactor = reactor
        self._sock = sock
        self._dialogue = dialogue
        self._ended = ended
        self._step = next(dialogue)
        self._read = b""  # of the bytes that the step asks for

    def cancel(self) -> None:
        """Stop, and close the socket."""
        self._watch_nothing()
        self._sock.close()

    def go_on(self) -> None:
        """Carry out steps until one has to wait, or the last one is done."""
        failure: OSError | NoTunnel | None = None
        try:
            while (result := self._carry_out()) is not None:
                self._step, self._read = self._dialogue.send(result), b""
            return
        except StopIteration:
            pass
        except (OSError, NoTunnel) as exc:
            failure = exc
        if failure is None:
            self._watch_nothing()
            self._ended(self._sock, None)
        else:
            self.cancel()
            self._ended(None, failure)

    def _carry_out(self) -> bytes | None:
        """Do what can be done of the step; return its result, ``None`` if it has to wait."""
        step, sock = self._step, self._sock
        try:
            if isinstance(step, bytes):
                self._step = step[sock.send(step) :]
                if not self._step:
                    return b""
            elif step is LOOK:
                return _heard(sock.recv(_LOOK_SIZE, socket.MSG_PEEK))
            else:
                self._read += _heard(sock.recv(step - len(self._read)))
                if len(self._read) == step:
                    return self._read
        except BlockingIOError:
            pass  # the kernel's buffer is full or empty
        if isinstance(step, bytes):
            self._reactor.add_writer(sock, self.go_on)
        else:
            self._reactor.remove_writer(sock)
            self._reactor.add_reader(sock, self.go_on)
        return None

    def _watch_nothing(self) -> None:
        self._reactor.remove_reader(self._sock)
        self._reactor.remove_writer(self._sock)


def _heard(data: bytes) -> bytes:
    if not data:
        raise NoTunnel("it hung up without an answer")
    return data
