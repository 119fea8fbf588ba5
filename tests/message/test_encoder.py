"""A message on the wire: CRLF everywhere, dots doubled, one end."""

from __future__ import annotations

import itertools
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_connection.message import encoder as encoder_module
from smtp_connection.message.encoder import WireEncoder, encode_whole, size_to_declare, wire_size
from tests.support.wires import ALPHABET, check_wire, contents, cut, places, reference


def in_pieces(pieces):
    """Encode ``pieces`` one after the other."""
    encoder = WireEncoder()
    wire = b""
    for piece in pieces:
        wire += encoder.encode(piece)
        assert encoder.size == len(wire)
    wire += encoder.finish()
    assert encoder.size == len(wire)
    return wire


def size_by_lines(wire):
    """Return the size as SIZE counts it (RFC 1870 section 3), read from what is on the wire."""
    lines = [line.removeprefix(b".") for line in wire.split(b"\r\n")[:-2]]
    return sum(len(line) + 2 for line in lines)


# -- every cutting --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(7))
def test_every_short_text_in_one_piece_and_in_two(length):
    for letters in product(ALPHABET, repeat=length):
        data = b"".join(letters)
        wire, size = encode_whole(data)
        assert wire == reference(data)
        assert size == size_to_declare(data) == size_by_lines(wire)
        assert wire_size(data) == len(wire)
        check_wire(wire, data)
        assert in_pieces([data]) == wire
        for place in range(length + 1):
            assert in_pieces([data[:place], data[place:]]) == wire, (data, place)


@pytest.mark.parametrize("length", range(6))
def test_every_shorter_text_in_every_cutting(length):
    for letters in product(ALPHABET, repeat=length):
        data = b"".join(letters)
        wire = encode_whole(data)[0]
        for count in range(length):
            for chosen in itertools.combinations(range(1, length), count):
                assert in_pieces(cut(data, chosen)) == wire, (data, chosen)


@given(contents, places)
@example(b"\r\r\n.\n\n.", [1, 2, 3, 4, 5, 6])
@example(b"a\r\n.", [2])
@example(b"a\r\n.\r\nb", [1, 1, 2, 2, 3, 4, 5])
def test_longer_texts_in_any_cutting(data, places):
    wire = encode_whole(data)[0]
    assert wire == reference(data)
    check_wire(wire, data)
    assert in_pieces(cut(data, places)) == wire
    assert in_pieces(cut(data, range(1, len(data)))) == wire


@given(contents, st.integers(1, 5))
def test_the_size_to_declare_is_the_same_in_any_piece(data, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_module, "_PIECE", piece)
        assert size_to_declare(data) == encode_whole(data)[1]
        assert wire_size(data) == len(encode_whole(data)[0])


@given(st.text("\r\n.a\x85\u2028\u2029é\x0b\x0c\x1c"), places)
def test_no_line_break_of_unicode_becomes_one_of_smtp(text, places):
    wire = in_pieces(piece.encode() for piece in cut(text, places))
    check_wire(wire, text.encode())


# -- piece by piece -------------------------------------------------------------------------------


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
