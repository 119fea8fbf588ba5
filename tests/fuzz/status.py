"""Whatever the text of a reply, its enhanced code is one that stands in front of it, and the time
after which to try again is one that it names, or there is none."""

from __future__ import annotations

import re

from smtp_connection.errors import SMTPError
from smtp_connection.protocol.replies import ReplyParser
from smtp_connection.status import retry_after, split_status

_LONGEST = 999_999 * 3600 * 1000


def check(data: bytes) -> None:
    """(The invariant stands above.)"""
    for reply in ReplyParser(1 << 20).feed(data + b"\r\n"):
        _check_status(reply.text)
        _check_time(reply.text)
        error = SMTPError("refused", code="EMESSAGE", response=reply.text)
        assert error.enhancedCode == split_status(reply.text)[0]


def _check_status(text: str) -> None:
    enhanced, rest = split_status(text)
    assert text.endswith(rest)
    front = text[: len(text) - len(rest)]
    if enhanced is None:
        assert re.fullmatch("(?:[0-9]{3}[ -]?)?", front)
        return
    assert re.fullmatch(r"[245](?:\.[0-9]{1,3}){2}", enhanced)
    assert front[3:].strip(" -#\t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029") == enhanced


def _check_time(text: str) -> None:
    after = retry_after(text)
    assert after == retry_after(f"451 4.7.1 {text}")
    if after is None:
        return
    assert 0 <= after <= _LONGEST
    assert after % 1000 == 0
    # One of its numbers, in seconds, minutes or hours; or a time of the clock.
    seconds = after // 1000
    numbers = {
        int(found) * unit for found in re.findall("[0-9]{1,6}", text) for unit in (1, 60, 3600)
    }
    assert seconds in numbers or re.search("[0-9]:[0-9]{2}", text)
