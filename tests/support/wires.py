"""Messages on the wire: what they have to be, and texts that are made to break them."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise
from typing import AnyStr

from hypothesis import strategies as st

from tests.injected.peers import undoubled

# All that an end of a message is made of, and something else.
ALPHABET = (b"\r", b"\n", b".", b"a")

contents = st.lists(
    st.sampled_from(
        [
            *(b"\r", b"\n", b"\r\n", b".", b"..", b"\r\n.\r\n"),
            *(b"a", b"\0", b"\x0b", b"\x85", b"\xff", b"x" * 70),
        ]
    )
).map(b"".join)
places = st.lists(st.integers(0, 40), max_size=12)


def with_crlf(data: bytes) -> bytes:
    """Return ``data`` in whole lines that end with CRLF."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    return lines + b"\r\n" if lines and not lines.endswith(b"\n") else lines


def reference(data: bytes) -> bytes:
    """Return ``data`` on the wire, in the simplest way."""
    return re.sub(rb"(?m)^\.", b"..", with_crlf(data)) + b".\r\n"


def check_wire(wire: bytes, data: bytes) -> None:
    """Check that ``wire`` has no end but its end, no CR or LF alone, and means ``data``."""
    assert undoubled(wire) == with_crlf(data)


def cut(data: AnyStr, places: Collection[int]) -> list[AnyStr]:
    """Return ``data`` cut at those of ``places`` that are in it."""
    inside: list[int] = sorted(place for place in places if place <= len(data))
    return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]
