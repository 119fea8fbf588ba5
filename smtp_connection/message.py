"""The message argument of ``send``: what it may be, and how it is handed to the connection."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .encoder import WireEncoder
from .errors import SMTPError
from .reactor import Reactor
from .sources import (
    EmitterSource,
    IterableSource,
    PipeSource,
    Source,
    WholeSource,
    as_bytes,
    file_source,
)

__all__ = ["Message", "own_envelope"]

_TAKES = (
    "a message is a str, bytes, a file or other object with read(), an iterable of bytes or str,"
    " an emitter of 'data' and 'end', an EmailMessage or a dict"
)


def _is_email(message: object) -> bool:
    # What has not been imported cannot have instances; importing it would cost every program
    # the 30 ms that the email package takes.
    module = sys.modules.get("email.message")
    return module is not None and isinstance(message, module.Message)


def _error(message: str, code: str = "EMESSAGE") -> SMTPError:
    return SMTPError(message, code=code, command="API")


def _source_failed(exc: Exception) -> SMTPError:
    reason = str(exc) or type(exc).__name__
    return _error(f"The message source failed: {reason}", code="ESTREAM")


def own_envelope(message: object) -> dict[str, Any]:
    """Return the envelope that the message's own headers ask for (dict or ``EmailMessage``).

    Raises :class:`SMTPError` (``EENVELOPE``) for a message that has no headers to read.
    """
    if isinstance(message, Mapping) or _is_email(message):
        from .compose import envelope_of

        return envelope_of(message)  # type: ignore[arg-type]
    raise _error(
        "No envelope: only a dict or an EmailMessage can be sent without one;"
        f" got {type(message).__name__}",
        code="EENVELOPE",
    )


def _source_of(message: Any, reactor: Reactor) -> Source:
    if message is None:
        raise _error("Empty message")
    if isinstance(message, (str, bytes, bytearray, memoryview)):
        try:
            data = as_bytes(message)
        except UnicodeEncodeError as exc:
            raise _error(f"the message cannot be sent as UTF-8: {exc}") from exc
        return _whole(data)
    if isinstance(message, Mapping) or _is_email(message):
        from .compose import compose, serialize

        return _whole(serialize(compose(message) if isinstance(message, Mapping) else message))
    if getattr(message, "closed", False) is True:
        raise _error(f"the message is a closed file: {message!r}", code="ESTREAM")
    if callable(getattr(message, "on", None)):
        return EmitterSource(message, reactor)
    if callable(getattr(message, "read", None)):
        return file_source(message)
    if isinstance(message, socket.socket):
        return PipeSource(message, message.recv)
    if isinstance(message, Iterable):
        return IterableSource(message)
    try:
        return _whole(as_bytes(message))  # array.array, numpy and others with the buffer protocol
    except TypeError:
        raise _error(f"{_TAKES}; got {message!r}") from None


def _whole(data: bytes) -> Source:
    if not data:
        raise _error("Empty message")
    return WholeSource(data)


class Message:
    """A message on its way: pulls from its source, encodes for the wire.

    Nothing but its text is kept, so a message can be sent once.
    """

    __slots__ = ("_encoder", "_finished", "_first", "_source")

    def __init__(self, message: Any, reactor: Reactor) -> None:
        """Accept ``message``; raises :class:`SMTPError` if it is empty or none (``EMESSAGE``), or
        a closed file (``ESTREAM``)."""
        self._source = _source_of(message, reactor)
        self._encoder = WireEncoder()
        self._first: bytes | None = b""
        self._finished = False

    @property
    def size(self) -> int:
        """Bytes on the wire so far, the final dot included."""
        return self._encoder.size

    @property
    def whole(self) -> bool:
        """Whether all of the message is there, so that nothing has to be waited for."""
        return self._source.size is not None

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        """Begin to read; ``wake`` is called when :meth:`next_wire` is worth calling again.

        Raises :class:`SMTPError` (``ESTREAM``) if the source cannot be read.
        """
        try:
            self._source.start(reactor, wake)
        except Exception as exc:
            raise _source_failed(exc) from exc

    def has_begun(self) -> bool:
        """Read the first piece, and return whether it is there.

        Raises :class:`SMTPError`: ``EMESSAGE`` if the source ends before there is one, ``ESTREAM``
        if it fails.  This is asked before anything is said to the server.
        """
        if not self._first:
            self._first = self._pull()
            if self._first is None:
                raise _error("Empty message")
        return bool(self._first)

    def next_wire(self) -> bytes | None:
        """Return the next bytes for the wire, ``b''`` if there are none yet, ``None`` after the
        final dot.  Raises :class:`SMTPError` (``ESTREAM``) if the source fails."""
        if self._finished:
            return None
        while True:
            piece = self._first or self._pull()
            self._first = b""
            if piece is None:
                self._finished = True
                self._source.close()
                return self._encoder.finish()
            if not piece:
                return b""
            wire = self._encoder.encode(piece)
            if wire:
                return wire if not self.whole else self._joined(wire)

    def _joined(self, wire: bytes) -> bytes:
        """Return ``wire``, with the end of the message if that is next: one write, not two."""
        self._first = self._pull()
        if self._first:
            return wire
        self._finished = True
        return wire + self._encoder.finish()

    @property
    def finished(self) -> bool:
        """Whether :meth:`next_wire` has returned the final dot."""
        return self._finished

    def _pull(self) -> bytes | None:
        try:
            return self._source.next_piece()
        except Exception as exc:
            raise _source_failed(exc) from exc

    def close(self) -> None:
        """Let go of the source; the message cannot be sent any more."""
        self._finished = True
        self._source.close()
