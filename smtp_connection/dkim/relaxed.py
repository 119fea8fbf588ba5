"""The canonical form 'relaxed' of headers and bodies (RFC 6376 sections 3.4.2 and 3.4.4).

What servers on the way may change, blanks and empty lines at the end, makes no difference in it.
All input has CRLF as its only line break.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["RelaxedBody", "fields_of", "relaxed_field"]

_BLANKS = b" \t"
_GAP = b" \t\r\n"
_EMPTY_LINES = b"\r\n" * 4096

_FIELD = re.compile(rb"[!-9;-~]+(?=[ \t]*:)")  # RFC 5322 sections 2.2 and 4.5
_two_blanks = re.compile(rb"  ").search
_blank_at_end = re.compile(rb" \r\n").search
_END_OF_FIELD = re.compile(rb"\r\n(?![ \t])")


class RelaxedBody:
    """The SHA-256 of a body in its relaxed form, computed piece by piece; no line of it, and no run
    of blanks or of empty lines, is kept, however long it is."""

    __slots__ = ("_blank", "_breaks", "_hash", "_is_empty")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._is_empty = True
        # What counts only if something comes behind it: line breaks, and then blanks.
        self._breaks = 0
        self._blank = False

    def update(self, piece: bytes) -> None:
        """Add ``piece``, which does not end between CR and LF."""
        text = piece.lstrip(_GAP)
        self._add_gap(piece[: len(piece) - len(text)])
        if not text:
            return
        self._end_gap()
        core = text.rstrip(_GAP)
        self._hash.update(_relaxed(core))
        self._is_empty = False
        self._add_gap(text[len(core) :])

    def _add_gap(self, gap: bytes) -> None:
        last = gap.rfind(b"\n")
        if last >= 0:
            self._breaks += gap.count(b"\n")
            self._blank = last + 1 < len(gap)
        else:
            self._blank = self._blank or bool(gap)

    def _end_gap(self) -> None:
        while self._breaks:
            now = min(self._breaks, len(_EMPTY_LINES) // 2)
            self._hash.update(_EMPTY_LINES[: 2 * now])
            self._breaks -= now
        if self._blank:
            self._hash.update(b" ")
            self._blank = False

    def digest(self) -> bytes:
        """Return the hash of all that was added: the body has ended."""
        if not self._is_empty:
            self._hash.update(b"\r\n")
        return self._hash.digest()


def _relaxed(text: bytes) -> bytes:
    """Return ``text``, which neither begins nor ends with a blank, with one blank in place of each
    run of them, and none at the ends of lines."""
    # bytes.replace() does this in an eighth of the time that re.sub() takes; but to look whether
    # there is anything to do, an expression without alternatives is twice as fast as "in".
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    if b" " in text:
        while _two_blanks(text):
            text = text.replace(b"  ", b" ")
        if _blank_at_end(text):
            text = text.replace(b" \r\n", b"\r\n")
    return text


def fields_of(headers: bytes) -> list[tuple[bytes, bytes]]:
    """Return the name, in small letters, and the value of each field of ``headers``, which end with
    a line break.

    Raises ``ValueError``, with the number of the line and what it begins with, for a line that is
    neither a field nor the continuation of one.
    """
    found = []
    line = 1
    for field in _END_OF_FIELD.split(headers.removesuffix(b"\r\n")):
        name = _FIELD.match(field)
        if name is None:
            raise ValueError(f"line {line} is {field[:40].decode('latin-1')!r}")
        found.append((name[0].lower(), field[field.index(b":", name.end()) + 1 :]))
        line += field.count(b"\n") + 1
    return found


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """Return the field in its relaxed form, without a line break at its end."""
    one_line = value.replace(b"\r\n", b"").strip(_BLANKS)
    return name + b":" + _relaxed(one_line)
