"""Delivery status notifications on demand (RFC 3461): the ``dsn`` of an envelope."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import SMTPError, envelope_error
from ..options.names import NameTable
from ..text import control_in

__all__ = ["DSN", "xtext"]

_KEYS = NameTable("dsn key", ["ret", "return", "envid", "id", "notify", "orcpt", "recipient"])
_RECIPIENT_KEYS = NameTable("dsn key of a recipient", ["notify", "orcpt", "recipient"])
_RETURN = {"FULL": "FULL", "BODY": "FULL", "HDRS": "HDRS", "HEADERS": "HDRS"}
_NOTIFY = ("NEVER", "SUCCESS", "FAILURE", "DELAY")

# The longest values that every server accepts (RFC 3461 sections 4.4 and 4.2), encoded characters.
_LONGEST_ENVID = 100
_LONGEST_ORCPT = 500


def _invalid(field: str, value: object, expected: str) -> SMTPError:
    return envelope_error(f"Invalid DSN {field} {value!r}: it takes {expected}")


def xtext(text: str) -> str:
    """Return ``text`` as xtext (RFC 3461 section 4): '+', '=' and all but graphic ASCII become
    ``+XX``."""
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}"
        for byte in text.encode()
    )


def _utf8_address(text: str) -> str:
    """Encode an address of the type utf-8 in ASCII (RFC 6533 section 3)."""
    return "".join(
        char if "!" <= char <= "~" and char not in "+=\\" else f"\\x{{{ord(char):02X}}}"
        for char in text
    )


class DSN:
    """A checked request for notifications, as the parameters of MAIL and RCPT.

    - ``mail`` (str): ``' RET=... ENVID=...'``, or ``''`` without these two
    - ``rcpt`` (str): ``' NOTIFY=... ORCPT=...'``, or ``''`` without these two
    """

    __slots__ = ("_notify", "_original", "mail", "rcpt")

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Read the ``dsn`` of an envelope, in nodemailer's names or those of RFC 3461.

        Raises :class:`SMTPError` (``EENVELOPE``) that names the field.
        """
        keys = _keys(given, _KEYS, "a dict with ret, envid, notify and orcpt")
        returned = keys.get("ret") or keys.get("return")
        envid = keys.get("envid") or keys.get("id")
        self.mail = ""
        if returned:
            self.mail += f" RET={_read_return(returned)}"
        if envid:
            self.mail += f" ENVID={_read_envid(envid)}"
        self._notify, self._original = _of_recipient(keys)
        self.rcpt = self._notify + self._original

    def rcpt_for(self, own: Mapping[str, Any]) -> str:
        """Return what takes the place of ``rcpt`` for a recipient with a ``dsn`` of its ``own``:
        ``notify`` and ``orcpt``; what it does not say is that of all.

        Raises :class:`SMTPError` as the constructor does.
        """
        expected = "a dict with notify and orcpt"
        notify, original = _of_recipient(_keys(own, _RECIPIENT_KEYS, expected))
        return (notify or self._notify) + (original or self._original)


def _keys(given: object, table: NameTable, expected: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise _invalid("request", given, expected)
    try:
        return table.canonical(given)
    except TypeError as exc:
        raise envelope_error(f"Invalid DSN: {exc}") from None


def _of_recipient(keys: Mapping[str, Any]) -> tuple[str, str]:
    notify = keys.get("notify")
    original = keys.get("orcpt") or keys.get("recipient")
    return (
        f" NOTIFY={_read_notify(notify)}" if notify else "",
        f" ORCPT={_read_original(original)}" if original else "",
    )


def _read_return(given: object) -> str:
    if isinstance(given, str) and given.upper() in _RETURN:
        return _RETURN[given.upper()]
    raise _invalid("ret", given, f"one of {', '.join(_RETURN)}")


def _read_envid(given: object) -> str:
    expected = f"text without control characters, at most {_LONGEST_ENVID} characters once encoded"
    if not isinstance(given, str) or control_in(given):
        raise _invalid("envid", given, expected)
    encoded = xtext(given)
    if len(encoded) > _LONGEST_ENVID:
        raise _invalid("envid", given, expected)
    return encoded


def _read_notify(given: object) -> str:
    expected = "NEVER, or some of SUCCESS, FAILURE and DELAY"
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, Iterable):
        raise _invalid("notify", given, expected)
    words = [word.strip().upper() if isinstance(word, str) else word for word in given]
    if not all(word in _NOTIFY for word in words) or ("NEVER" in words and len(words) > 1):
        raise _invalid("notify", ",".join(map(str, words)), expected)
    return ",".join(dict.fromkeys(words))


def _read_original(given: object) -> str:
    expected = "an address, or a type and an address: 'rfc822;user@example.com'"
    if not isinstance(given, str) or control_in(given):
        raise _invalid("orcpt", given, expected)
    kind, separator, address = given.partition(";")
    if not separator:
        kind, address = ("rfc822" if given.isascii() else "utf-8"), given
    if not re.fullmatch("[A-Za-z0-9-]+", kind) or not address:
        raise _invalid("orcpt", given, expected)
    encoded = _utf8_address(address) if kind.lower() == "utf-8" else xtext(address)
    if len(encoded) > _LONGEST_ORCPT:
        raise _invalid(
            "orcpt", given, f"{expected}, at most {_LONGEST_ORCPT} characters once encoded"
        )
    return f"{kind};{encoded}"
