"""No input, however it is cut, puts an end into a message but the end (CVE-2023-51764 and others).

Servers disagree on what ends a message: a lone dot between line breaks, but which ones?  A CR or LF
on its own is a line break for some.  So none of these reaches the wire.  What the encoder makes of
every short text, and of any text in any cutting, is in tests/message/test_encoder.py.
"""

from __future__ import annotations

import io
import select
import socket
from email.message import EmailMessage
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyee import EventEmitter

from smtp_connection.message import message as message_module
from smtp_connection.message import sources
from smtp_connection.message.encoder import encode_whole
from smtp_connection.message.sources import PIECE
from tests.injected.peers import MailServer
from tests.support.helpers import Pull, turn_until, wire_of
from tests.support.wires import ALPHABET, check_wire, contents, cut, places

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


several = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


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
    check_wire(wires[0], whole.encode() if text else data)
    assert wires == [wires[0]] * len(wires)


@settings(several, max_examples=25)
@given(contents.filter(bool), places)
def test_what_arrives_bit_by_bit(reactor, data, places):
    """From a file whose reads return less than they were asked for, and from a socket."""
    pieces = cut(data, places)
    wire = wire_of(as_file(pieces), reactor)
    check_wire(wire, data)
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
        assert wire == encode_whole(data)[0]
        check_wire(wire[PIECE - 10 :], data[PIECE - 10 :])


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
