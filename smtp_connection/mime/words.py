"""The words of header fields: how text becomes encoded words (RFC 2047), and how lines are folded
between words, never within.

It is done here because what the email package does when it encodes and folds differs from one
Python release to the next, and has let crafted values through (CVE-2024-6923).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable

from .checks import mail_error, wrong_value

__all__ = [
    "LINE",
    "LONGEST_LINE",
    "decoded",
    "encoded_words",
    "folded",
    "header_block",
    "room_after",
    "text_value",
]

LINE = 76
"""Characters in a line: the limit of RFC 2047 2 for a line with encoded words in it, and of
RFC 2045 6.7 for quoted-printable.  RFC 5322 2.1.1 recommends at most 78 for any line."""

LONGEST_LINE = 998
"""Octets in a line, without its CRLF (RFC 5322 2.1.1)."""

_ENCODED_WORD = 75  # octets, RFC 2047 2
_FRAME = len("=?utf-8?q??=")
_LONGEST_CHARACTER = len("=F0=9F=98=80")


# -- folding --------------------------------------------------------------------------------------


def folded(name: str, words: list[str]) -> str:
    """Return ``words`` as the value of the header ``name``, in lines as short as they can be.

    Raises ``SMTPError`` (``'EMESSAGE'``) for a word that no line can hold.
    """
    lines = [f"{name}:"]
    for at, word in enumerate(words):
        # The first word stays beside the name, unless it is an encoded word, or far too long.
        most = LINE if at or word.startswith("=?") else LONGEST_LINE
        if len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        lines[-1] += f" {word}"
    for line in lines:
        if len(line.encode()) > LONGEST_LINE:
            raise mail_error(f"{name!r} needs a line of {len(line)}, over {LONGEST_LINE} octets")
    return "\r\n".join(lines)[len(name) + 1 :].removeprefix(" ")


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return ``headers``, names and values as they are written, and the empty line behind them."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers] + ["\r\n"]).encode()


def text_value(name: str, text: str, encoding: str = "") -> str:
    """Return unstructured ``text`` as the value of the header ``name``.

    ASCII stays as it is, and so do words in it that are encoded already.  ``encoding`` is that of
    encoded words, see :func:`encoded_words`.  The value of a structured header is not text, and no
    reader looks for encoded words in it: it takes ASCII alone.

    Raises ``SMTPError`` (``'EMESSAGE'``) for what cannot be written.
    """
    words = re.split(r"(?<=\S) (?=\S)", text)
    if _is_structured(name):
        if not text.isascii():
            raise wrong_value(name, text, "ASCII: it is a structured header")
        return folded(name, words)
    if text.isascii() and text == text.strip() and max(map(len, words)) < LONGEST_LINE:
        return folded(name, words)
    return folded(name, encoded_words(text, room_after(name), encoding))


_STRUCTURED = frozenset(
    (
        *("auto-submitted", "authentication-results", "autocrypt", "date", "dkim-signature"),
        *("domainkey-signature", "in-reply-to", "list-id", "message-id", "mime-version"),
        *("received", "received-spf", "references", "resent-date", "resent-message-id"),
        *("return-path", "supersedes", "content-type", "content-disposition", "content-id"),
        *("content-transfer-encoding", "content-language", "content-location", "content-base"),
        *("content-md5", "content-duration", "content-features", "content-alternative"),
    )
)


def _is_structured(name: str) -> bool:
    lower = name.lower()
    return lower in _STRUCTURED or lower.startswith(("list-", "arc-"))


def room_after(name: str) -> int:
    """Return how long a word may be that stands in the first line of the header ``name``."""
    return LINE - len(f"{name}: ")


# -- encoded words --------------------------------------------------------------------------------

# What stands for itself in an encoded word, in a name as well (RFC 2047 5 (3)).
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")


def encoded_words(text: str, room: int, encoding: str = "") -> list[str]:
    """Encode ``text`` in words of at most 75 octets, the first one of at most ``room``.

    ``encoding`` is ``'Q'`` or ``'B'``; by default it is the one that takes less.  A ``room`` that
    is too small for any word does not count.  No word ends within a character (RFC 2047 5).
    """
    first = min(room, _ENCODED_WORD) - _FRAME
    if first < _LONGEST_CHARACTER:
        first = _ENCODED_WORD - _FRAME
    data = text.encode()
    written = [_quoted(character) for character in text]
    if not encoding:
        encoding = "B" if sum(map(len, written)) > (len(data) + 2) // 3 * 4 else "Q"
    if encoding == "B":
        return _in_base64(data, first)
    return _in_quoted(written, first)


def _quoted(character: str) -> str:
    if character in _PLAIN:
        return character
    if character == " ":
        return "_"
    return "".join(f"={byte:02X}" for byte in character.encode())


def _in_quoted(written: list[str], room: int) -> list[str]:
    words: list[str] = []
    word: list[str] = []
    for character in written:
        if len(character) > room:
            words.append("".join(word))
            word, room = [], _ENCODED_WORD - _FRAME
        word.append(character)
        room -= len(character)
    return [f"=?utf-8?q?{each}?=" for each in [*words, "".join(word)]]


def _in_base64(data: bytes, room: int) -> list[str]:
    words: list[str] = []
    start = 0
    while start < len(data):
        end = start + room // 4 * 3
        while end < len(data) and data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        word = binascii.b2a_base64(data[start:end], newline=False).decode("ascii")
        words.append(f"=?utf-8?b?{word}?=")
        start, room = end, _ENCODED_WORD - _FRAME
    return words


_WORD = r"=\?([^?\s]+)\?([bBqQ])\?([^?\s]*)\?="
_WORDS = re.compile(rf"(?<!\S){_WORD}(?:\s+{_WORD.replace('(', '(?:')})*(?!\S)")


def decoded(text: str) -> str:
    """Return ``text`` with the encoded words in it decoded, as far as that can be done.

    Only what stands between blanks is an encoded word; the blanks between two of them do not count
    (RFC 2047 6.2).
    """
    if "=?" not in text:
        return text
    return _WORDS.sub(lambda found: _decoded_words(found[0]), text)


def _decoded_words(words: str) -> str:
    try:
        return "".join(_decoded_word(*found) for found in re.findall(_WORD, words))
    except (LookupError, ValueError):  # an unknown charset, or what is not of this charset
        return words


def _decoded_word(charset: str, encoding: str, text: str) -> str:
    if encoding in "bB":
        data = binascii.a2b_base64(text + "=" * (-len(text) % 4))
    else:
        data = binascii.a2b_qp(text.encode("ascii"), header=True)
    # RFC 2231 5: a language may follow the charset.
    return data.decode(charset.partition("*")[0])
