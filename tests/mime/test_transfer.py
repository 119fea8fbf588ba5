"""Transfer encodings: whatever the pieces, what is decoded is what was encoded."""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp_connection.mime.transfer import (
    Base64Encoder,
    Encoder,
    PlainEncoder,
    QuotedPrintableEncoder,
    RawEncoder,
    base64_size,
)

# Bytes among which line breaks, dots, blanks and what must be escaped are likely.
BYTES = st.binary() | st.text("\r\n. =\tax\xfc").map(lambda text: text.encode("latin-1"))
CUTS = st.lists(st.integers(0, 60), max_size=4)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def encoded(encoder: Encoder, parts: Sequence[bytes]) -> bytes:
    return b"".join([*map(encoder.encode, parts), encoder.finish()])


def crlf(data: bytes) -> bytes:
    return re.sub(rb"\r\n|\r|\n", b"\r\n", data)


def is_clean(lines: bytes) -> bool:
    return not re.search(rb"\r(?!\n)|(?<!\r)\n|(?m:^\.)", lines)


@given(BYTES, CUTS)
@settings(max_examples=400, deadline=None)
def test_base64_in_pieces_is_base64(data: bytes, cuts: list[int]) -> None:
    lines = encoded(Base64Encoder(), pieces(data, cuts))
    assert lines == base64.encodebytes(data).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    assert len(lines) == base64_size(len(data))
    assert is_clean(lines)


@pytest.mark.parametrize("size", [57 * 630 - 1, 57 * 630, 57 * 630 + 1, 57 * 1300 + 56])
@pytest.mark.parametrize("step", [1000, 57 * 630, 100_000])
def test_large_pieces_of_base64(size: int, step: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    lines = encoded(Base64Encoder(), [data[start : start + step] for start in range(0, size, step)])
    assert lines == base64.encodebytes(data).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    assert len(lines) == base64_size(size)


@given(BYTES, CUTS)
@settings(max_examples=400, deadline=None)
def test_text_in_base64_has_line_breaks_of_one_kind(data: bytes, cuts: list[int]) -> None:
    lines = encoded(Base64Encoder(is_text=True), pieces(data, cuts))
    assert base64.b64decode(lines) == crlf(data)


@given(BYTES, CUTS)
@settings(max_examples=600, deadline=None)
def test_quoted_printable_in_pieces_is_quoted_printable(data: bytes, cuts: list[int]) -> None:
    lines = encoded(QuotedPrintableEncoder(), pieces(data, cuts))
    assert quopri.decodestring(lines) == crlf(data)
    check_quoted(lines)


def check_quoted(lines: bytes) -> None:
    """RFC 2045 section 6.7: the characters, the blanks at line ends, and the length of lines."""
    for line in lines.split(b"\r\n"):
        assert re.fullmatch(rb"(?:[\t -<>-~]|=[0-9A-F]{2})*=?", line), line
        assert len(line) <= 76
        assert not line.endswith((b" ", b"\t"))


@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize("filling", [b"x", b"=", b"\xfc", b"x ", b"ab\xfc", b"\t.", b"x\r\n"])
def test_a_line_that_is_longer_than_memory_should_be(filling: bytes, is_text: bool) -> None:
    data = filling * 50_000
    for step in (1, 7, 1000, 16 * 1024, 60_000):
        if step == 1 and len(filling) > 1:
            continue
        encoder = QuotedPrintableEncoder(is_text=is_text)
        lines = b"".join(
            encoder.encode(data[start : start + step]) for start in range(0, len(data), step)
        )
        assert len(lines) > len(data) / 2, "it is not held back"
        lines += encoder.finish()
        check_quoted(lines)
        assert quopri.decodestring(lines) == data


def test_quoted_printable_takes_linear_time_for_a_line_in_small_pieces() -> None:
    encoder = QuotedPrintableEncoder()
    assert sum(len(encoder.encode(b"x")) for _ in range(300_000)) > 280_000


# -- without an encoding --------------------------------------------------------------------------


def plain(name: str = "7bit", *, is_text: bool = True, delimiter: bytes = b"") -> PlainEncoder:
    return PlainEncoder(name, is_text=is_text, delimiter=delimiter)


@given(st.text("\r\n. ax").map(str.encode), CUTS)
@settings(max_examples=400, deadline=None)
def test_plain_text_keeps_its_lines(data: bytes, cuts: list[int]) -> None:
    assert encoded(plain(), pieces(data, cuts)) == crlf(data)


@pytest.mark.parametrize(
    ("name", "settings", "data", "reason"),
    [
        ("7bit", {}, b"a\0", "7bit takes no octet 0"),
        ("7bit", {}, "ü".encode(), "7bit takes no octet 195"),
        ("8bit", {}, b"\xfc\0", "8bit takes no octet 0"),
        ("7bit", {}, b"x" * 999, "7bit takes lines of at most 998 octets"),
        ("8bit", {}, b"\xfc" * 999 + b"\r\n", "8bit takes lines of at most 998 octets"),
        ("7bit", {"is_text": False}, b"a\nb", "7bit takes no line break but CRLF"),
        ("7bit", {"is_text": False}, b"a\rb", "7bit takes no line break but CRLF"),
        ("7bit", {"delimiter": b"--=_1"}, b"a\n--=_1_2\n", "it contains the delimiter"),
        ("7bit", {"delimiter": b"--=_1"}, b"--=_1", "it contains the delimiter"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 4, 5000])
def test_what_cannot_go_without_an_encoding(
    name: str, settings: dict[str, Any], data: bytes, reason: str, step: int
) -> None:
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    with pytest.raises(ValueError, match=reason):
        encoded(plain(name, **settings), parts)


def test_what_can_go_without_an_encoding() -> None:
    for name, data in (("7bit", b"x" * 998), ("8bit", b"\xfc" * 998 + b"\r\n.\r\nx")):
        for is_text in (False, True):
            for step in (1, 500, 5000):
                parts = [data[start : start + step] for start in range(0, len(data), step)]
                assert encoded(plain(name, is_text=is_text), parts) == data
    assert encoded(plain(delimiter=b"--=_1"), [b"a --=_1\n--=_2"]) == b"a --=_1\r\n--=_2"


@given(BYTES, CUTS)
@settings(max_examples=300, deadline=None)
def test_what_is_finished_goes_as_it_is(data: bytes, cuts: list[int]) -> None:
    for delimiter in (b"", b"--=_12"):
        assert encoded(RawEncoder(delimiter), pieces(data, cuts)) == crlf(data)


@given(BYTES, CUTS)
@settings(max_examples=300, deadline=None)
def test_in_what_is_no_text_cr_and_lf_are_data(data: bytes, cuts: list[int]) -> None:
    lines = encoded(QuotedPrintableEncoder(is_text=False), pieces(data, cuts))
    assert quopri.decodestring(lines) == data
    check_quoted(lines)


@pytest.mark.parametrize("data", [b"--=_1", b"a\r\n--=_1_2", b"a\n--=_1", b"a\r--=_1--"])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_what_is_finished_does_not_end_its_part(data: bytes, step: int) -> None:
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    with pytest.raises(ValueError, match="delimiter"):
        encoded(RawEncoder(b"--=_1"), parts)
