"""What the server announced, read once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection import Capabilities
from smtp_connection.protocol.replies import ReplyParser
from tests.support.helpers import reply


def announced(*lines):
    """Return what ``lines`` announce."""
    lines = ["mx.example.com at your service", *lines]
    text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}"
    return Capabilities(reply(text))


def test_keywords_are_read_with_their_parameters():
    capabilities = announced("PIPELINING", "SIZE 1000", "X-Odd  one two ", "8BITMIME")
    assert dict(capabilities) == {
        "PIPELINING": "",
        "SIZE": "1000",
        "X-ODD": "one two",
        "8BITMIME": "",
    }
    assert len(capabilities) == 4
    assert capabilities.lines == ["PIPELINING", "SIZE 1000", "X-Odd  one two", "8BITMIME"]
    assert repr(capabilities) == f"Capabilities({dict(capabilities)!r})"


def test_the_greeting_announces_nothing():
    """Its text is the server's own: a host called 'STARTTLS' has not announced it."""
    assert dict(Capabilities(reply("250 STARTTLS"))) == {}
    assert dict(Capabilities(reply("250-PIPELINING\r\n250 SIZE"))) == {"SIZE": ""}


def test_without_a_reply_nothing_is_announced():
    capabilities = Capabilities()
    assert dict(capabilities) == {}
    assert (capabilities.auth, capabilities.size, capabilities.lines) == ((), None, [])
    assert not capabilities.pipelining


def test_keywords_are_found_in_any_case_and_only_whole():
    capabilities = announced("StartTLS", "X-PIPELINING")
    for keyword in ("STARTTLS", "starttls", "StartTls"):
        assert keyword in capabilities
        assert capabilities[keyword] == ""
    for keyword in ("START", "PIPELINING", "TLS", "", None, 250):
        assert keyword not in capabilities
    assert not capabilities.pipelining
    assert announced("Pipelining").pipelining
    assert capabilities.get("size") is None
    with pytest.raises(KeyError):
        capabilities["SIZE"]


def test_of_a_keyword_that_comes_twice_the_first_counts():
    assert announced("SIZE 10", "SIZE 20").size == 10


def test_lines_without_a_code_and_blank_ones_do_no_harm():
    parser = ReplyParser(1000)
    (odd,) = parser.feed(b"250-hello\r\nSTARTTLS\r\n250-\r\n250-  \r\n250 SIZE\r\n")
    assert Capabilities(odd).lines == ["STARTTLS", "SIZE"]


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        (["AUTH PLAIN LOGIN"], ("PLAIN", "LOGIN")),
        (["auth plain Cram-MD5"], ("PLAIN", "CRAM-MD5")),
        (["AUTH"], ()),
        (["AUTH "], ()),
        (["AUTH=LOGIN PLAIN"], ("LOGIN", "PLAIN")),
        (["AUTH PLAIN", "AUTH=PLAIN LOGIN"], ("PLAIN", "LOGIN")),
        (["AUTH PLAIN", "AUTH XOAUTH2 PLAIN"], ("PLAIN", "XOAUTH2")),
        (["XAUTH PLAIN", "AUTHX LOGIN"], ()),
        (["SIZE AUTH PLAIN"], ()),
    ],
)
def test_mechanisms(lines, mechanisms):
    capabilities = announced(*lines)
    assert capabilities.auth == mechanisms
    if "AUTH" in capabilities:
        assert capabilities["AUTH"] == " ".join(mechanisms)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("SIZE 1000", 1000),
        ("size 1000", 1000),
        ("SIZE 0001000", 1000),
        ("SIZE", None),
        ("SIZE 0", None),
        ("SIZE -1", None),
        ("SIZE 1e6", None),
        ("SIZE 10 20", None),
        ("SIZE \u0661\u0660", None),
        ("SIZE \u00b2", None),
        ("SIZE " + "9" * 19, 10**19 - 1),
        ("SIZE " + "9" * 20, None),
        ("PIPELINING", None),
    ],
)
def test_the_size_limit(line, size):
    assert announced(line).size == size


@pytest.mark.parametrize(
    ("line", "limits"),
    [
        ("LIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1", (20, 1, 5)),
        ("limits rcptmax=20", (20, 0, 0)),
        ("LIMITS MAILMAX=5 X-OTHER=7", (0, 0, 5)),
        ("LIMITS RCPTMAX=999999 RCPTDOMAINMAX=0", (999999, 0, 0)),
        ("LIMITS RCPTMAX=1000000", (0, 0, 0)),
        ("LIMITS RCPTMAX=-1 MAILMAX=x RCPTDOMAINMAX=", (0, 0, 0)),
        ("LIMITS RCPTMAX MAILMAX = 5", (0, 0, 0)),
        ("LIMITS RCPTMAX=\u0661", (0, 0, 0)),
        ("LIMITS", (0, 0, 0)),
        ("SIZE RCPTMAX=20", (0, 0, 0)),
    ],
)
def test_limits(line, limits):
    """RFC 9422."""
    capabilities = announced(line)
    found = (capabilities.rcpt_max, capabilities.rcpt_domain_max, capabilities.mail_max)
    assert found == limits


@given(st.binary())
def test_no_reply_is_too_odd(data):
    for each in ReplyParser(10_000).feed(b"250-hello\n250-" + data + b"\n250 AUTH\n"):
        capabilities = Capabilities(each)
        assert all(capabilities[keyword] == text for keyword, text in capabilities.items())
