"""Transfer encodings (RFC 2045 section 6), piece by piece: a part is never held whole.

An encoder takes bytes with :meth:`Encoder.encode`, in pieces of any size, and returns lines that
CRLF ends; what its last line needs, :meth:`Encoder.finish` returns.
"""

from __future__ import annotations

import binascii
import re
import struct

from ..text import with_crlf
from .words import LONGEST_LINE

__all__ = [
    "Base64Encoder",
    "Encoder",
    "PlainEncoder",
    "QuotedPrintableEncoder",
    "RawEncoder",
    "base64_size",
]


class Encoder:
    """What the encoders have in common.

    - ``clean`` (bool): what it returns has no line break but CRLF, and no dot at the start of a
      line, so that nothing has to look for them on the way to the server
    """

    clean = False

    def encode(self, data: bytes) -> bytes:
        """Return what ``data`` adds, which may be nothing yet.  Raises ``ValueError``, with the
        reason, for what the encoding cannot express."""
        raise NotImplementedError

    def finish(self) -> bytes:
        """Return what is still to come at the end; raises as :meth:`encode` does."""
        return b""


# -- base64 ---------------------------------------------------------------------------------------

_GROUP = 57  # octets, which make a line of 76 characters (RFC 2045 section 6.8)
_LINES = 630  # are encoded together: 48 KiB
# Two calls into C, of which the first cuts all the lines, take half the time of a loop over lines.
_cut = struct.Struct("76s" * _LINES).unpack


class Base64Encoder(Encoder):
    """base64, in lines of 76 characters; no CRLF ends the last one."""

    clean = True

    def __init__(self, *, is_text: bool = False) -> None:
        """In text, a line break of any kind becomes CRLF."""
        self._is_text = is_text
        self._rest = b""  # less than a line
        self._begun = False
        self._held_cr = False

    def encode(self, data: bytes) -> bytes:
        if self._is_text:
            data = self._canonical(data)
        if self._rest:
            data = self._rest + data
        usable = len(data) - len(data) % _GROUP
        self._rest = data[usable:]
        most = _GROUP * _LINES
        return b"".join(
            self._lines(data[start : min(start + most, usable)]) for start in range(0, usable, most)
        )

    def _lines(self, data: bytes) -> bytes:
        text = binascii.b2a_base64(data, newline=False)
        if len(text) == 76 * _LINES:
            lines = _cut(text)
        else:
            lines = tuple(text[start : start + 76] for start in range(0, len(text), 76))
        if self._begun:
            lines = (b"", *lines)
        self._begun = True
        return b"\r\n".join(lines)

    def _canonical(self, data: bytes) -> bytes:
        if self._held_cr:
            data = b"\r" + data
        self._held_cr = data.endswith(b"\r")
        return with_crlf(data[:-1] if self._held_cr else data)

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        if self._held_cr:
            rest += b"\r\n"
        return self._lines(rest) if rest else b""


def base64_size(size: int) -> int:
    """Return how many octets :class:`Base64Encoder` makes of ``size`` octets."""
    characters = (size + 2) // 3 * 4
    return characters + 2 * max(0, (characters - 1) // 76)


# -- quoted-printable -----------------------------------------------------------------------------

_LONG = 16 * 1024  # octets without a line break, of which some are encoded before it comes


class QuotedPrintableEncoder(Encoder):
    """quoted-printable; in text, a line break of any kind stays a line break."""

    def __init__(self, *, is_text: bool = True) -> None:
        self._is_text = is_text
        self._rest = b""  # what comes after the last line break, in which LF stands for all kinds
        self._held_cr = False

    def encode(self, data: bytes) -> bytes:
        if not self._is_text:
            return self._encode_opaque(data)
        if self._held_cr:
            data = b"\r" + data
        self._held_cr = data.endswith(b"\r")
        if self._held_cr:
            data = data[:-1]
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        if end:
            self._rest = data[end:]
            return _quoted(data[:end])
        if len(data) < _LONG:
            self._rest = data
            return b""
        self._rest = b""
        return _soft_end(_quoted(data))

    def _encode_opaque(self, data: bytes) -> bytes:
        """Encode data in which CR and LF are octets like others."""
        data = self._rest + data
        if len(data) < _LONG:
            self._rest = data
            return b""
        self._rest = b""
        return _soft_end(_quoted(data, is_text=False))

    def finish(self) -> bytes:
        if self._held_cr:
            self._rest += b"\n"
        return _quoted(self._rest, is_text=self._is_text)


def _quoted(data: bytes, *, is_text: bool = True) -> bytes:
    # It breaks lines as the first line break in the data is, LF alone if there is none.
    lines = binascii.b2a_qp(data, istext=is_text)
    return lines.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _soft_end(text: bytes) -> bytes:
    """End ``text``, the last line of which goes on, with a soft line break."""
    if len(text) - (text.rfind(b"\n") + 1) > 75:  # which leaves no room; no "=XX" stands there
        text = text[:-1] + b"=\r\n" + text[-1:]
    return text + b"=\r\n"


# -- without an encoding --------------------------------------------------------------------------


class PlainEncoder(Encoder):
    """7bit and 8bit: lines as they are, which have to be such as the name says."""

    def __init__(self, name: str, *, is_text: bool, delimiter: bytes) -> None:
        """``name`` is ``'7bit'`` or ``'8bit'``.  In text, a line break of any kind becomes CRLF; in
        anything else, where that would be damage, it has to be CRLF.  No line may begin with
        ``delimiter``, which ends the part."""
        self._name = name
        self._is_text = is_text
        self._delimiter = delimiter
        self._rest = b""  # what comes after the last line break
        self._forbidden = re.compile(rb"[\0\x80-\xff]" if name == "7bit" else rb"\0").search

    def encode(self, data: bytes) -> bytes:
        data = self._rest + data
        # Not behind a CR at the end, which may be half of a CRLF.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        self._rest = data[end:]
        if len(self._rest) > LONGEST_LINE + 1:
            raise ValueError(f"{self._name} takes lines of at most {LONGEST_LINE} octets")
        return self._checked(data[:end])

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._checked(rest)

    def _checked(self, data: bytes) -> bytes:
        lines = with_crlf(data)
        if not self._is_text and len(lines) != len(data):
            raise ValueError(f"{self._name} takes no line break but CRLF where there is no text")
        found = self._forbidden(lines)
        if found:
            raise ValueError(f"{self._name} takes no octet {found[0][0]}")
        if re.search(rb"[^\r\n]{%d}" % (LONGEST_LINE + 1), lines):
            raise ValueError(f"{self._name} takes lines of at most {LONGEST_LINE} octets")
        if self._delimiter and (
            lines.startswith(self._delimiter) or b"\n" + self._delimiter in lines
        ):
            raise ValueError("it contains the delimiter of the parts")
        return lines


class RawEncoder(Encoder):
    """What is finished already goes out as it is; a line break of any kind becomes CRLF."""

    def __init__(self, delimiter: bytes) -> None:
        """No line may begin with ``delimiter``, which ends the part."""
        self._delimiter = b"\n" + delimiter if delimiter else b""
        self._last = b"\n"
        self._held_cr = False

    def encode(self, data: bytes) -> bytes:
        if self._held_cr:
            data = b"\r" + data
        self._held_cr = data.endswith(b"\r")
        lines = with_crlf(data[:-1] if self._held_cr else data)
        if self._delimiter:
            seen = self._last + lines
            if self._delimiter in seen:
                raise ValueError("it contains the delimiter of the parts")
            self._last = seen[-len(self._delimiter) :]
        return lines

    def finish(self) -> bytes:
        return b"\r\n" if self._held_cr else b""
