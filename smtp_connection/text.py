"""Characters that could end a command or a header line, or that UTF-8 cannot express, and the ends
of lines."""

from __future__ import annotations

import io
import re

__all__ = [
    "CONTROLS",
    "control_in",
    "escaped",
    "has_surrogate",
    "printable",
    "undecoded",
    "with_crlf",
    "without_controls",
]

_SURROGATES = r"\ud800-\udfff"
# C0, DEL, C1 (with NEL), and the line and paragraph separators of Unicode.
_BREAKS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"

# Marks, embeddings, overrides and isolates (UAX #9): they reorder what a terminal shows.
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"

CONTROLS = _BREAKS + _SURROGATES
"""All of these characters, to stand between the brackets of a regular expression's character class:
``f"[{CONTROLS}]"``."""

# Every function asks isprintable() first: it is false for each of these characters and true for
# nearly every text, so that most programs never compile an expression, which costs 1 ms.


def control_in(text: str, *, surrogates: bool = True) -> str | None:
    """Return the first character of :data:`CONTROLS` in ``text``, or ``None``.

    With ``surrogates=False`` a surrogate does not count: in the name of a file it stands for a byte
    that is not UTF-8 (PEP 383).
    """
    if text.isprintable():
        return None
    found = re.search(f"[{CONTROLS if surrogates else _BREAKS}]", text)
    return found.group() if found else None


def without_controls(text: str) -> str:
    """Return ``text`` with a blank in place of each character of :data:`CONTROLS`."""
    return text if text.isprintable() else re.sub(f"[{CONTROLS}]", " ", text)


def has_surrogate(text: str) -> bool:
    """Whether ``text`` contains a surrogate, so that UTF-8 cannot express it."""
    return not text.isprintable() and re.search(f"[{_SURROGATES}]", text) is not None


def escaped(text: str) -> str:
    """Return ``text``, which may be the words of a server, as it may be shown on a terminal or in a
    log: control characters, surrogates and characters that change the direction of writing as
    ``repr`` shows them (``\\x1b``), all others as they are.  ``'\\n'`` stays: it stands between the
    lines of a reply."""
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    return re.sub(f"(?!\n)[{CONTROLS}{_DIRECTIONS}]", lambda found: repr(found[0])[1:-1], text)


def printable(text: str) -> str:
    """Return ``text``, the words of somebody else, with a question mark in place of each character
    that is not printable: neither line breaks nor terminal escapes reach a log."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


def undecoded(text: str) -> bytes:
    """Return ``text``, ASCII in which surrogates stand for bytes (PEP 383), as bytes.

    Raises ``UnicodeEncodeError`` for any other character.
    """
    return text.encode("ascii", "surrogateescape")


def with_crlf(data: bytes) -> bytes:
    """Return ``data`` with each CR, LF and CRLF as CRLF."""
    # The decoder of the text layer, written in C, tells in one pass which kinds there are.  That
    # costs half as much as counting CR, LF and CRLF, and data with CRLF alone is not copied.
    scanner = io.IncrementalNewlineDecoder(None, False)
    scanner.decode(data.decode("latin-1"), True)
    kinds = scanner.newlines
    if kinds is None or kinds == "\r\n":
        return data
    if kinds != "\n":
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\n", b"\r\n")
