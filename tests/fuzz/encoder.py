"""No message, in any cutting, has a CR or LF alone on the wire, or an end before its end, and the
server gets it back as it was, but for the kind of its line breaks."""

from __future__ import annotations

import re

from smtp_connection.message.encoder import WireEncoder, encode_whole

from .inputs import pieces


def check(data: bytes) -> None:
    """(The invariant stands above.)"""
    cut = pieces(data)
    whole = b"".join(cut)
    wire = encode_whole(whole)[0]
    assert not re.search(rb"[\r\n]", wire.replace(b"\r\n", b""))
    *lines, end, nothing = wire.split(b"\r\n")
    assert (end, nothing) == (b".", b"")
    assert b"." not in lines
    received = [line.removeprefix(b".") for line in lines]
    sent = re.split(rb"\r\n|\r|\n", whole)
    assert received == (sent if sent[-1] else sent[:-1])
    assert _encoded(cut) == wire
    assert _encoded([whole[at : at + 1] for at in range(len(whole))]) == wire


def _encoded(cut: list[bytes]) -> bytes:
    encoder = WireEncoder()
    wire = b""
    for piece in cut:
        wire += encoder.encode(piece)
        assert encoder.size == len(wire)
    wire += encoder.finish()
    assert encoder.size == len(wire)
    return wire
