"""Dates: a datetime, or text as RFC 5322 or ISO 8601 write it; nothing is guessed.

The parser is our own: what ``datetime`` and the email package accept differs from one Python
release to the next, and the latter drops a zone that it does not understand.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from .checks import line_of, wrong_value

__all__ = ["date_value"]

_A_DATE = (
    "a datetime, or a date like 'Mon, 6 May 2024 07:08:09 +0200' or '2024-05-06T07:08:09+02:00'"
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

# RFC 5322 3.3; of the obsolete zones (4.3) the two whose meaning nobody doubts.
_INTERNET_DATE = re.compile(
    rf"(?:({'|'.join(_DAYS)}), *)?([0-9]{{1,2}}) +({'|'.join(_MONTHS)}) +([0-9]{{4}})"
    r" +([0-9]{2}):([0-9]{2})(?::([0-9]{2}))? +([+-][0-9]{4}|GMT|UT)(?: +\([^()\\]*\))?",
    re.IGNORECASE,
)
# RFC 3339, with a zone or without.
_ISO_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)


def date_value(given: object) -> str:
    """Write the date that is given (datetime or str), or the present one for ``''``.

    Without a zone the time is taken as that of UTC, and its zone as not known: ``-0000``.
    """
    try:
        if given == "":
            given = datetime.now(timezone.utc)
        elif isinstance(given, str):
            given = _read(line_of("date", given).strip(" \t"))
        if isinstance(given, datetime):
            return _written(given)
    except (ValueError, OverflowError) as error:
        raise wrong_value("date", given, _A_DATE) from error
    raise wrong_value("date", given, _A_DATE)


def _written(moment: datetime) -> str:
    offset = moment.utcoffset()
    if offset is None:
        zone = "-0000"  # RFC 5322 3.3: nothing is known of the zone
    else:
        minutes, rest = divmod(offset, timedelta(minutes=1))
        if rest:  # the time before there were zones
            minutes = 0
            moment = moment.astimezone(timezone.utc)
        zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} {zone}"


def _read(text: str) -> datetime:
    found = _INTERNET_DATE.fullmatch(text)
    if found is not None:
        name, day, month, year, hour, minute, second, zone = found.groups()
        number = _MONTHS.index(month.capitalize()) + 1
        moment = _moment(int(year), number, int(day), hour, minute, second, zone)
        if name is not None and _DAYS[moment.weekday()] != name.capitalize():
            raise ValueError("the day of the week is not that of the date")
        return moment
    found = _ISO_DATE.fullmatch(text)
    if found is None:
        raise ValueError("it is no date")
    year, month, day, hour, minute, second, zone = found.groups()
    return _moment(int(year), int(month), int(day), hour, minute, second, zone)


def _moment(
    year: int, month: int, day: int, hour: str, minute: str, second: str | None, zone: str | None
) -> datetime:
    known = None if zone is None or zone == "-0000" else _zone(zone)
    return datetime(year, month, day, int(hour), int(minute), int(second or 0), tzinfo=known)


def _zone(text: str) -> timezone:
    if text.upper() in ("GMT", "UT", "Z"):
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[-2:])
    if minutes > 59:
        raise ValueError("a zone has at most 59 minutes")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
