"""What the values of a mail are checked for, and the errors that refuse them."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ..errors import SMTPError
from ..options.names import NameTable
from ..text import control_in

__all__ = [
    "NO_CONTROLS",
    "Prepared",
    "flag_of",
    "header_pairs",
    "is_line",
    "line_of",
    "mail_error",
    "named_values",
    "refuse_own_header",
    "shown",
    "wrong_value",
]

NO_CONTROLS = "without line breaks and control characters"

_HEADER = NameTable("field", ("key", "value"))
_HEADER_VALUE = NameTable("field", ("value", "prepared", "foldLines"))
_HEADER_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 3.6.8
_OWN_HEADERS = frozenset(
    (
        "mime-version",
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
        "content-id",
        "bcc",
        "resent-bcc",
    )
)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80
shown = _repr.repr
"""A value as error texts show it: its ``repr``, shortened."""


def mail_error(text: str, code: str = "EMESSAGE") -> SMTPError:
    """Return the error for a mail that cannot be sent as it is."""
    return SMTPError(text, code=code, command="API")


def wrong_value(field: str, value: object, takes: str, code: str = "EMESSAGE") -> SMTPError:
    """Return the error that says what ``field`` takes, and what it got."""
    return mail_error(f"{field!r} takes {takes}; got {shown(value)}", code)


def named_values(table: NameTable, field: str, given: object) -> dict[str, Any]:
    """Return the values of the dict ``given`` under the names of ``table``, without ``None``."""
    if not isinstance(given, Mapping):
        raise wrong_value(field, given, "a dict")
    try:
        named = table.canonical(given)
    except TypeError as error:
        raise mail_error(f"{field!r}: {error}") from error
    return {name: value for name, value in named.items() if value is not None}


def is_line(value: object) -> TypeGuard[str]:
    """Return whether ``value`` is a str without control characters, except for TAB.

    Such a text cannot end a header line, and UTF-8 can express it.
    """
    # TAB is a blank in every header (RFC 5322 2.2.2), and allowed nowhere else in this package.
    return isinstance(value, str) and control_in(value.replace("\t", " ")) is None


def line_of(field: str, value: object) -> str:
    """Return ``value``, which has to be one line of text."""
    if not is_line(value):
        raise wrong_value(field, value, f"a str {NO_CONTROLS}")
    return value


class Prepared(str):
    """The value of a header that is written as it is; it may be folded, and is well-formed."""

    __slots__ = ()


def header_pairs(field: str, headers: object) -> Iterator[tuple[str, str]]:
    """Yield name and text of each header in ``headers``, a dict or Node's list of dicts; a text
    that is :class:`Prepared` needs no encoding."""
    if isinstance(headers, Mapping):
        pairs = list(headers.items())
    elif isinstance(headers, (list, tuple)):
        items = [named_values(_HEADER, field, item) for item in headers]
        pairs = [(item.get("key"), item.get("value")) for item in items]
    else:
        raise wrong_value(field, headers, "a dict, or a list of {'key', 'value'}")
    for name, value in pairs:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise wrong_value(field, name, "names of printable ASCII without blanks and colons")
        for each in value if isinstance(value, (list, tuple)) else [value]:
            text = _header_text(f"{field}.{name}", each)
            if text is not None:
                yield name, text


def _header_text(label: str, given: object) -> str | None:
    """Return the text of one header, ``None`` for one that is left out."""
    if not isinstance(given, Mapping):
        return line_of(label, str(given) if type(given) is int else given)
    values = named_values(_HEADER_VALUE, label, given)
    prepared = flag_of(f"{label}.prepared", values.get("prepared"))
    fold = flag_of(f"{label}.foldLines", values.get("foldLines"))
    value = values.get("value", "")
    if not prepared:
        text = line_of(label, str(value) if type(value) is int else value)
        return text if text.strip() else None
    if not isinstance(value, str):
        raise wrong_value(label, value, "a str that is finished")
    lines = re.split("\r?\n", value)
    # A line break that a blank follows, and then something else, does not end a header.
    folded = all(re.match(r"[ \t]+[^ \t]", line) for line in lines[1:])
    if not folded or not all(map(is_line, lines)):
        takes = f"a finished value {NO_CONTROLS}, except where it is folded"
        raise wrong_value(label, value, takes)
    if not value.strip():
        return None
    return "".join(lines) if fold else Prepared("\r\n".join(lines))


def flag_of(field: str, value: object) -> bool:
    """Return ``value``, which has to be ``True``, ``False`` or ``None``, as a bool."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong_value(field, value, "True or False")


def refuse_own_header(field: str, name: str) -> None:
    """Raise the error for a header that is always composed from other fields."""
    if name.lower() in _OWN_HEADERS:
        raise mail_error(f"{field!r}: {name!r} cannot be set; it follows from the other fields")
