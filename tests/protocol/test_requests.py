"""What an envelope may ask of a server: typed, and only where it is announced."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.requests import REQUESTS
from tests.support.desk import Desk

NOON = datetime(2030, 6, 1, 12, 0, 30, 999, timezone.utc)
UNTIL = "2030-06-01T12:00:30Z"
MOMENT = "a datetime with a time zone, or text such as '2030-12-31T23:59:59Z'"


@pytest.mark.parametrize(
    ("announced", "given", "parameter"),
    [
        ("DELIVERBY", {"deliverBy": 120}, "BY=120;R"),
        ("DELIVERBY", {"deliverBy": {"seconds": 999_999_999, "mode": "return"}}, "BY=999999999;R"),
        ("DELIVERBY", {"deliverBy": {"seconds": 1, "mode": "r", "trace": True}}, "BY=1;RT"),
        ("DELIVERBY", {"deliverBy": {"seconds": 0, "mode": "N"}}, "BY=0;N"),
        (
            "DELIVERBY 3600",
            {"deliverBy": {"seconds": -999_999_999, "mode": "notify", "trace": True}},
            "BY=-999999999;NT",
        ),
        ("DELIVERBY 120", {"deliverBy": 120}, "BY=120;R"),
        ("DELIVERBY soon", {"deliverBy": 1}, "BY=1;R"),
        ("MT-PRIORITY", {"mtPriority": 9}, "MT-PRIORITY=9"),
        ("MT-PRIORITY MIXER", {"mtPriority": -9}, "MT-PRIORITY=-9"),
        ("MT-PRIORITY", {"mtPriority": 0}, "MT-PRIORITY=0"),
        ("FUTURERELEASE", {"holdFor": 1}, "HOLDFOR=1"),
        ("FUTURERELEASE 86400 2031-01-01T00:00:00Z", {"holdFor": 86400}, "HOLDFOR=86400"),
        ("FUTURERELEASE", {"holdUntil": NOON}, "HOLDUNTIL=2030-06-01T12:00:30Z"),
        (
            "FUTURERELEASE 86400 2030-06-01T12:00:31Z",
            {"holdUntil": NOON.astimezone(timezone(timedelta(hours=-5)))},
            "HOLDUNTIL=2030-06-01T12:00:30Z",
        ),
        (
            "FUTURERELEASE x y",
            {"holdUntil": "2030-06-01t14:00:30+02:00"},
            "HOLDUNTIL=2030-06-01T12:00:30Z",
        ),
        ("AUTH PLAIN", {"auth": "e+mc2=@x.org"}, "AUTH=e+2Bmc2+3D@x.org"),
        ("AUTH", {"auth": ""}, "AUTH=<>"),
        ("AUTH", {"auth": "<>"}, "AUTH=<>"),
        ("AUTH", {"auth": " gr\u00fc\u00dfe@x.org "}, "AUTH=gr+C3+BC+C3+9Fe@x.org"),
    ],
)
def test_what_is_announced_may_be_asked_for(announced, given, parameter):
    assert Desk(announced).mail(**given) == f"MAIL FROM:<a@x.org> {parameter}"


def test_several_at_once():
    desk = Desk("MT-PRIORITY", "DELIVERBY", "SIZE", "DSN")
    mail = desk.mail(mtPriority=3, deliverBy=60, size=9, dsn={"ret": "HDRS"})
    assert mail == "MAIL FROM:<a@x.org> RET=HDRS BY=60;R MT-PRIORITY=3 SIZE=9"


def refused(announced, **given):
    """Return the text of the error that ``given`` leads to at a server that has ``announced``."""
    talk = Desk(*announced).send(**given)
    assert talk.said == []
    assert (talk.error.code, talk.error.command) == ("EENVELOPE", "MAIL FROM")
    assert talk.error.permanent
    return str(talk.error)


@pytest.mark.parametrize(
    ("given", "keyword"),
    [
        ({"deliverBy": 60}, "DELIVERBY (RFC 2852)"),
        ({"mtPriority": 1}, "MT-PRIORITY (RFC 6710)"),
        ({"holdFor": 60}, "FUTURERELEASE (RFC 4865)"),
        ({"holdUntil": NOON}, "FUTURERELEASE (RFC 4865)"),
        ({"auth": ""}, "AUTH (RFC 4954)"),
    ],
)
def test_what_is_not_announced_is_refused(given, keyword):
    assert refused(["X-DELIVERBY", "SIZE"], **given) == f"the server does not announce {keyword}"


@pytest.mark.parametrize(
    ("announced", "given", "text"),
    [
        (
            "DELIVERBY 120",
            {"deliverBy": 119},
            "'deliverBy' is 119 seconds, and the server needs at least 120",
        ),
        (
            "FUTURERELEASE 60 2031-01-01T00:00:00Z",
            {"holdFor": 61},
            "'holdFor' is 61 seconds, and the server holds a message for 60 at most",
        ),
        (
            "FUTURERELEASE 60 2030-06-01T12:00:29Z",
            {"holdUntil": NOON},
            f"'holdUntil' is {UNTIL}, and the server holds a message until 2030-06-01T12:00:29Z",
        ),
    ],
)
def test_more_than_is_announced_is_refused(announced, given, text):
    assert refused([announced], **given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"deliverBy": 0}, "envelope 'deliverBy' takes seconds from 1 to 999999999; got 0"),
        ({"deliverBy": 10**9}, "takes seconds from 1 to 999999999; got 1000000000"),
        ({"deliverBy": True}, "takes seconds from 1 to 999999999; got True"),
        ({"deliverBy": "60"}, "takes seconds from 1 to 999999999; got '60'"),
        ({"deliverBy": {}}, "takes seconds from 1 to 999999999; got None"),
        (
            {"deliverBy": {"seconds": -(10**9), "mode": "N"}},
            "takes seconds from -999999999 to 999999999; got -1000000000",
        ),
        (
            {"deliverBy": {"seconds": 1, "mode": "RN"}},
            "takes as 'mode' 'R' (return) or 'N' (notify); got 'RN'",
        ),
        ({"deliverBy": {"seconds": 1, "mode": 5}}, "takes as 'mode' 'R' (return) or 'N'"),
        ({"deliverBy": {"seconds": 1, "trace": 1}}, "takes as 'trace' True or False; got 1"),
        (
            {"deliverBy": {"second": 1}},
            "Invalid envelope 'deliverBy': unknown deliverBy key 'second'; did you mean 'seconds'?",
        ),
        ({"mtPriority": 10}, "envelope 'mtPriority' takes a number from -9 to 9; got 10"),
        ({"mtPriority": "high"}, "takes a number from -9 to 9; got 'high'"),
        ({"mtPriority": 1.5}, "takes a number from -9 to 9; got 1.5"),
        ({"holdFor": 0}, "envelope 'holdFor' takes seconds from 1 to 999999999; got 0"),
        ({"holdFor": 10**9}, "takes seconds from 1 to 999999999; got 1000000000"),
        ({"holdUntil": 5}, f"envelope 'holdUntil' takes {MOMENT}; got 5"),
        ({"holdUntil": NOON.replace(tzinfo=None)}, f"takes {MOMENT}; got datetime.datetime("),
        ({"holdUntil": "tomorrow"}, f"takes {MOMENT}; got 'tomorrow'"),
        ({"holdUntil": "2030-06-01T12:00:00"}, f"takes {MOMENT}; got '2030-06-01T12:00:00'"),
        (
            {"holdFor": 1, "holdUntil": NOON},
            "envelope 'holdFor' and 'holdUntil' exclude each other",
        ),
        (
            {"auth": "a@x.org\r\nRSET"},
            "envelope 'auth' takes an address without control characters; got 'a@x.org\\r\\nRSET'",
        ),
        ({"auth": 5}, "envelope 'auth' takes the address of who submits; got int"),
    ],
)
def test_a_bad_value_is_refused_by_name(given, text):
    with pytest.raises(SMTPError) as caught:
        Envelope.parse({"from": "a@x.org", "to": "b@x.org", **given})
    assert (caught.value.code, caught.value.command) == ("EENVELOPE", "API")
    assert text in str(caught.value)


def test_credentials_in_the_wrong_place_are_not_shown():
    with pytest.raises(SMTPError) as caught:
        Envelope.parse({"to": "b@x.org", "auth": {"user": "tim", "pass": "tanstaaf"}})
    assert str(caught.value) == "envelope 'auth' takes the address of who submits; got dict"


@pytest.mark.parametrize("name", REQUESTS)
def test_none_asks_for_nothing(name):
    assert Desk().mail(**{name: None}) == "MAIL FROM:<a@x.org>"
