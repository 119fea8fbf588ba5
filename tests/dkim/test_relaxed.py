"""The canonical form in which headers and bodies are signed."""

from __future__ import annotations

import base64
import hashlib
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection.dkim.relaxed import RelaxedBody, fields_of, relaxed_field


def body_hash(*pieces):
    body = RelaxedBody()
    for piece in pieces:
        body.update(piece)
    return body.digest()


def by_the_book(body):
    """RFC 6376 section 3.4.4, rule by rule."""
    body = re.sub(rb"[ \t]+(?=\r\n|\Z)", b"", body)
    body = re.sub(rb"[ \t]+", b" ", body)
    body = re.sub(rb"(\r\n)*\Z", b"", body)
    return hashlib.sha256(body + b"\r\n" if body else b"").digest()


# -- published ------------------------------------------------------------------------------------


def test_the_example_of_the_rfc():
    """RFC 6376 section 3.4.5."""
    fields = fields_of(b"A: X\r\nB : Y\t\r\n\tZ  \r\n")
    assert [relaxed_field(*field) for field in fields] == [b"a:X", b"b:Y Z"]
    given = b" C \r\nD \t E\r\n\r\n\r\n"
    assert body_hash(given) == hashlib.sha256(b" C\r\nD E\r\n").digest()


def test_an_empty_body():
    """RFC 6376 section 3.4.4, with what an erratum says of line breaks alone."""
    for pieces in ([], [b""], [b"\r\n"], [b" \t\r\n", b"\r\n"], [b"  "]):
        encoded = base64.b64encode(body_hash(*pieces))
        assert encoded == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


# -- any body, in any pieces ----------------------------------------------------------------------

TOKENS = st.sampled_from([b"a", b"b.", b" ", b"\t", b"\r\n", b"\r\n\r\n", b"  \r\n", b"\xff"])


@given(st.lists(TOKENS, max_size=60), st.data())
def test_the_cut_makes_no_difference(tokens, data):
    whole = b"".join(tokens)
    cuts = data.draw(st.lists(st.integers(0, len(tokens)), max_size=6).map(sorted))
    starts, ends = [0, *cuts], [*cuts, len(tokens)]
    pieces = [b"".join(tokens[a:b]) for a, b in zip(starts, ends, strict=True)]
    assert body_hash(*pieces) == body_hash(*tokens) == by_the_book(whole)


@pytest.mark.parametrize(
    ("piece", "relaxed"),
    [
        (b"\r\n" * 50_000, b"\r\n" * 50_000 * 51),
        (b" \t" * 50_000, b" "),
        (b"x" * 100_000, b"x" * 100_000 * 51),
    ],
    ids=["empty lines", "blanks", "text"],
)
def test_nothing_is_kept(piece, relaxed):
    body = RelaxedBody()
    body.update(piece)
    tracemalloc.start()
    for _ in range(50):
        body.update(piece)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * len(piece)
    body.update(b"end")
    assert body.digest() == hashlib.sha256(relaxed + b"end\r\n").digest()


# -- headers --------------------------------------------------------------------------------------


def test_the_fields_of_headers():
    headers = b"From: a@x.org\r\nSUBJECT:\r\n\tone\r\n two:three\r\nx-empty:\r\n"
    assert fields_of(headers) == [
        (b"from", b" a@x.org"),
        (b"subject", b"\r\n\tone\r\n two:three"),
        (b"x-empty", b""),
    ]
    assert relaxed_field(b"subject", b"\r\n\tone\r\n two:three ") == b"subject:one two:three"


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        (b"hello\r\n", "line 1 is 'hello'"),
        (b" folded: x\r\n", "line 1 is ' folded: x'"),
        (b"A: b\r\n c\r\nno field\r\n", "line 3 is 'no field'"),
        (b"A: b\r\n: nameless\r\n", "line 2 is ': nameless'"),
        (b"From a@x.org Mon\r\nA: b\r\n", "line 1 is 'From a@x.org Mon'"),
    ],
)
def test_what_is_no_field_is_refused(headers, place):
    with pytest.raises(ValueError, match="line") as caught:
        fields_of(headers)
    assert str(caught.value) == place


def test_long_headers_take_no_longer_than_they_must():
    value = b" " + b"word \t" * 200_000 + b"\r\n " * 50_000 + b"end"
    assert relaxed_field(b"a", value) == b"a:" + b"word " * 200_000 + b"end"
