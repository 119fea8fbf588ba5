"""Connections through a proxy: to the proxy itself, then the handshake that opens the tunnel.

``tunnels.py`` knows what is said; here is what carries it out, on the reactor.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..errors import SMTPError
from ..options.proxy import ProxyURL
from ..reactor.guard import guarded
from ..reactor.loop import Reactor
from ..text import printable
from .connector import Connector
from .errors import socket_error
from .resolver import Address, Lookup
from .tunnels import LOOK, NoTunnel, Tunnelling, open_tunnel

__all__ = ["ProxyConnector"]

# Bytes; the head of nearly every answer to CONNECT is shorter.
_LOOK_SIZE = 4096


class ProxyConnector:
    """Has a proxy open one tunnel; ``done(sock, error)`` is called once, unless it is cancelled.

    The socket is the connector's until ``done`` has returned: :meth:`cancel` closes it before that.
    """

    def __init__(
        self,
        reactor: Reactor,
        done: Callable[[socket.socket | None, SMTPError | None], None],
        broke: Callable[[BaseException], object],
        proxy: ProxyURL,
        *,
        local_address: str | None = None,
    ) -> None:
        """``broke(exc)`` is called, perhaps more than once, if an exception that nobody has
        foreseen, ``done``'s included, comes in between; :meth:`cancel` is to be called then.

        ``local_address`` is the IP address to connect from.
        """
        self.waiting_for = f"the connection to the proxy {proxy.place}"
        """What a time-out should name."""
        self._reactor = reactor
        self._done = done
        self._broke = broke
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
            self._step = lookup = Lookup(self._reactor, self._resolved, self.broke)
            lookup.start(host, port, dns_timeout)
        else:
            self._reactor.call_soon(self._aim_at, host)

    def cancel(self) -> None:
        """Stop, and close the socket.  Idempotent."""
        self._over = True
        if self._step is not None:
            self._step.cancel()
        self._step = None

    def broke(self, exc: BaseException) -> None:
        """Hand on ``exc``, which nobody has foreseen."""
        self._broke(exc)

    @guarded
    def _resolved(self, addresses: list[Address], error: SMTPError | None) -> None:
        if error is not None:
            self._finish(None, error)
            return
        # Nobody knows whether the proxy can use IPv6, so IPv4 goes first.
        addresses = sorted(addresses, key=lambda address: address.family != socket.AF_INET)
        self._aim_at(addresses[0].sockaddr[0])

    @guarded
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
        self._step = connector = Connector(
            self._reactor, self._reached, self.broke, local_address=self._local_address
        )
        connector.start(self._proxy.host, self._proxy.port, self._dns_timeout)

    @guarded
    def _reached(self, sock: socket.socket | None, error: SMTPError | None) -> None:
        if sock is None:
            assert error is not None
            self._finish(None, self._error(error.message, error.code, error.__cause__))
            return
        self.waiting_for = f"the answer of the proxy {self._proxy.place}"
        dialogue = open_tunnel(self._proxy, self._spelling, self._port)
        self._step = handshake = _Handshake(
            self._reactor, sock, dialogue, self._answered, self.broke
        )
        handshake.go_on()

    @guarded
    def _answered(self, sock: socket.socket | None, exc: OSError | NoTunnel | None) -> None:
        if exc is None:
            self._finish(sock, None)
        elif isinstance(exc, OSError):
            self._finish(None, socket_error(exc, f"Proxy {self._proxy.place}"))
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
            # Only now: until somebody else has the socket, it is that of the last step.
            self._step = None


class _Handshake:
    """Has ``dialogue`` over ``sock``, a connected socket that does not block.

    ``ended(sock, exc)`` is called once, perhaps by :meth:`go_on`, unless it is cancelled: with the
    socket, or with the reason why there is no tunnel; then the socket is closed.  ``broke(exc)`` is
    called for an exception that nobody has foreseen.
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        dialogue: Tunnelling,
        ended: Callable[[socket.socket | None, OSError | NoTunnel | None], None],
        broke: Callable[[BaseException], object],
    ) -> None:
        self._reactor = reactor
        self._sock = sock
        self._dialogue = dialogue
        self._ended = ended
        self._broke = broke
        self._step = next(dialogue)
        self._read = b""  # of the bytes that the step asks for

    def cancel(self) -> None:
        """Stop, and close the socket."""
        self._watch_nothing()
        self._sock.close()
        # Not left to Python, which would only report an interrupt that comes just then.
        self._dialogue.close()

    def broke(self, exc: BaseException) -> None:
        """Hand on ``exc``, which nobody has foreseen."""
        self._broke(exc)

    @guarded
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
            # The variables of the frames that it passed through hold the password, and itself.
            failure = exc.with_traceback(None)
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
