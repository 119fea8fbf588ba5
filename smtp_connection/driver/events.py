"""The events of one connection, without keeping the connection."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import SMTPError

__all__ = ["Emitter", "Events"]


class Emitter(Protocol):
    """Who emits the events: ``SMTPConnection``."""

    def emit(self, event: str, *args: Any) -> bool:
        """Call the listeners of ``event``."""

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Return the listeners of ``event``."""

    def once(self, event: Any, f: Callable[..., Any]) -> Any:
        """Add a listener of ``event`` that is called once."""


class Events:
    """Emits the events of a connection as long as there is one.

    A connection that nobody has started, or that is over, goes as soon as its owner lets go of it.
    In between :meth:`keep` keeps it for what it waits for.
    """

    __slots__ = ("_emitter", "_kept", "_over")

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = weakref.ref(emitter)
        self._kept: Emitter | None = None
        self._over = False

    def keep(self) -> None:
        """Keep the connection until :meth:`emit_last`."""
        self._kept = self._emitter()

    def emit_last(self, event: str) -> None:
        """Emit ``event``, once, and leave it to others from then on to keep the connection."""
        emitter = self._emitter()
        if emitter is not None and not self._over:
            try:
                self._over = True
                emitter.emit(event)
            finally:
                self._kept = None

    def once(self, event: str, listener: Callable[..., Any]) -> None:
        """Add a listener of ``event`` that is called once."""
        emitter = self._emitter()
        if emitter is not None:
            emitter.once(event, listener)

    def emit(self, event: str, *args: Any) -> None:
        """Call the listeners of ``event``, unless the last one has been emitted."""
        emitter = self._emitter()
        if emitter is not None and not self._over:
            emitter.emit(event, *args)

    def listened_to(self, event: str) -> bool:
        """Whether ``event`` has listeners."""
        emitter = self._emitter()
        return emitter is not None and bool(emitter.listeners(event))

    def report(self, error: SMTPError) -> None:
        """Emit ``'error'``, or raise ``error`` if nobody listens."""
        emitter = self._emitter()
        if emitter is None:
            raise error
        emitter.emit("error", error)  # pyee raises it
