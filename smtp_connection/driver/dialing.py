"""From the options to a stream: sockets that are handed over, addresses, proxies, TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import SMTPError
from ..hosts import is_loopback
from ..net.connector import Connector, prepare
from ..net.errors import socket_error
from ..net.transport import Transport, TransportOwner
from ..options.smtp import Options
from ..protocol.hints import about_black_hole, about_tls
from ..protocol.secrets import masked
from ..reactor.guard import guarded
from ..reactor.loop import Reactor

if TYPE_CHECKING:
    from ..net.proxy import ProxyConnector

__all__ = ["Dialing", "DialingOwner"]


_NOBODY: Any = None


class DialingOwner(Protocol):
    """Who is told what came of it, from the reactor."""

    def connected(self, transport: Transport) -> None:
        """The stream to the server is there, with TLS if the option ``secure`` asks for it."""

    def connection_failed(self, error: SMTPError) -> None:
        """There is no stream, and there will be none."""

    def broke(self, exc: BaseException) -> None:
        """``exc``, which nobody has foreseen, was raised on the way."""

    def tell(self, describe: Callable[[], str]) -> None:
        """Something has happened that the log may tell."""


class Dialing:
    """Makes the stream of one connection, and lets go of it.

    - ``transport`` (Transport or None): the stream, as soon as there is a connected socket

    A TLS handshake that fails is reported to the owner of the transport.
    """

    __slots__ = (
        "_connector",
        "_host",
        "_owner",
        "_port",
        "_reactor",
        "_settings",
        "_transport_owner",
        "transport",
    )

    def __init__(
        self,
        reactor: Reactor,
        settings: Options,
        owner: DialingOwner,
        transport_owner: TransportOwner,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._owner = owner
        self._transport_owner = transport_owner
        self._connector: Connector | ProxyConnector | None = None
        self._host, self._port = settings.host, settings.port
        self.transport: Transport | None = None

    def start(self, host: str, port: int) -> None:
        """Begin to connect to ``host``, a name or an IP address.

        ``connected`` or ``connection_failed`` is called, unless :meth:`close` is.
        """
        settings = self._settings
        self._host, self._port = host, port
        own = settings.socket
        if settings.connection is not None:
            self._use(settings.connection, handed_over=True)
        elif own is not None and _is_connected(own):
            self._use(own, handed_over=True)
        elif not 1 <= port <= 65535:
            text = f"Cannot connect to port {port}: a port is a number from 1 to 65535"
            self._owner.connection_failed(SMTPError(text, code="ECONNECTION", command="CONN"))
        else:
            self._connector = connector = self._make_connector()
            connector.start(host, port, settings.dnsTimeout / 1000)

    def _make_connector(self) -> Connector | ProxyConnector:
        settings = self._settings
        proxy = settings.proxy
        if proxy is None:
            return Connector(
                self._reactor,
                self._connected,
                self.broke,
                local_address=settings.localAddress,
                sock=settings.socket,
            )
        from ..net.proxy import ProxyConnector

        self._owner.tell(lambda: f"Connecting through the proxy {proxy.place}")
        return ProxyConnector(
            self._reactor,
            self._connected,
            self.broke,
            proxy,
            local_address=settings.localAddress,
        )

    @property
    def waiting_for(self) -> str:
        """What is missing for a connection, for the text of a time-out; may be empty."""
        if self.transport is not None:
            return "the TLS handshake"
        return self._connector.waiting_for if self._connector is not None else ""

    def broke(self, exc: BaseException) -> None:
        """End the connection, because ``exc`` was raised on the way."""
        self._owner.broke(exc)

    @guarded
    def _connected(self, sock: socket.socket | None, error: SMTPError | None) -> None:
        if sock is not None:
            self._use(sock, handed_over=False)
        else:
            assert error is not None
            self._connector = None
            proxy = self._settings.proxy
            if proxy is not None:
                error.reword(masked(error.message, proxy.secrets, cut=True))
            # Only the system's own time-out has a cause: that of a look-up is not the port's fault.
            if error.code == "ETIMEDOUT" and error.__cause__ and proxy is None:
                error.add_hint(about_black_hole(self._port))
            self._owner.connection_failed(error)

    def _use(self, sock: socket.socket, *, handed_over: bool) -> None:
        try:
            if handed_over:
                prepare(sock)
            # One that was connected here may still be the caller's.
            callers = handed_over or sock is self._settings.socket
            self.transport = transport = Transport(
                self._reactor, sock, self._transport_owner, handed_over=callers
            )
            # Only now: until then the socket was the connector's.
            self._connector = None
            transport.start()
        except (OSError, ValueError) as exc:
            cause = exc if isinstance(exc, OSError) else OSError(str(exc))
            self._owner.connection_failed(socket_error(cause, "Cannot use the socket"))
            return
        if transport.lacks_handshake:
            name = self._settings.servername
            transport.finish_tls(name, lambda: self._owner.connected(transport))
        elif self._settings.secure and not transport.secure:
            self._owner.tell(lambda: f"Beginning TLS with {transport.describe()}")
            self.start_tls(lambda: self._owner.connected(transport))
        else:
            self._owner.connected(transport)

    def start_tls(self, done: Callable[[], None]) -> None:
        """Upgrade the stream to TLS; ``done`` is called when the handshake has succeeded."""
        assert self.transport is not None
        from ..net.resumption import SESSIONS  # for those who use TLS
        from ..net.tls import context_for

        name, options, resumption = self._settings.servername, self._settings.tls, None
        try:
            context = context_for(options)
        except SMTPError as error:
            self._owner.connection_failed(error)
            return
        if options.session:
            resumption = SESSIONS.resumption(context, name, self._host, self._port)
        self.transport.start_tls(context, name, done, about_tls, resumption)

    def stays_here(self) -> bool:
        """Whether what is said to the server stays on this machine."""
        assert self.transport is not None
        settings, peer = self._settings, self.transport.peer_address
        if peer is None:
            return True
        if settings.proxy is None and not is_loopback(peer):
            return False
        # The peer may be one end of a tunnel, also where the socket was handed over.
        tunnel = settings.proxy or settings.connection or settings.socket
        return tunnel is None or is_loopback(self._host)

    def dissolve(self) -> None:
        """Let go of the owners: there is nothing more to tell them."""
        self._connector = None
        self._owner = self._transport_owner = _NOBODY

    def hang_up(self) -> None:
        """Say goodbye and let go of the stream, or stop making it, without a reactor; may be called
        from any thread and from a signal handler."""
        if self.transport is not None:
            self.transport.hang_up()
        else:
            self.close(0)

    def close(self, linger: float) -> None:
        """Let go of the stream, or stop making it; ``linger`` as in :meth:`Transport.close`.

        Sockets that the caller has handed over are closed as well.
        """
        if self.transport is not None:
            self.transport.close(linger)
            return
        if self._connector is not None:
            self._connector.cancel()
        for handed_over in (self._settings.connection, self._settings.socket):
            if handed_over is not None:
                handed_over.close()


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
