"""Whatever bytes arrive, the parser finds the replies that the rules find in them, in any cutting,
and never keeps more of a reply than it may."""

from __future__ import annotations

import re

from smtp_connection.protocol.replies import Reply, ReplyParser, ReplyTooLong

from .inputs import pieces

_LIMIT = 32


def check(data: bytes) -> None:
    """(The invariant stands above.)"""
    cut = pieces(data)
    whole = b"".join(cut)
    bits = [whole[at : at + 1] for at in range(len(whole))]
    expected = _replies(whole)
    for cutting in (cut, [whole], bits):
        assert _parsed(cutting) == expected
    assert _parsed_in_little_room(cut) == _parsed_in_little_room(bits)


def _parsed(cutting: list[bytes]) -> tuple[list[tuple[int, str]], str]:
    parser = ReplyParser(1 << 20)
    found = []
    for piece in cutting:
        for reply in parser.feed(piece):
            assert 0 <= reply.code <= 999
            assert reply.positive == (200 <= reply.code <= 299)
            assert len(reply.lines) == reply.text.count("\n") + 1
            found.append((reply.code, reply.text))
    assert bool(parser.remainder) <= parser.incomplete
    return found, parser.remainder


def _parsed_in_little_room(cutting: list[bytes]) -> tuple[list[str], bool]:
    """Return the replies up to one that is too long, and whether there is one."""
    parser = ReplyParser(_LIMIT)
    found: list[Reply] = []
    overflow = False
    try:
        for piece in cutting:
            found += parser.feed(piece)
            assert len(parser.remainder) <= _LIMIT
    except ReplyTooLong as exc:
        found += exc.replies
        overflow = True
    return [reply.text for reply in found], overflow


def _replies(data: bytes) -> tuple[list[tuple[int, str]], str]:
    """The rules of RFC 5321 section 4.2 and of docs/differences.rst, as simple as can be."""
    *lines, tail = data.split(b"\n")
    found, waiting, codes = [], [], []
    for line in lines:
        if not line.strip():
            continue
        line = line.removesuffix(b"\r")
        number = re.match(rb"[0-9]{3}(?![0-9])", line)
        code = int(number.group()) if number else 0
        waiting.append(line)
        codes.append(code)
        if (code and line[3:4] != b"-") or (not code and len(waiting) == 1):
            found.append((max(codes), _text(waiting)))
            waiting, codes = [], []
    if tail:
        waiting.append(tail.strip())
    return found, _text(waiting)


def _text(lines: list[bytes]) -> str:
    joined = b"\n".join(lines)
    try:
        return joined.decode()
    except UnicodeDecodeError:
        return joined.decode("latin-1")
