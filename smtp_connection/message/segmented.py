"""A message that is there, in several parts: what it has that is large is not put together."""

from __future__ import annotations

from collections.abc import Iterator

from ..text import undecoded
from .encoder import WireEncoder
from .sources import PIECE, Source, has_utf8_headers

__all__ = ["SegmentedSource"]


class SegmentedSource(Source):
    """Bytes, and text in which surrogates stand for bytes (PEP 383), one after the other."""

    def __init__(self, segments: list[bytes | str]) -> None:
        self._segments = segments
        self._pieces = self._cut()

    @property
    def is_whole(self) -> bool:
        return True

    def _cut(self) -> Iterator[bytes]:
        for segment in self._segments:
            for start in range(0, len(segment), PIECE):
                piece = segment[start : start + PIECE]
                if isinstance(piece, str):
                    piece = undecoded(piece)
                yield piece

    def next_piece(self) -> bytes | None:
        return next(self._pieces, None)

    def known_size(self) -> int:
        size = sum(map(_size, self._segments))
        last = self._segments[-1][-1:]
        return size if last in (b"\n", b"\r", "\n", "\r") else size + 2

    def wire_size(self) -> int:
        encoder = WireEncoder()
        for piece in self._cut():
            encoder.encode(piece)
        encoder.finish()
        return encoder.size

    def is_international(self) -> bool:
        first = self._segments[0]
        return isinstance(first, bytes) and has_utf8_headers(first)

    def again(self) -> Source:
        return SegmentedSource(self._segments)


def _size(segment: bytes | str) -> int:
    """Return how many bytes ``segment`` has when each of its line breaks is CRLF."""
    if isinstance(segment, bytes):
        breaks, returns, both = (segment.count(each) for each in (b"\n", b"\r", b"\r\n"))
    else:
        breaks, returns = segment.count("\n"), segment.count("\r")
        both = segment.count("\r\n") if returns else 0
    return len(segment) + breaks + returns - 2 * both
