"""The headers of ``email`` messages as they are written.

What was parsed goes out as it came, byte for byte: a signature or a thread may depend on it.  What
a program has set is written in our own way, because the email package can turn a name that has to
be folded into an address (CPython gh-80222, gh-121284).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import InvalidHeaderDefect
from email.header import Header, decode_header
from typing import Any

from .addresses import ANY_ADDRESS, Group, Mailbox, parse_addresses
from .checks import NO_CONTROLS, is_line, shown
from .headers import address_value, parameter_words, value_with_parameters
from .words import LONGEST_LINE, folded, text_value

__all__ = ["written_header"]

# One header field and its continuation lines.
_WRITTEN = re.compile(rb"[!-9;-~]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n")

_ADDRESSES = frozenset(("from", "sender", "reply-to", "to", "cc"))


def written_header(name: str, value: Any, *, as_parsed: bool) -> bytes:
    """Return the header ``name`` as it is written, its CRLF included.

    ``value`` is what a ``Message`` stores; ``as_parsed``: plain text in it has been parsed.  Raises
    ``ValueError`` for a header that would break out of its field (CVE-2024-6923), which includes
    characters that end a line for some readers, but not for all; ``HeaderParseError`` and
    ``SMTPError`` for one that cannot be encoded.
    """
    if hasattr(value, "defects"):
        text = _set_value(name, value)
    elif isinstance(value, Header):
        text = _header_value(name, value)
    elif isinstance(value, str):
        text = _plain_value(name, value, as_parsed)
    else:
        raise ValueError(f"the header {shown(name)} takes text; got {shown(value)}")
    # What was folded behind the colon had no blank there.
    blank = "" if text.startswith("\r\n") else " "
    written = f"{name}:{blank}{text}\r\n".encode("utf-8", "surrogateescape")
    if not _WRITTEN.fullmatch(written):
        raise ValueError(f"the header {shown(name)} would end before its value does")
    # Bytes that are not UTF-8 belong to another charset, and are no control characters.
    _check_line(name, re.sub("[\r\n]", "", written.decode("utf-8", "replace")))
    return written


def _check_line(name: str, text: str) -> None:
    if not is_line(text):
        raise ValueError(f"the header {shown(name)} takes text {NO_CONTROLS}; got {shown(text)}")


# -- what the email package has parsed from what a program has set ---------------------------------


def _set_value(name: str, value: Any) -> str:
    text = str(value)
    _check_line(name, text)
    doubtful = any(isinstance(defect, InvalidHeaderDefect) for defect in value.defects)
    if hasattr(value, "groups"):
        if not doubtful:
            return address_value(name, _entries(name, value))
    elif hasattr(value, "params"):
        kind = getattr(value, "content_type", None) or getattr(value, "content_disposition", None)
        if kind and not doubtful:
            return value_with_parameters(name, kind, [*_parameters(value.params)])
    elif not hasattr(value, "datetime"):
        return text_value(name, text)
    # It can be written as it is, but not be encoded: nobody could read it.
    if not text.isascii():
        raise ValueError(f"cannot make sense of the header {shown(name)}, {shown(text)}")
    return text_value(name, text)


def _entries(name: str, value: Any) -> Iterator[Mailbox | Group]:
    for group in value.groups:
        members = []
        for address in group.addresses:
            if not ANY_ADDRESS.fullmatch(address.addr_spec):
                what = shown(address.addr_spec)
                raise ValueError(f"cannot read {what} in the header {shown(name)} as an address")
            members.append(Mailbox(address.display_name, address.addr_spec))
        if group.display_name is None:
            yield from members
        else:
            yield Group(group.display_name, members)


def _parameters(given: Any) -> Iterator[str]:
    for name, value in given.items():
        yield from parameter_words(name, value)


# -- the legacy kind, and what was parsed ----------------------------------------------------------


def _header_value(name: str, value: Header) -> str:
    """Write a ``Header``, of several pieces perhaps, which has a charset for each of them."""
    encoded = value.encode(linesep="\r\n")
    if not _has_addresses(name):
        return encoded
    # If it has several pieces, only the encoded form tells names from addresses for certain.
    text = str(value) if len(decode_header(value)) == 1 else "".join(encoded.split("\r\n"))
    return _address_text(name, text) or encoded


def _plain_value(name: str, text: str, as_parsed: bool) -> str:
    """Write text: what was parsed, or what a program has set in a message of the legacy kind."""
    lines = re.split("\r\n|\n|\r", text)
    # A byte that was parsed and is not ASCII is a surrogate; any other such character was set.
    if re.search("[^\0-\x7f\udc80-\udcff]", text) and _is_folded(lines):
        text = "".join(lines)
        _check_line(name, text)
        return (_has_addresses(name) and _address_text(name, text)) or text_value(name, text)
    if not as_parsed and len(lines) == 1 and len(name) + 2 + len(text) > LONGEST_LINE:
        return folded(name, re.split(r"(?<=\S) (?=\S)", text))
    return "\r\n".join(lines)


def _is_folded(lines: list[str]) -> bool:
    return all(line[:1] in (" ", "\t") for line in lines[1:])


def _has_addresses(name: str) -> bool:
    return name.lower().removeprefix("resent-") in _ADDRESSES


def _address_text(name: str, text: str) -> str:
    """Write a list of addresses; return ``''`` for what cannot be read, which with an envelope of
    its own nobody has to."""
    try:
        return address_value(name, parse_addresses(text.strip()))
    except ValueError:
        return ""
