"""Values of header fields as they are written: encoded, and folded between words, never within.

What the email package does when it encodes and folds differs from one Python release to the next,
and has let crafted values through (CVE-2024-6923).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from email.charset import Charset
from email.utils import format_datetime, parsedate_to_datetime
from itertools import chain, repeat
from urllib.parse import quote

from .addresses import PLAIN_ADDRESS, Group, Mailbox
from .checks import line_of, mail_error, wrong_value

__all__ = [
    "LINE",
    "address_value",
    "date_text",
    "folded",
    "header_block",
    "message_ids",
    "new_message_id",
    "one_message_id",
    "parameter_words",
    "text_value",
    "value_with_parameters",
]

LINE = 76
"""Characters in a line: the limit of RFC 2047 2 for a line with encoded words in it, and of
RFC 2045 6.7 for quoted-printable.  RFC 5322 2.1.1 recommends at most 78 for any line."""

_ENCODED_WORD = 75  # octets, RFC 2047 2
_LONGEST_LINE = 998  # octets, RFC 5322 2.1.1
_LONGEST_WORD = 900  # leaves room for the name of a header
_UTF8 = Charset("utf-8")
_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]{1,75}", re.ASCII)
_A_DATE = "a datetime, or a date as RFC 5322 or ISO 8601 write it"
_MESSAGE_ID = re.compile(r"[!-;=?-~]+")


def folded(name: str, words: list[str]) -> str:
    """Return ``words`` as the value of the header ``name``, in lines as short as they can be."""
    lines = [f"{name}:"]
    for at, word in enumerate(words):
        # The first word stays beside the name, unless it is an encoded word.
        if (at or word.startswith("=?")) and len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}"
    for line in lines:
        if len(line.encode()) > _LONGEST_LINE:
            raise mail_error(f"{name!r} needs a line of {len(line)}, over {_LONGEST_LINE} octets")
    return "\r\n".join(lines)[len(name) + 1 :].removeprefix(" ")


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return ``headers``, names and values as they are written, and the empty line behind them."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers] + ["\r\n"]).encode()


def text_value(name: str, text: str) -> str:
    """Return unstructured ``text`` as the value of the header ``name``.

    ASCII stays as it is, and so do words in it that are encoded already.
    """
    words = re.split(r"(?<=\S) (?=\S)", text)
    if text.isascii() and text == text.strip() and max(map(len, words)) <= _LONGEST_WORD:
        return folded(name, words)
    return folded(name, _encoded_words(text, _room_after(name)))


def _room_after(name: str) -> int:
    """Return how long a word may be that stands in the first line of the header ``name``."""
    return LINE - len(f"{name}: ")


def _encoded_words(text: str, room: int) -> list[str]:
    """Encode ``text`` in words of at most 75 octets, the first one of at most ``room``.

    If ``room`` is too small for any word, it does not count.
    """
    # header_encode_lines() cuts between characters, never within one (RFC 2047 5).
    lengths = chain([min(room, _ENCODED_WORD)], repeat(_ENCODED_WORD))
    return [word for word in _UTF8.header_encode_lines(text, lengths) if word]


# Addresses


def address_value(name: str, entries: Iterable[Mailbox | Group]) -> str:
    """Return the address list ``entries`` as the value of the header ``name``."""
    return folded(name, _address_words(entries, _room_after(name)))


def _address_words(entries: Iterable[Mailbox | Group], room: int) -> list[str]:
    """Write an address list; a name begins with an encoded word of at most ``room`` octets."""
    words: list[str] = []
    for entry in entries:
        if words:
            words[-1] += ","
        if isinstance(entry, Group):
            words += _phrase_words(entry.name, room)
            if words[-1].endswith("?="):  # RFC 2047 5 (3): a blank ends an encoded word
                words.append("")
            words[-1] += ":"
            words += _address_words(entry.members, room)
            words[-1] += ";"
        elif entry.name:
            words += [*_phrase_words(entry.name, room), f"<{entry.address}>"]
        else:
            plain = PLAIN_ADDRESS.fullmatch(entry.address)
            words.append(entry.address if plain else f"<{entry.address}>")
    return words


def _phrase_words(name: str, room: int) -> list[str]:
    atoms = name.split(" ")
    if all(map(_ATOM.fullmatch, atoms)):
        return atoms
    if re.fullmatch(r"[ -~]{1,60}", name) and "=?" not in name:
        return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    return _encoded_words(name, room)


# Parameters


def value_with_parameters(name: str, value: str, parameters: list[str]) -> str:
    """Return ``value`` with its ``parameters`` as the value of the header ``name``."""
    words = [value, *parameters]
    return folded(name, [word + ";" for word in words[:-1]] + words[-1:])


def parameter_words(name: str, value: str) -> list[str]:
    """Write the parameter ``name`` of a header, in several pieces if it is long."""
    if re.fullmatch(r"[ !#-\[\]-~]{0,60}", value) and "=?" not in value and value == value.strip():
        return [f'{name}="{value}"']
    # RFC 2231 3 and 4.  No piece ends within a character: some readers decode each one by itself.
    pieces = ["utf-8''"]
    for character in value:
        if len(pieces[-1]) > LINE - 30:
            pieces.append("")
        pieces[-1] += quote(character, safe="")
    if len(pieces) == 1:
        return [f"{name}*={pieces[0]}"]
    return [f"{name}*{number}*={piece}" for number, piece in enumerate(pieces)]


# Dates and ids


def date_text(given: object) -> str:
    """Write the date that is given (datetime or str), or the present one for ``''``."""
    try:
        if given == "":
            given = datetime.now(timezone.utc)
        elif isinstance(given, str):
            given = _parse_date(line_of("date", given))
        if isinstance(given, datetime):
            return format_datetime(given)
    except (ValueError, OverflowError) as error:
        raise wrong_value("date", given, _A_DATE) from error
    raise wrong_value("date", given, _A_DATE)


def _parse_date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError:
        return parsedate_to_datetime(text)


def message_ids(field: str, given: object) -> list[str]:
    """Return the ids in a text or in a list of texts, each with angle brackets around it."""
    texts = given if isinstance(given, (list, tuple)) else [given]
    ids = [word for text in texts for word in line_of(field, text).split()]
    bare = [word[1:-1] if word[0] + word[-1] == "<>" else word for word in ids]
    if not all(map(_MESSAGE_ID.fullmatch, bare)):
        raise wrong_value(field, given, "message ids of printable ASCII, '<id@domain>'")
    return [f"<{word}>" for word in bare]


def one_message_id(field: str, given: object) -> str:
    """Return the one id in ``given``, with angle brackets around it."""
    ids = message_ids(field, given)
    if len(ids) != 1:
        raise wrong_value(field, given, "one id without blanks")
    return ids[0]


def new_message_id(author: str) -> str:
    """Make a new id in the domain of the address ``author``, with angle brackets around it."""
    domain = author.rpartition("@")[2] if "@" in author and author.isascii() else "localhost"
    return f"<{uuid.uuid4()}@{domain}>"
