"""Where a message waits while it is read: its signature stands in front of it, and is made of all
of it.  What is large waits on the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO

from ..text import with_crlf
from .relaxed import RelaxedBody
from .signer import Signer

__all__ = ["IN_MEMORY", "CannotSign", "Spool", "signed_pieces"]

IN_MEMORY = 1024 * 1024
"""Bytes of a message that are kept in memory unless somebody says otherwise."""

_dotted = re.compile(rb"\n\.").finditer  # twice as fast as bytes.count(), see message.encoder

_LONGEST_HEAD = 2 * 1024 * 1024
_PIECE = 48 * 1024


class CannotSign(Exception):
    """The message cannot be signed as it is; the text says so, and ``why``."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The message cannot be signed with DKIM: {why}")


class Spool:
    """Takes a message piece by piece, signs it, and gives it back with its signatures in front of
    it; all line breaks are CRLF.

    - ``size`` (int): bytes of the signed message, the line break at its end included
    - ``dotted`` (int): the lines of it that begin with a dot
    - ``head`` (bytes): the signatures and the headers, once it is signed
    """

    def __init__(
        self, signer: Signer, folder: str | None = None, in_memory: int = IN_MEMORY
    ) -> None:
        """``folder``: where a message of more than ``in_memory`` bytes is kept, by default where
        the system has its temporary files."""
        self._signer = signer
        self._folder = folder
        self._in_memory = in_memory
        self._hash = RelaxedBody()
        self._file: IO[bytes] | None = None
        self._ends = b"\r\n"  # its last bytes so far
        self._held_cr = False
        self._in_body = False
        self._unsent = False
        self.head = b""
        self.size = 0
        self.dotted = 0

    def write(self, piece: bytes, *, clean: bool = False) -> None:
        """Add ``piece``; ``clean``: all line breaks in it are CRLF, and none is cut in two.

        Raises :class:`CannotSign` if its headers do not come to an end, ``OSError`` if it cannot be
        kept.
        """
        if self._held_cr:
            piece, self._held_cr, clean = b"\r" + piece, False, False
        if piece[-1:] == b"\r":
            piece, self._held_cr = piece[:-1], True
        if piece:
            self._add(piece if clean else with_crlf(piece))

    def _add(self, lines: bytes) -> None:
        self.size += len(lines)
        if b"." in lines:
            after_break = lines[:1] == b"." and self._ends[-1:] == b"\n"
            self.dotted += sum(1 for _ in _dotted(lines)) + after_break
        self._ends = lines[-2:]
        if not self._in_body:
            lines = self._add_to_head(lines)
        if lines:
            self._hash.update(lines)
            self._keep(lines)

    def _add_to_head(self, lines: bytes) -> bytes:
        """Add to the headers, and return what is behind them."""
        known = len(self.head)
        self.head += lines
        end = self.head.find(b"\r\n\r\n", max(0, known - 3))
        if self.head.startswith(b"\r\n"):
            raise CannotSign("it begins with an empty line, so that it has no headers")
        if end < 0:
            if len(self.head) > _LONGEST_HEAD:
                raise CannotSign(f"its headers take more than {_LONGEST_HEAD:,} bytes")
            return b""
        self._in_body = True
        # The empty line is kept with the body, of which it is no part.
        lines, self.head = self.head[end + 4 :], self.head[: end + 2]
        self._keep(b"\r\n")
        return lines

    def _keep(self, lines: bytes) -> None:
        try:
            if self._file is None:
                from tempfile import SpooledTemporaryFile  # slow to import

                self._file = SpooledTemporaryFile(self._in_memory, dir=self._folder)  # noqa: SIM115
            self._file.write(lines)
        except OSError as exc:
            text = f"the message cannot be kept while it is signed: {exc.strerror or exc}"
            raise OSError(exc.errno, text) from exc

    def sign(self) -> None:
        """Sign what was written: that is all of it.  Raises :class:`CannotSign`, or ``OSError``."""
        if self._held_cr:
            self._held_cr = False
            self._add(b"\r\n")
        if self._ends[-1:] != b"\n":
            self._add(b"\r\n")
        try:
            signatures = self._signer.signatures(self.head, self._hash.digest())
        except ValueError as exc:
            text = f"it has to begin with its headers, one on each line, and {exc}"
            raise CannotSign(text) from exc
        self.size += len(signatures)
        self.head = signatures + self.head
        self._unsent = True
        if self._file is not None:
            self._file.seek(0)

    def read(self, size: int) -> bytes:
        """Return the next bytes of the signed message, at most ``size`` beside its head; none at
        its end."""
        head = b""
        if self._unsent:
            head, self._unsent = self.head, False
        return head + (self._file.read(size) if self._file is not None else b"")

    def close(self) -> None:
        """Let go of what is kept."""
        if self._file is not None:
            self._file.close()
            self._file = None


def signed_pieces(pieces: Iterable[bytes], spool: Spool) -> Iterator[bytes]:
    """Yield the message that consists of ``pieces``, signed: the first piece comes when all of them
    have been read.  Raises as :class:`Spool` does."""
    try:
        for piece in pieces:
            spool.write(piece)
        spool.sign()
        while piece := spool.read(_PIECE):
            yield piece
    finally:
        spool.close()
