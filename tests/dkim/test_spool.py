"""Where a message waits to be signed."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection.dkim import spool as spool_module
from smtp_connection.dkim.keys import signing_key
from smtp_connection.dkim.signer import DomainKey, Signer
from smtp_connection.dkim.spool import CannotSign, Spool, signed_pieces
from smtp_connection.message.encoder import WireEncoder
from smtp_connection.text import with_crlf
from tests.support.signatures import ED25519_PEM, is_verified

SIGNER = Signer([DomainKey("x.org", "ed", signing_key(ED25519_PEM))])
HEAD = b"From: a@x.org\r\nSubject: s\r\n"


def spooled(*pieces, **more):
    """What is read of a message that came in ``pieces``, and its spool."""
    spool = Spool(SIGNER, **more)
    for piece in pieces:
        spool.write(piece)
    spool.sign()
    found = []
    while piece := spool.read(1000):
        found.append(piece)
    spool.close()
    return b"".join(found), spool


def unsigned(message):
    """A signed message without its signature."""
    return HEAD + message.partition(HEAD)[2]


TOKENS = st.sampled_from([b"a", b".", b" ", b"\r", b"\n", b"\r\n", b"\n.", b"\n\n", b"\xff"])


@given(st.lists(TOKENS, max_size=30), st.integers(1, 9))
def test_any_message_in_any_pieces(tokens, size):
    message = HEAD + b"\r\n" + b"".join(tokens)
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    signed, spool = spooled(*pieces)
    lines = with_crlf(message)
    lines += b"" if lines.endswith(b"\n") else b"\r\n"
    assert unsigned(signed) == lines
    assert is_verified(signed)
    assert spool.size == len(signed)
    encoder = WireEncoder()
    wire = encoder.encode(signed) + encoder.finish()
    assert len(wire) == spool.size + spool.dotted + 3


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n", b"\r", b"\r\n\r\n"])
def test_headers_alone(end):
    signed, _ = spooled(HEAD.rstrip() + end)
    assert unsigned(signed).rstrip() == HEAD.rstrip()
    assert is_verified(signed)


def test_pieces_that_are_known_to_be_clean():
    spool = Spool(SIGNER)
    for piece in (HEAD + b"\r", b"\n", b"body", b"\r\n.\r", b"\n"):
        spool.write(piece, clean=True)
    spool.sign()
    assert unsigned(spool.read(1000)) == HEAD + b"\r\nbody\r\n.\r\n"
    assert spool.dotted == 1
    spool.close()


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"\r\nhello", "it begins with an empty line, so that it has no headers"),
        (b"\nFrom: a@x.org", "it begins with an empty line"),
        (b"hello", "it has to begin with its headers, one on each line, and line 1 is 'hello'"),
        (HEAD + b"oops\r\n\r\nhello", "line 3 is 'oops'"),
        (b"From: a\r\n" + b"X: " + b"x" * 1000, "its headers take more than 1,000 bytes"),
    ],
)
def test_what_cannot_be_signed(message, says, monkeypatch):
    monkeypatch.setattr(spool_module, "_LONGEST_HEAD", 1000)
    with pytest.raises(CannotSign) as caught:
        list(signed_pieces([message], Spool(SIGNER)))
    assert says in str(caught.value)


# -- where it is kept -----------------------------------------------------------------------------


@pytest.fixture
def files(monkeypatch):
    """The files that are opened on the disk, each with the folder it is in."""
    opened = []
    original = tempfile.TemporaryFile

    def note(*args, **more):
        file = original(*args, **more)
        opened.append((more.get("dir"), file))
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", note)
    return opened


def test_what_is_small_is_kept_in_memory(files):
    spooled(HEAD, b"\r\n" + b"x" * 10_000)
    assert files == []


def test_what_is_large_is_kept_on_the_disk(files, tmp_path):
    body = b"line\r\n" * 10_000
    signed, _ = spooled(HEAD + b"\r\n", body, body, folder=str(tmp_path), in_memory=50_000)
    assert unsigned(signed) == HEAD + b"\r\n" + body + body
    assert is_verified(signed)
    ((folder, file),) = files
    assert folder == str(tmp_path)
    assert file.closed
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_is_not_there(tmp_path):
    spool = Spool(SIGNER, folder=str(tmp_path / "missing"), in_memory=10)
    with pytest.raises(OSError, match="cannot be kept while it is signed: No such file"):
        spool.write(HEAD + b"\r\n" + b"x" * 100)
    spool.close()


def test_a_generator_that_is_given_up_leaves_nothing_open(files):
    pieces = signed_pieces([HEAD + b"\r\n", b"x" * 200_000], Spool(SIGNER, in_memory=1))
    next(pieces)
    pieces.close()
    ((_, file),) = files
    assert file.closed


def test_a_source_that_fails_leaves_nothing_open(files):
    def fail():
        yield HEAD + b"\r\n" + b"x" * 100
        raise LookupError("gone")

    with pytest.raises(LookupError):
        list(signed_pieces(fail(), Spool(SIGNER, in_memory=1)))
    ((_, file),) = files
    assert file.closed
