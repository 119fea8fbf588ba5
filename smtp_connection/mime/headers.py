"""Values of header fields as they are written: addresses, parameters and ids."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from ..hosts import path_of
from .addresses import PLAIN_ADDRESS, Group, Mailbox
from .checks import line_of, wrong_value
from .words import LINE, encoded_words, folded, room_after

__all__ = [
    "address_value",
    "message_ids",
    "new_message_id",
    "one_message_id",
    "parameter_words",
    "unfolded",
    "value_with_parameters",
]

_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]{1,75}", re.ASCII)
_MESSAGE_ID = re.compile(r"[!-;=?-~]+")


# Addresses


def address_value(name: str, entries: Iterable[Mailbox | Group], encoding: str = "") -> str:
    """Return the address list ``entries`` as the value of the header ``name``.

    ``encoding`` is that of encoded words, see :func:`.words.encoded_words`.
    """
    return folded(name, _address_words(entries, room_after(name), encoding))


def _address_words(entries: Iterable[Mailbox | Group], room: int, encoding: str) -> list[str]:
    """Write an address list; a name begins with an encoded word of at most ``room`` octets."""
    words: list[str] = []
    for entry in entries:
        if words:
            words[-1] += ","
        if isinstance(entry, Group):
            words += _phrase_words(entry.name, room, encoding)
            if words[-1].endswith("?="):  # RFC 2047 5 (3): a blank ends an encoded word
                words.append("")
            words[-1] += ":"
            words += _address_words(entry.members, room, encoding)
            words[-1] += ";"
        elif entry.name:
            words += [*_phrase_words(entry.name, room, encoding), f"<{path_of(entry.address)}>"]
        else:
            address = path_of(entry.address)
            words.append(address if PLAIN_ADDRESS.fullmatch(address) else f"<{address}>")
    return words


def _phrase_words(name: str, room: int, encoding: str) -> list[str]:
    # What looks like an encoded word would be decoded, and is a name all the same.
    if "=?" not in name:
        atoms = name.split(" ")
        if all(map(_ATOM.fullmatch, atoms)):
            return atoms
        if re.fullmatch(r"[ -~]{1,60}", name):
            return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    return encoded_words(name, room, encoding)


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
        pieces[-1] += _percent_encoded(character)
    if len(pieces) == 1:
        return [f"{name}*={pieces[0]}"]
    return [f"{name}*{number}*={piece}" for number, piece in enumerate(pieces)]


def _percent_encoded(character: str) -> str:
    if character.isascii() and (character.isalnum() or character in "-._~"):
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode())


# Ids


def message_ids(field: str, given: object) -> list[str]:
    """Return the ids in a text or in a list of texts, each with angle brackets around it."""
    texts = given if isinstance(given, (list, tuple)) else [given]
    ids = [word for text in texts for word in line_of(field, text).split()]
    bare = [word[1:-1] if word[0] + word[-1] == "<>" else word for word in ids]
    if not all(map(_MESSAGE_ID.fullmatch, bare)):
        raise wrong_value(field, given, "message ids of printable ASCII, '<id@domain>'")
    return [f"<{word}>" for word in bare]


def unfolded(given: object) -> object:
    """Return the text, or the texts, that are ``given`` without the line breaks in it that fold a
    header: it may come from one that was received."""
    return [*map(_unfolded, given)] if isinstance(given, (list, tuple)) else _unfolded(given)


def _unfolded(given: object) -> object:
    return re.sub(r"\r?\n(?=[ \t])", "", given) if isinstance(given, str) else given


def one_message_id(field: str, given: object) -> str:
    """Return the one id in ``given``, with angle brackets around it."""
    ids = message_ids(field, given)
    if len(ids) != 1:
        raise wrong_value(field, given, "one id without blanks")
    return ids[0]


def new_message_id(author: str) -> str:
    """Make a new id in the domain of the address ``author``, with angle brackets around it."""
    _, at, domain = path_of(author).rpartition("@")
    if not at or not domain.isascii():
        domain = "localhost"
    return f"<{os.urandom(16).hex()}@{domain}>"
