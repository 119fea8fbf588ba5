"""A composed message as a source: the reactor reads its contents, each when it is its turn."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator

from ..errors import SMTPError, stream_error
from ..mime.body import Body, BodyWriter
from ..mime.compose import Composed
from ..mime.content import PIECE, Content
from ..reactor.loop import Reactor
from .encoder import WireEncoder
from .sources import IterableSource, Source, file_source, has_utf8_headers, stream_source

__all__ = ["ComposedSource"]


class _Unreadable(Exception):
    """A content of the message cannot be read; the text says which one, and why."""


class _HeldSource(Source):
    """A content that is there already."""

    def __init__(self, content: Content) -> None:
        self._pieces = content.held_pieces()

    def next_piece(self) -> bytes | None:
        return next(self._pieces, None)


class ComposedSource(Source):
    """Pulls the contents of a composed message, and encodes them.

    All files are opened by :meth:`start`: if one is missing, nothing has been said yet.  A content
    is read when all in front of it has been sent, except for the beginning of the first one, which
    no server has to wait for; if that runs code of the caller's, it can wait after all.
    """

    def __init__(self, composed: Composed, reactor: Reactor) -> None:
        """Raises ``SMTPError`` for a stream that is closed, or has been read already."""
        self._composed = composed
        self._made_for = reactor
        self._bodies = [each for each in composed.segments if isinstance(each, Body)]
        self._sources: dict[Body, Source] = {}
        self._files: dict[Body, io.FileIO] = {}
        self._is_over = False
        self._pieces = self._encoded()
        for body in self._bodies:
            if body.content.held is not None:
                self._sources[body] = _HeldSource(body.content)
            elif body.content.path is None:
                self._sources[body] = _stream_source(body.content, reactor)

    @property
    def is_whole(self) -> bool:
        return all(body.content.held is not None for body in self._bodies)

    def known_size(self) -> int:
        return self._composed.size() or 0

    def is_international(self) -> bool:
        first = self._composed.segments[0]
        return isinstance(first, bytes) and has_utf8_headers(first)

    def again(self) -> Source | None:
        if any(body.content.stream is not None for body in self._bodies):
            return None
        return ComposedSource(self._composed, self._made_for)

    def wire_size(self) -> int | None:
        if not self.is_whole:
            return None
        encoder = WireEncoder()
        for segment in self._composed.segments:
            if isinstance(segment, bytes):
                encoder.encode(segment)
            elif segment.encoding == "base64":
                encoder.count(segment.size() or 0)
            else:
                for piece in segment.pieces():
                    encoder.encode(piece)
        encoder.finish()
        return encoder.size

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        """Open the files.  Raises ``SMTPError`` (``'EMESSAGE'``) for one that cannot be opened."""
        self._reactor = reactor
        self._wake = wake
        try:
            for body in self._bodies:
                if body.content.path is not None:
                    file = self._files[body] = body.content.open()
                    self._sources[body] = file_source(file, size=PIECE)
        except SMTPError:
            self.close()
            raise

    def next_piece(self) -> bytes | None:
        piece = next(self._pieces, None)
        if piece is None and not self._is_over:
            # It has failed before, or was interrupted: this is not its end.
            raise _Unreadable("it is incomplete")
        return piece

    def _encoded(self) -> Generator[bytes]:
        """Yield the message; ``b""`` means that the next piece is not there yet."""
        ahead = b""  # goes out together with the next piece
        begun = False
        for segment in self._composed.segments:
            if isinstance(segment, bytes):
                ahead += segment
                continue
            source = self._begin(segment)
            if source.lazy and not begun:
                self.clean, begun = False, True
                yield ahead
                ahead = b""
            writer = BodyWriter(segment)
            for piece in _pieces_of(source, segment.content.label):
                data = writer.write(piece) if piece else b""
                begun = begun or bool(piece)
                self.clean = writer.clean and not ahead
                if begun:
                    data, ahead = ahead + data, b""
                if data or not piece:
                    yield data
            ahead += writer.finish()
            self._let_go(segment)
        self.clean = False
        if ahead:
            yield ahead
        self._is_over = True

    def _begin(self, body: Body) -> Source:
        """Return the source of the content of ``body``, which may be read from now on."""
        source = self._sources[body]
        if body.content.held is None:
            try:
                source.start(self._reactor, self._wake)
            except Exception as exc:
                raise _unreadable(body.content.label, exc) from exc
        return source

    def _let_go(self, body: Body) -> None:
        source = self._sources.pop(body, None)
        if source is not None:
            source.close()
        if body in self._files:
            self._files.pop(body).close()

    def close(self) -> None:
        try:
            self._pieces.close()
        except ValueError:
            pass  # it runs just now: a content that it has asked for ends the connection
        for body in self._bodies:
            self._let_go(body)


def _pieces_of(source: Source, label: str) -> Iterator[bytes]:
    """Yield the pieces of ``source``; ``b""`` means that the next one is not there yet."""
    while True:
        try:
            piece = source.next_piece()
        except Exception as exc:
            raise _unreadable(label, exc) from exc
        if piece is None:
            return
        yield piece


def _unreadable(label: str, exc: Exception) -> _Unreadable:
    reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return _Unreadable(f"{label!r} cannot be read: {reason}")


def _stream_source(content: Content, reactor: Reactor) -> Source:
    stream = content.take()
    if getattr(stream, "closed", False) is True:
        raise stream_error(f"{content.label!r} is a closed file: {stream!r}")
    source = stream_source(stream, reactor, content.octets_of)
    return IterableSource(stream, content.octets_of) if source is None else source
