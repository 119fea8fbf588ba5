"""What an envelope may ask of a server by parameters of MAIL that few need: DELIVERBY (RFC 2852),
MT-PRIORITY (RFC 6710), FUTURERELEASE (RFC 4865), and AUTH (RFC 4954 section 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..errors import SMTPError, envelope_error
from ..options.names import NameTable
from ..text import control_in
from .capabilities import Capabilities
from .dsn import xtext

__all__ = ["REQUESTS", "Requests"]

REQUESTS = ("auth", "deliverBy", "holdFor", "holdUntil", "mtPriority")
"""The keys of an envelope that are read here."""

_DELIVER_BY_KEYS = NameTable("deliverBy key", ["seconds", "mode", "trace"])
_MODES = {"R": "R", "RETURN": "R", "N": "N", "NOTIFY": "N"}

_MOST_SECONDS = 10**9 - 1  # nine digits in both RFCs

_RFC_3339 = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d([Zz]|[+-]\d\d:\d\d)"
_HOLD_UNTIL = "a datetime with a time zone, or text such as '2030-12-31T23:59:59Z'"


class _Request(NamedTuple):
    """One parameter of MAIL.

    - ``keyword``: what the server has to announce
    - ``rfc``: where it is defined
    - ``parameter``: what to add to MAIL
    - ``objection``: says why the announced parameters do not allow it, or ``''``
    """

    keyword: str
    rfc: str
    parameter: str
    objection: Callable[[str], str] = lambda announced: ""


class Requests:
    """The checked requests of one envelope."""

    __slots__ = ("_requests",)

    def __init__(self, keys: Mapping[str, Any]) -> None:
        """Read those of ``keys`` that are in :data:`REQUESTS`.

        Raises :class:`SMTPError` (``EENVELOPE``) that names the key.
        """
        given = [(name, keys[name]) for name in REQUESTS if keys.get(name) is not None]
        if {"holdFor", "holdUntil"} <= dict(given).keys():
            raise envelope_error("envelope 'holdFor' and 'holdUntil' exclude each other")
        self._requests = [_READERS[name](value) for name, value in given]

    def parameters(self, capabilities: Capabilities) -> str:
        """Return what they add to MAIL.

        Raises :class:`SMTPError` (``EENVELOPE``) if the server does not announce one of them, or
        not so much of it.
        """
        for request in self._requests:
            if request.keyword not in capabilities:
                text = f"the server does not announce {request.keyword} ({request.rfc})"
                raise envelope_error(text, "MAIL FROM")
            objection = request.objection(capabilities[request.keyword])
            if objection:
                raise envelope_error(objection, "MAIL FROM")
        return "".join(f" {request.parameter}" for request in self._requests)


def _invalid(name: str, expected: str, given: object) -> SMTPError:
    return envelope_error(f"envelope {name!r} takes {expected}; got {given!r}")


def _integer(name: str, given: object, least: int, most: int, unit: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise _invalid(name, f"{unit} from {least} to {most}", given)
    return given


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _deliver_by(given: object) -> _Request:
    if not isinstance(given, Mapping):
        given = {"seconds": given}
    try:
        keys = _DELIVER_BY_KEYS.canonical(given)
    except TypeError as exc:
        raise envelope_error(f"Invalid envelope 'deliverBy': {exc}") from None
    named, trace = keys.get("mode", "R"), keys.get("trace", False)
    mode = _MODES.get(named.upper()) if isinstance(named, str) else None
    if mode is None:
        raise _invalid("deliverBy", "as 'mode' 'R' (return) or 'N' (notify)", named)
    if not isinstance(trace, bool):
        raise _invalid("deliverBy", "as 'trace' True or False", trace)
    # RFC 2852 section 4: a message that is to be returned cannot be late already.
    least = 1 if mode == "R" else -_MOST_SECONDS
    seconds = _integer("deliverBy", keys.get("seconds"), least, _MOST_SECONDS, "seconds")

    def too_soon(announced: str) -> str:
        fewest = _number(announced)
        if mode == "N" or fewest is None or seconds >= fewest:
            return ""
        return f"'deliverBy' is {seconds} seconds, and the server needs at least {fewest}"

    by = f"BY={seconds};{mode}{'T' if trace else ''}"
    return _Request("DELIVERBY", "RFC 2852", by, too_soon)


def _mt_priority(given: object) -> _Request:
    priority = _integer("mtPriority", given, -9, 9, "a number")
    return _Request("MT-PRIORITY", "RFC 6710", f"MT-PRIORITY={priority}")


def _hold_for(given: object) -> _Request:
    seconds = _integer("holdFor", given, 1, _MOST_SECONDS, "seconds")

    def too_long(announced: str) -> str:
        # RFC 4865 section 4: the longest time in seconds, and the latest moment.
        most = _number(announced.partition(" ")[0])
        if most is None or seconds <= most:
            return ""
        return f"'holdFor' is {seconds} seconds, and the server holds a message for {most} at most"

    return _Request("FUTURERELEASE", "RFC 4865", f"HOLDFOR={seconds}", too_long)


def _hold_until(given: object) -> _Request:
    moment = _moment(given)
    if moment is None:
        raise _invalid("holdUntil", _HOLD_UNTIL, given)
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def too_late(announced: str) -> str:
        latest = _moment(announced.partition(" ")[2].strip())
        if latest is None or moment <= latest:
            return ""
        return f"'holdUntil' is {text}, and the server holds a message until {latest:%Y-%m-%dT%XZ}"

    return _Request("FUTURERELEASE", "RFC 4865", f"HOLDUNTIL={text}", too_late)


def _moment(given: object) -> datetime | None:
    """Return the moment that ``given`` is, in UTC, ``None`` if it is none."""
    if isinstance(given, str):
        if not re.fullmatch(_RFC_3339, given, re.ASCII):
            return None
        try:
            # Until Python 3.11, fromisoformat() does not know what "Z" is.
            given = datetime.fromisoformat(given.upper().replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(given, datetime) or given.utcoffset() is None:
        return None
    return given.astimezone(timezone.utc)


def _auth(given: object) -> _Request:
    # What is given is shown only if it is text: a dict would be credentials.
    if not isinstance(given, str):
        text = f"envelope 'auth' takes the address of who submits; got {type(given).__name__}"
        raise envelope_error(text)
    if control_in(given):
        raise _invalid("auth", "an address without control characters", given)
    address = given.strip(" ")
    submitter = xtext(address) if address not in ("", "<>") else "<>"
    return _Request("AUTH", "RFC 4954", f"AUTH={submitter}")


_READERS: dict[str, Callable[[object], _Request]] = {
    "auth": _auth,
    "deliverBy": _deliver_by,
    "holdFor": _hold_for,
    "holdUntil": _hold_until,
    "mtPriority": _mt_priority,
}
