"""What is shown of a connection with callbacks by one that has other methods."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .connection import SMTPConnection
from .emitter import NodeEmitter
from .options.smtp import Options
from .protocol.capabilities import Capabilities
from .reactor.loop import Reactor
from .records import TLSInfo

if TYPE_CHECKING:
    from .listeners import ConnectionEmitter
else:
    ConnectionEmitter = NodeEmitter

__all__ = ["Wrapped"]


class Wrapped(ConnectionEmitter):
    """Has the attributes and the events of the connection that it wraps.

    That one is listened to only for events that somebody wants to hear of here: what it need not
    tell costs it nothing.
    """

    _arguments = SMTPConnection._arguments

    def __init__(self, connection: SMTPConnection) -> None:
        super().__init__()
        self._connection = connection
        self._relayed: set[str] = set()

    @property
    def options(self) -> Options:
        """All options, with their defaults filled in."""
        return self._connection.options

    @property
    def reactor(self) -> Reactor:
        """The reactor that carries everything out."""
        return self._connection.reactor

    @property
    def host(self) -> str:
        """The option of this name."""
        return self._connection.host

    @property
    def port(self) -> int:
        """The option of this name."""
        return self._connection.port

    @property
    def name(self) -> str:
        """The name that this machine gives itself in EHLO."""
        return self._connection.name

    @property
    def id(self) -> str:
        """A random string that marks log entries."""
        return self._connection.id

    @property
    def version(self) -> str:
        """The version of the package."""
        return self._connection.version

    @property
    def stage(self) -> str:
        """``'init'``, and ``'connected'`` once the stream to the server is there."""
        return self._connection.stage

    @property
    def secure(self) -> bool:
        """Whether TLS is on right now."""
        return self._connection.secure

    @property
    def tls(self) -> TLSInfo | None:
        """What the TLS handshake has agreed on, a :class:`~smtp_connection.records.TLSInfo`;
        ``None`` while TLS is off."""
        return self._connection.tls

    @property
    def authenticated(self) -> bool:
        """Whether a login has succeeded."""
        return self._connection.authenticated

    @property
    def destroyed(self) -> bool:
        """Whether the connection is over."""
        return self._connection.destroyed

    @property
    def lastServerResponse(self) -> str | None:
        """The text of the server's last reply."""
        return self._connection.lastServerResponse

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced in its reply to EHLO or LHLO."""
        return self._connection.capabilities

    def _add_event_handler(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> None:
        super()._add_event_handler(event, k, v)
        if event in self._arguments and event not in self._relayed:
            self._relayed.add(event)
            relay: Any = _relay(weakref.ref(self), event)
            self._connection.addListener(event, relay)  # type: ignore[call-overload]


def _relay(wrapped: weakref.ref[Wrapped], event: str) -> Callable[..., None]:
    """Return a listener that has ``wrapped`` emit ``event``.

    It does not keep what it belongs to, which keeps it.
    """

    def relay(*args: Any) -> None:
        emitter = wrapped()
        if emitter is not None:
            try:
                emitter.emit(event, *args)
            except Exception as exc:
                # Not here, where it would keep others from hearing of the event, connect() say.
                emitter.reactor.call_soon(_raise, exc)

    return relay


def _raise(exc: Exception) -> None:
    raise exc
