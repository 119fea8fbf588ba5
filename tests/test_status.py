"""What replies say in forms that programs can use."""

from __future__ import annotations

import pytest

from smtp_connection.status import retry_after, split_status


@pytest.mark.parametrize(
    ("text", "code", "rest"),
    [
        ("550 5.1.1 unknown", "5.1.1", "unknown"),
        ("250 2.1.5", "2.1.5", ""),
        ("450-4.2.1 later\n450 4.2.1 much", "4.2.1", "later\n450 4.2.1 much"),
        ("550 #5.1.0 Address rejected.", "5.1.0", "Address rejected."),
        ("554 5.7.999 policy", "5.7.999", "policy"),
        ("550 unknown", None, "unknown"),
        ("550", None, ""),
        ("250-one\n250 2.0.0 two", None, "one\n250 2.0.0 two"),
        ("550 5.1 unknown", None, "5.1 unknown"),
        ("550 5.1.1.1 unknown", None, "5.1.1.1 unknown"),
        ("550 3.1.1 no class", None, "3.1.1 no class"),
        ("550 5.1.1000 unknown", None, "5.1.1000 unknown"),
        ("550 10.5.1.1 is listed", None, "10.5.1.1 is listed"),
        ("550 \u0665.1.1 unknown", None, "\u0665.1.1 unknown"),
        ("what? 5.1.1", None, "what? 5.1.1"),
        ("", None, ""),
    ],
)
def test_enhanced_status_codes(text, code, rest):
    assert split_status(text) == (code, rest)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        # SQLgrey, Postgrey, milter-greylist, cPanel and others, in their own words.
        ("450 4.7.1 <b@x.org>: Recipient address rejected: Greylisted for 5 minutes", 300),
        ("450 4.2.0 Greylisted for 300 seconds (see http://x.org/)", 300),
        ("451 4.7.1 Greylisting in action, please come back in 00:04:59", 299),
        ("451 Greylisted, please try again in 900 seconds", 900),
        ("451 Greylisting, try again in 60 seconds", 60),
        ("451 4.2.0 Sender address rejected: Greylisted for 42 sec.", 42),
        ("451 gray-listed: retry after 1h", 3600),
        ("450 4.7.1 Please try again after 2 hours", 7200),
        ("451-You are too fast\n451 wait at least 10 mins", 600),
        ("450 retry in 05:00", 300),
        ("450 TRY AGAIN LATER, IN 3 HRS", 10800),
        ("450 try again (in 30s)", 30),
        # These name no time to wait.
        ("451 4.7.1 Try again later", None),
        ("450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/x.org.html", None),
        ("450 4.2.1 You sent too many mails in the last 10 minutes", None),
        ("452 4.5.3 try again with 100 recipients", None),
        ("421 4.7.0 try again later, limit of 100 messages in 60 minutes", None),
        ("450 try again in 5 moons", None),
        ("450 try again in 1234567 seconds", None),
        ("450 come back in 00:04:59:10", None),
        ("450 entry again in 5 minutesque", None),
        ("", None),
    ],
)
def test_when_to_try_again(text, seconds):
    assert retry_after(text) == (None if seconds is None else seconds * 1000)


@pytest.mark.parametrize("hostile", ["again " * 9, "wait,,,,", "retry in 11", "greylisted for "])
def test_a_long_text_costs_linear_time(hostile):
    """The test would not end within its time."""
    assert retry_after(f"450 {hostile * (1_000_000 // len(hostile))}") is None
