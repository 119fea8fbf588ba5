"""Delivery status notifications on demand (RFC 3461): the ``dsn`` of an envelope."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import SMTPError
from ..options.names import NameTable
from ..text import control_in

__all__ = ["DSN"]

_KEYS = NameTable("dsn key", ["ret", "return", "envid", "id", "notify", "orcpt", "recipient"])
_RETURN = {"FULL": "FULL", "BODY": "FULL", "HDRS": "HDRS", "HEADERS": "HDRS"}
_NOTIFY = ("NEVER", "SUCCESS", "FAILURE", "DELAY")

# RFC 3461 sections 4.4 and 4.2: what may be expected to be handed on, characters once encoded.
_LONGEST_ENVID = 100
_LONGEST_ORCPT = 500


def _error(field: str, value: object, takes: str) -> SMTPError:
    return SMTPError(
        f"Invalid DSN {field} {value!r}: it takes {takes}", code="EENVELOPE", command="API"
    )


def _xtext(text: str) -> str:
    """Encode as xtext (RFC 3461 section 4): graphic ASCII but '+' and '=', the rest as +XX."""
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}"
        for byte in text.encode()
    )


def _utf8_address(text: str) -> str:
    """Encode an address that is not ASCII for the type utf-8 (RFC 6533 section 3), in ASCII."""
    return "".join(
        char if "!" <= char <= "~" and char not in "+=\\" else f"\\x{{{ord(char):02X}}}"
        for char in text
    )


class DSN:
    """A checked request for notifications, as the parameters of MAIL and RCPT.

    - ``mail`` (str): ``' RET=... ENVID=...'``, ``''`` if nothing was asked for
    - ``rcpt`` (str): ``' NOTIFY=... ORCPT=...'``, likewise
    """

    __slots__ = ("mail", "rcpt")

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Read the dict; raises :class:`SMTPError` (``EENVELOPE``) that names the field."""
        if not isinstance(given, Mapping):
            raise _error("request", given, "a dict with ret, envid, notify and orcpt")
        try:
            keys = _KEYS.canonical(given)
        except TypeError as exc:
            raise SMTPError(f"Invalid DSN: {exc}", code="EENVELOPE", command="API") from None
        returned = keys.get("ret") or keys.get("return")
        envid = keys.get("envid") or keys.get("id")
        notify = keys.get("notify")
        original = keys.get("orcpt") or keys.get("recipient")
        self.mail = self.rcpt = ""
        if returned:
            self.mail += f" RET={_read_return(returned)}"
        if envid:
            self.mail += f" ENVID={_read_envid(envid)}"
        if notify:
            self.rcpt += f" NOTIFY={_read_notify(notify)}"
        if original:
            self.rcpt += f" ORCPT={_read_original(original)}"


def _read_return(given: object) -> str:
    if isinstance(given, str) and given.upper() in _RETURN:
        return _RETURN[given.upper()]
    raise _error("ret", given, f"one of {', '.join(_RETURN)}")


def _read_envid(given: object) -> str:
    takes = f"text without control characters, at most {_LONGEST_ENVID} characters once encoded"
    if not isinstance(given, str) or control_in(given):
        raise _error("envid", given, takes)
    encoded = _xtext(given)
    if len(encoded) > _LONGEST_ENVID:
        raise _error("envid", given, takes)
    return encoded


def _read_notify(given: object) -> str:
    takes = "NEVER, or some of SUCCESS, FAILURE and DELAY"
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, Iterable):
        raise _error("notify", given, takes)
    words = [word.strip().upper() if isinstance(word, str) else word for word in given]
    if not all(word in _NOTIFY for word in words) or ("NEVER" in words and len(words) > 1):
        raise _error("notify", ",".join(map(str, words)), takes)
    return ",".join(dict.fromkeys(words))


def _read_original(given: object) -> str:
    takes = "an address, or a type and an address: 'rfc822;user@example.com'"
    if not isinstance(given, str) or control_in(given):
        raise _error("orcpt", given, takes)
    kind, separator, address = given.partition(";")
    if not separator:
        kind, address = ("rfc822" if given.isascii() else "utf-8"), given
    if not re.fullmatch("[A-Za-z0-9-]+", kind) or not address:
        raise _error("orcpt", given, takes)
    encoded = _utf8_address(address) if kind.lower() == "utf-8" else _xtext(address)
    if len(encoded) > _LONGEST_ORCPT:
        raise _error("orcpt", given, f"{takes}, at most {_LONGEST_ORCPT} characters once encoded")
    return f"{kind};{encoded}"
