"""A message on the wire: CRLF everywhere, dots doubled, one end."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_connection.message.encoder import WireEncoder, encode_whole

contents = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\xff", b"\x85", b"\x0b", b"x" * 70]
    )
).map(b"".join)


def reference(data):
    """Return ``data`` on the wire, in the simplest words."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    if lines and not lines.endswith(b"\n"):
        lines += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", lines) + b".\r\n"


def in_pieces(data, places):
    """Encode ``data`` cut at ``places``."""
    encoder = WireEncoder()
    wire = b""
    for start, end in pairwise([0, *sorted(places), len(data)]):
        wire += encoder.encode(data[start:end])
        assert encoder.size == len(wire)
    wire += encoder.finish()
    assert encoder.size == len(wire)
    return wire


@given(contents)
def test_a_whole_message_is_what_the_reference_makes_of_it(data):
    assert encode_whole(data) == reference(data)


@given(contents, st.sets(st.integers(0, 40)))
@example(b"\r\r\n.\n\n.", {1, 2, 3, 4, 5, 6})
@example(b"a\r\n.", {2})
def test_no_cut_makes_a_difference(data, places):
    places = [place for place in places if place <= len(data)]
    assert in_pieces(data, places) == reference(data)
    assert in_pieces(data, range(1, len(data))) == reference(data)


@given(contents)
def test_nothing_but_the_end_looks_like_the_end(data):
    """A line break of another kind in front of a dot is how one message is smuggled into another
    (CVE-2023-51764 and its siblings)."""
    wire = encode_whole(data)
    assert not re.search(rb"[\r\n]", wire.replace(b"\r\n", b""))
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]


@given(contents)
def test_the_server_gets_back_what_was_sent(data):
    wire = encode_whole(data)
    received = re.sub(rb"(?m)^\.", b"", wire[:-3])
    assert received.replace(b"\r\n", b"\n") == re.sub(rb"(?<=[^\n])\Z", b"\n", without_cr(data))


def without_cr(data):
    return re.sub(rb"\r\n|\r", b"\n", data)


def test_a_message_that_needs_no_change_is_not_copied():
    """At 256 KiB a piece the copy would cost as much as all the rest."""
    data = b"no dots at line starts. CRLF only\r\n" * 100
    encoder = WireEncoder()
    assert encoder.encode(data) is data


@pytest.mark.parametrize(
    ("data", "end"),
    [(b"a", b"\r\n.\r\n"), (b"a\r\n", b".\r\n"), (b"a\n", b".\r\n"), (b"a\r", b"\r\n.\r\n")],
)
def test_the_last_line_gets_a_line_break_unless_it_has_one(data, end):
    encoder = WireEncoder()
    encoder.encode(data)
    assert encoder.finish() == end


@pytest.mark.parametrize("data", [b"", b"\r"])
def test_what_has_to_wait_gives_nothing_yet(data):
    encoder = WireEncoder()
    assert encoder.encode(data) == b""
    assert encoder.size == 0
