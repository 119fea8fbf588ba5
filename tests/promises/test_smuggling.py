"""No input, however it is cut, puts an end into a message but the end (CVE-2023-51764 and others).

Servers disagree on what ends a message: a lone dot between line breaks, but which ones?  A CR or LF
on its own is a line break for some.  So none of these reaches the wire.
"""

from __future__ import annotations

import io
import itertools
import re
import select
import socket
from email.message import EmailMessage
from itertools import pairwise, product

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyee import EventEmitter

from smtp_connection.message import message as message_module
from smtp_connection.message import sources
from smtp_connection.message.encoder import WireEncoder, encode_whole
from smtp_connection.message.sources import PIECE
from tests.injected.peers import MailServer, undoubled
from tests.support.helpers import Pull, turn_until, wire_of

ALPHABET = (b"\r", b"\n", b".", b"a")


def check(wire, data):
    """Check that ``wire`` has no end but its end, no CR or LF alone, and means ``data``."""
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    assert undoubled(wire) == text


def in_pieces(pieces):
    encoder = WireEncoder()
    wire = b"".join([*map(encoder.encode, pieces), encoder.finish()])
    assert encoder.size == len(wire)
    return wire


def cut(data, places):
    places = sorted(place for place in places if place <= len(data))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]


# -- the encoder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(7))
def test_every_short_text_in_one_piece_and_in_two(length):
    for letters in product(ALPHABET, repeat=length):
        data = b"".join(letters)
        wire = encode_whole(data)
        check(wire, data)
        assert in_pieces([data]) == wire
        for place in range(length + 1):
            assert in_pieces([data[:place], data[place:]]) == wire, (data, place)


@pytest.mark.parametrize("length", range(6))
def test_every_shorter_text_in_every_cutting(length):
    places = range(1, length)
    for letters in product(ALPHABET, repeat=length):
        data = b"".join(letters)
        wire = encode_whole(data)
        for count in range(length):
            for chosen in itertools.combinations(places, count):
                assert in_pieces(cut(data, chosen)) == wire, (data, chosen)


contents = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\0", b"\x85", b"\r\n.\r\n"])
).map(b"".join)
places = st.lists(st.integers(0, 40), max_size=12)


@given(contents, places)
@example(b"\r\r\n.\n\n.", [1, 2, 3, 4, 5, 6])
@example(b"a\r\n.\r\nb", [1, 1, 2, 2, 3, 4, 5])
def test_longer_texts_in_any_cutting(data, places):
    wire = in_pieces(cut(data, places))
    check(wire, data)
    assert wire == encode_whole(data)


@given(st.text("\r\n.a\x85\u2028\u2029é\x0b\x0c\x1c"), places)
def test_no_line_break_of_unicode_becomes_one_of_smtp(text, places):
    wire = in_pieces(piece.encode() for piece in cut(text, places))
    check(wire, text.encode())


# -- the whole way of a message -------------------------------------------------------------------


def as_file(pieces):
    """An object whose ``read`` returns what there is, less than it is asked for."""

    class File:
        def __init__(self):
            self.rest = [piece for piece in pieces if piece]

        def read(self, size):
            return self.rest.pop(0) if self.rest else pieces[0][:0]

    return File()


def by_and_by(pieces, reactor):
    """An emitter that emits a piece a turn."""
    emitter = EventEmitter()
    rest = [*pieces]

    def emit():
        if rest:
            emitter.emit("data", rest.pop(0))
            reactor.call_soon(reactor.call_soon, emit)
        else:
            emitter.emit("end")

    reactor.call_soon(emit)
    return emitter


several = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@several
@given(contents.filter(bool), places, st.integers(1, 5), st.booleans())
def test_any_source_in_any_cutting(reactor, data, places, size, text):
    """Pieces of a few bytes, where there are 256 KiB otherwise."""
    whole = data.decode("latin-1") if text else data
    pieces = cut(whole, places)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PIECE", size)
        patch.setattr(sources, "_WORTH_SENDING", size)
        patch.setattr(message_module, "PIECE", size)
        wires = [
            wire_of(whole, reactor),
            wire_of(io.StringIO(whole) if text else io.BytesIO(whole), reactor),
            wire_of(iter(pieces), reactor),
            wire_of(by_and_by(pieces, reactor), reactor),
        ]
    check(wires[0], whole.encode() if text else data)
    assert wires == [wires[0]] * len(wires)


@settings(several, max_examples=25)
@given(contents.filter(bool), places)
def test_what_arrives_bit_by_bit(reactor, data, places):
    """From a file whose reads return less than they were asked for, and from a socket."""
    pieces = cut(data, places)
    wire = wire_of(as_file(pieces), reactor)
    check(wire, data)
    ours, theirs = socket.socketpair()
    with ours:
        pull = Pull(ours, reactor)
        with theirs:
            for piece in filter(None, pieces):
                theirs.sendall(piece)
                turn_until(reactor, lambda: not select.select([ours], [], [], 0)[0])
        assert pull.to_the_end() == wire


@pytest.mark.parametrize("before", range(4))
def test_the_edge_of_a_full_piece(reactor, before):
    """Everything that can lie across the place where a large message is cut."""
    for letters in product(ALPHABET, repeat=3):
        edge = b"".join(letters)
        data = b"x" * (PIECE - before) + edge + b"x"
        wire = wire_of(data, reactor)
        assert wire == encode_whole(data)
        check(wire[PIECE - 10 :], data[PIECE - 10 :])


# -- to a server ----------------------------------------------------------------------------------

BREAKS = ("\r\n", "\n", "\r", "\r\r\n", "\n\r", "\0\r\n", "\x85", "\u2028", "\x0b", "\x0c")
ENDS = [f"{before}.{after}" for before, after in product(BREAKS, repeat=2)]
SECOND = "MAIL FROM:<evil@x.org>\r\nRCPT TO:<victim@y.org>\r\nDATA\r\nSubject: two\r\n\r\nhi"
ENVELOPE = {"from": "a@x.org", "to": "b@y.org"}


def email_message(text):
    message = EmailMessage()
    message["Subject"] = "one"
    message.set_payload(text)
    message.set_charset("utf-8")
    return message


FORMS = {
    "str": str,
    "bytes": str.encode,
    "characters": list,
    "file": lambda text: io.BytesIO(text.encode()),
    "mail": lambda text: {"to": "b@y.org", "text": text},
    "attachment": lambda text: {
        "attachments": {"content": text.encode(), "contentType": "message/rfc822"}
    },
    "EmailMessage": email_message,
}


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_any_server_takes_for_an_end_smuggles_a_second_message(by_hand, form):
    server = MailServer(by_hand)
    for end in ENDS:
        text = f"Subject: one{end}{SECOND}{end}QUIT\r\n"
        said = server.hear(lambda c, done, text=text: c.send(ENVELOPE, FORMS[form](text), done))
        assert [line.partition(" ")[0] for line in said] == ["MAIL", "RCPT", "DATA"]
