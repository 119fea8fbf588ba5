"""Dates are a datetime, or text in one of two standard forms, on every Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection.errors import SMTPError
from smtp_connection.mime.dates import date_value

SEVEN = datetime(2024, 5, 6, 7, 8, 9)
ZONES = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-05-06T07:08:09.000Z", "Mon, 06 May 2024 07:08:09 +0000"),
        ("2024-05-06T07:08:09+02:00", "Mon, 06 May 2024 07:08:09 +0200"),
        ("2024-05-06t07:08:09,5-0130", "Mon, 06 May 2024 07:08:09 -0130"),
        ("2024-05-06 07:08z", "Mon, 06 May 2024 07:08:00 +0000"),
        ("2024-05-06T07:08:09", "Mon, 06 May 2024 07:08:09 -0000"),
        ("6 May 2024 07:08:09 -0500", "Mon, 06 May 2024 07:08:09 -0500"),
        ("Mon, 06 May 2024 07:08:09 GMT", "Mon, 06 May 2024 07:08:09 +0000"),
        (" mon,6  MAY 2024 07:08 ut ", "Mon, 06 May 2024 07:08:00 +0000"),
        ("Mon, 6 May 2024 07:08:09 +0200 (CEST)", "Mon, 06 May 2024 07:08:09 +0200"),
        ("Mon, 6 May 2024 07:08:09 -0000", "Mon, 06 May 2024 07:08:09 -0000"),
        (SEVEN.replace(tzinfo=timezone(timedelta(hours=5.5))), "Mon, 06 May 2024 07:08:09 +0530"),
        (SEVEN.replace(tzinfo=timezone(timedelta(minutes=-90))), "Mon, 06 May 2024 07:08:09 -0130"),
        # A zone with seconds, as all had once; RFC 5322 has none of that kind.
        (SEVEN.replace(tzinfo=timezone(timedelta(seconds=8))), "Mon, 06 May 2024 07:08:01 +0000"),
        (SEVEN, "Mon, 06 May 2024 07:08:09 -0000"),
        (datetime(1, 1, 1, tzinfo=timezone.utc), "Mon, 01 Jan 0001 00:00:00 +0000"),
    ],
)
def test_dates(given: Any, expected: str) -> None:
    assert date_value(given) == expected


@given(st.datetimes(datetime(1900, 1, 1)), ZONES)
def test_dates_read_back(moment: datetime, zone: timedelta) -> None:
    minutes = timedelta(minutes=zone // timedelta(minutes=1))
    moment = moment.replace(microsecond=0, tzinfo=timezone(minutes))
    written = date_value(moment)
    assert parsedate_to_datetime(written) == moment
    assert date_value(written) == written
    assert date_value(moment.isoformat()) == written


def test_the_present_is_the_default() -> None:
    moment = parsedate_to_datetime(date_value(""))
    assert abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=1)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "2024-05-06",
        "20240506T070809Z",
        "2024-W19-1T07:08:09",
        "2024-13-06T07:08:09Z",
        "2024-05-06T24:08:09Z",
        "2024-05-06T07:08:09+02:60",
        "2024-05-06T07:08:09+2:00",
        "2024-05-06T07:08:09 UTC",
        "Mon May 06 2024 09:08:09 GMT+0200 (CEST)",
        "Tue, 06 May 2024 07:08:09 +0000",
        "Mon, 06 May 24 07:08:09 +0000",
        "Mon, 06 May 2024 07:08:09",
        "Mon, 06 May 2024 07:08:09 CEST",
        "Mon, 06 May 2024 07:08:09 EST",
        "Mon, 06 May 2024 07:08:60 +0000",
        "Mon, 31 Feb 2024 07:08:09 +0000",
        "Mon, 06 May 2024 07:08:09 +9999999999",
        "Mon, 06 May 2024 07:08:09 +0200 (a\n b)",
        "٢٠٢٤-05-06T07:08:09Z",
        5,
        True,
        1714979289.0,
        timedelta(1),
        b"2024-05-06T07:08:09Z",
    ],
)
def test_nothing_is_guessed(given: Any) -> None:
    with pytest.raises(SMTPError) as caught:
        date_value(given)
    text = str(caught.value)
    assert caught.value.code == "EMESSAGE"
    assert text.startswith("'date' takes a ")
    assert repr(given)[:40] in text
