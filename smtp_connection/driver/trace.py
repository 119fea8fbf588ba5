"""Who may follow the conversation: the listeners of ``'log'``, and the logger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..options.smtp import Options
from ..reactor.loop import Reactor
from ..records import LogEntry
from ..text import escaped
from .events import Events

if TYPE_CHECKING:
    from .loggers import Write

__all__ = ["Trace", "trace_for", "warn_of_login"]

# As in the module logging, which only those pay for who want it.
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _standard_logger() -> Any:
    import logging

    return logging.getLogger("smtp_connection")


class Trace:
    """Hands every entry on, from the reactor, in the order in which things happened.

    Nothing is built while nobody listens and the level of the logger is off.
    """

    def __init__(
        self,
        reactor: Reactor,
        emit: Callable[[str, LogEntry], object],
        has_listeners: Callable[[], bool],
        *,
        traffic: bool,
        content: bool,
        logger: Any,
        sid: str,
    ) -> None:
        """``traffic``: commands and replies are wanted; ``content``: message content as well;
        ``logger``: ``True``, an object of one of the styles of :mod:`.loggers`, or ``None``."""
        self._reactor = reactor
        self._emit = emit
        self._has_listeners = has_listeners
        self.traffic = traffic
        self._content = content
        self._logger = _standard_logger() if logger is True else logger
        self._write: Write | None = None
        if self._logger is not None:
            from .loggers import writer_for  # of use to few

            self._write = writer_for(self._logger, sid)

    def client(self, shown: str) -> None:
        """Tell of a command, in the form that may be shown."""
        self._tell("client", shown)

    def server(self, text: str) -> None:
        """Tell of a reply; its control characters are escaped, because an entry may be printed on
        a terminal."""
        self._tell("server", escaped(text))

    def stream(self, wire: bytes) -> None:
        """Tell of a piece of message content."""
        if not self._content or not self._wanted():
            return
        try:
            text = wire.decode()
        except UnicodeDecodeError:
            text = wire.decode("latin-1")
        self._tell("stream", text.removesuffix("\r\n"))

    def socket(self, describe: Callable[[], str]) -> None:
        """Tell of something that happened to the connection; ``describe`` is asked for the words,
        if anybody wants them."""
        heard = self.traffic and self._has_listeners()
        if not heard and not self._enabled("info"):
            return
        happening = escaped(describe())  # the server may have put in a word
        if heard:
            self._reactor.call_soon(self._emit, "log", LogEntry("socket", happening))
        self._log("info", "socket", happening)

    def failure(self, error: Exception) -> None:
        """Tell the logger, and only the logger, of what ended the connection."""
        self._log("error", "socket", str(error), error)

    def _wanted(self) -> bool:
        return self._has_listeners() or self._enabled("debug")

    def _enabled(self, level: str) -> bool:
        logger = self._logger
        if logger is None:
            return False
        enabled = getattr(logger, "isEnabledFor", None)
        return enabled is None or bool(enabled(_LEVELS[level]))

    def _tell(self, type: str, message: str) -> None:
        if self._has_listeners():
            self._reactor.call_soon(self._emit, "log", LogEntry(type, message))
        self._log("debug", type, message)

    def _log(self, level: str, type: str, text: str, error: Exception | None = None) -> None:
        if self._write is not None and self._enabled(level):
            self._reactor.call_soon(self._write, level, type, text, error)


def trace_for(settings: Options, reactor: Reactor, events: Events, sid: str) -> Trace | None:
    """Return the trace that the options ask for, ``None`` if nobody may follow."""
    traffic = settings.debug or settings.transactionLog
    if not traffic and settings.logger is None:
        return None
    return Trace(
        reactor,
        events.emit,
        lambda: events.listened_to("log"),
        traffic=traffic,
        content=settings.debug and not settings.transactionLog,
        logger=settings.logger,
        sid=sid,
    )


def warn_of_login(host: str, port: int, mechanism: str, sid: str) -> None:
    """Warn, through the standard library's logger ``smtp_connection``, that a login with
    ``mechanism`` is about to be sent in clear text: the only warning that nobody has to ask for.

    ``sid`` is the id of the connection, as in every entry of the log.
    """
    _standard_logger().warning(
        "Login at %s:%s with %s is not over TLS: user name and password (or access token) can be"
        " read by anybody on the way; use the option secure or requireTLS",
        host,
        port,
        mechanism,
        extra={"sid": sid},
    )
