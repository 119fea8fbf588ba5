"""A message that is signed (DKIM) before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dkim.spool import CannotSign
from ..options.dkim import DKIMOptions
from ..reactor.loop import Reactor
from .sources import PIECE, Source, UnsendableError, has_utf8_headers

__all__ = ["Signed", "SignedSource"]

# Bytes that are read and hashed in one turn of the reactor.
_AT_ONCE = 256 * 1024


class Signed:
    """Any message that ``send`` takes, ``content``, and the options to sign it with."""

    __slots__ = ("content", "dkim")

    def __init__(self, content: Any, dkim: DKIMOptions) -> None:
        self.content = content
        self.dkim = dkim


class SignedSource(Source):
    """Reads all of another source before it gives the first piece: the signature comes first.

    It is never lazy: the other source is read before the server hears of the message, so that no
    server has to wait for it, its size is known, and whatever fails then harms nobody else.
    """

    def __init__(self, source: Source, dkim: DKIMOptions) -> None:
        self._source = source
        self._dkim = dkim
        self._spool = dkim.spool()
        self._signed = False
        self._ended = False
        self._wake_soon: Callable[[], object] = lambda: None

    def known_size(self) -> int:
        return self._spool.size if self._signed else 0

    def wire_size(self) -> int | None:
        return self._spool.size + self._spool.dotted + len(b".\r\n") if self._signed else None

    def is_international(self) -> bool:
        if self._signed:
            return has_utf8_headers(self._spool.head)
        return self._source.is_international()

    def is_8bit(self) -> bool:
        return self._source.is_8bit()

    def again(self) -> Source | None:
        source = None if self._ended else self._source.again()
        return None if source is None else SignedSource(source, self._dkim)

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        self._wake_soon = lambda: reactor.call_soon(wake)
        self._source.start(reactor, wake)

    def next_piece(self) -> bytes | None:
        if not self._ended and not self._read_source():
            return b""
        if not self._signed:
            if not self._spool.size:
                return None  # it is empty
            try:
                self._spool.sign()
            except CannotSign as exc:
                raise UnsendableError(str(exc)) from exc
            self._signed = True
            self.clean = not self._spool.dotted
        return self._spool.read(PIECE) or None

    def _read_source(self) -> bool:
        """Read on for a while; return whether that was all."""
        size = 0
        while size < _AT_ONCE:
            piece = self._source.next_piece()
            if piece is None:
                self._ended = True
                self._source.close()
                return True
            if not piece:
                return False  # the source wakes us
            size += len(piece)
            try:
                self._spool.write(piece, clean=self._source.clean)
            except CannotSign as exc:
                raise UnsendableError(str(exc)) from exc
        self._wake_soon()
        return False

    def close(self) -> None:
        self._source.close()
        self._spool.close()
