"""Large ``EmailMessage`` objects: what they hold is sent from where it is."""

from __future__ import annotations

import email
import itertools
import os
import tracemalloc
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smtp_connection.message.encoder import encode_whole, wire_size
from smtp_connection.message.message import Message
from smtp_connection.message.segmented import SegmentedSource
from smtp_connection.mime.compose import compose
from smtp_connection.mime.email_message import serialize
from tests.support.helpers import wire_of


@pytest.fixture(scope="module")
def large():
    """A message with an attachment of 12 MB."""
    message = EmailMessage()
    message["From"], message["To"] = "a@x.org", "b@y.org"
    message["Bcc"] = "c@y.org"
    message.set_content("Gr\u00fc\u00dfe\n")
    content = os.urandom(12_000_000)
    message.add_attachment(content, maintype="image", subtype="png", filename="p.png")
    message.set_boundary("=_fixed")
    return message, content


def test_all_of_it_arrives(reactor, large):
    message, content = large
    wire = wire_of(message, reactor)
    is_the_same = wire == encode_whole(serialize(message))[0]  # pytest would show it
    assert is_the_same
    received = email.message_from_bytes(wire.removesuffix(b".\r\n"), policy=default)
    (part,) = received.iter_attachments()
    has_arrived = part.get_payload(decode=True) == content
    assert has_arrived
    assert "Bcc" not in received


def test_what_is_known_of_it(reactor, large):
    message, _ = large
    source = Message(message, reactor)
    wire, size = encode_whole(serialize(message))
    assert (source.whole, source.lazy, source.is_international()) == (True, False, False)
    assert (source.known_size(), source.wire_size()) == (size, len(wire))
    again = source.again()
    is_the_same = wire_of(source, reactor) == wire_of(again, reactor) == wire
    assert is_the_same


@pytest.mark.parametrize("kind", ["message", "raw"])
def test_it_is_not_copied(reactor, large, kind):
    message, content = large
    given_message = message if kind == "message" else compose({"from": "a@x.org", "raw": message})
    wire_of("warm up", reactor)
    tracemalloc.start()
    source = Message(given_message, reactor)
    size = source.known_size()
    longest = 0
    while (piece := source.next_wire()) is not None:
        longest = max(longest, len(piece))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > len(content)
    assert longest < 100_000
    assert most < 1_000_000


def test_what_the_caller_does_to_it_afterwards_changes_nothing(reactor):
    message = EmailMessage()
    message["From"] = "a@x.org"
    message.set_content("x" * 70 + "\n", cte="7bit")
    message.set_payload("line\n" * 50_000)
    source = Message(message, reactor)
    before = serialize(message)
    message.set_payload("changed")
    del message["From"]
    assert wire_of(source, reactor) == encode_whole(before)[0]


SEGMENTS = st.lists(
    st.one_of(
        st.sampled_from([b"A: b\r\n\r\n", b"\r\n--b\r\n", b".\r\n"]),
        st.text("ab.\r\n\udcff", min_size=1),
    ),
    min_size=1,
)


@given(SEGMENTS)
def test_any_segments(segments):
    whole = b"".join(
        each if isinstance(each, bytes) else each.encode("ascii", "surrogateescape")
        for each in segments
    )
    # A CR at the end of one and an LF at the beginning of the next one are two line breaks or one:
    # no message has that, because what stands behind a payload begins with CRLF.
    assume(
        not any(one[-1:] == "\r" and two[:1] == "\n" for one, two in itertools.pairwise(segments))
    )
    source = SegmentedSource(segments)
    assert source.known_size() == encode_whole(whole)[1]
    assert source.wire_size() == wire_size(whole)
    pieces = []
    while (piece := source.next_piece()) is not None:
        pieces.append(piece)
    assert b"".join(pieces) == whole
