"""What the text of a reply says in forms that programs can use: enhanced status codes, and when to
try again."""

from __future__ import annotations

import re

__all__ = ["retry_after", "split_status"]

# The code, and the enhanced code that follows it (RFC 2034 section 4).  IronPort writes "#5.1.0".
_STATUS = r"[0-9]{3}[ -]?(?:#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s|\Z))?"

# Words of servers that defer mail: "Greylisted for 300 seconds", "try again in 5 minutes", "please
# come back in 00:04:59", "retry after 1h", "wait 60 sec".  What follows one of the first group is a
# time to wait; a number anywhere else is not ("100 messages in 10 minutes").
_RETRY = (
    r"\b(?:again|retry|come back|wait|gr[ea]y-?list(?:ed|ing))"
    r"(?:[\s,;:(-]+"
    r"(?:again|another|at least|about|after|back|for|in|later|please|try|retry)\b){0,6}"
    r"[\s,:(]+"
    r"(?:(?:([0-9]{1,2}):)?([0-9]{1,2}):([0-9]{2})(?![0-9:])"
    r"|([0-9]{1,6})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b)"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def split_status(text: str) -> tuple[str | None, str]:
    """Return the enhanced status code (RFC 3463) of the reply ``text``, ``'5.1.1'`` for example or
    ``None``, and what follows the codes in front; of several lines the first counts."""
    found = re.match(_STATUS, text)
    if found is None:
        return None, text
    return found.group(1), text[found.end() :]


def retry_after(text: str) -> int | None:
    """Return after how many milliseconds the server wants to see another attempt, ``None`` if the
    reply ``text`` names no time in a known form."""
    found = re.search(_RETRY, text, re.IGNORECASE)
    if found is None:
        return None
    hours, minutes, seconds, number, unit = found.groups()
    if unit is not None:
        return int(number) * _SECONDS[unit[0].lower()] * 1000
    return (int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)) * 1000
