"""All that a message may be, and what it is on the wire."""

from __future__ import annotations

import array
import ctypes
import io
import mmap
import os
import socket
import ssl
import tempfile
from email.message import EmailMessage

import pytest
import trustme
from pyee import EventEmitter

from smtp_connection import SMTPError
from smtp_connection.message.encoder import encode_whole
from smtp_connection.message.message import Message, own_envelope
from smtp_connection.message.sources import PIECE
from tests.support.helpers import Pull, failure_of, turn_until, wire_of

CONTENT = "Subject: grüße\r\n\r\n.\nlone CR\rend".encode()
WIRE = "Subject: grüße\r\n\r\n..\r\nlone CR\r\nend\r\n.\r\n".encode()

# Longer than any buffer on the way, and with a line break and a dot at every place of one.
LARGE = b"".join(b"%d\r\n.%s\n" % (number, b"x" * (number % 97)) for number in range(20_000))


class Reader:
    """An object with read(n) and nothing else; it gives ``pieces``, and what they end with."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read(self, size):
        assert size > 0
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


class Reader1(Reader):
    """An object whose read() would wait for ever, and whose read1() does not."""

    read1 = Reader.read

    def read(self, size):
        raise AssertionError("read() was called, in spite of read1()")


def in_pieces(content, size):
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.fixture
def tls_contexts():
    """The contexts of a server and of a client."""
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mx.example.com").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    return server_context, client_context


# -- what is there already ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        CONTENT,
        CONTENT.decode(),
        bytearray(CONTENT),
        memoryview(CONTENT),
        array.array("B", CONTENT),
        (ctypes.c_char * len(CONTENT))(*CONTENT),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_there_already_is_whole(reactor, message):
    pull = Pull(message, reactor)
    assert pull.message.whole
    pull.message.start(reactor, pytest.fail)
    assert pull.message.has_begun()
    assert pull.to_the_end() == WIRE
    assert pull.message.next_wire() is None
    assert not reactor.run_once(), "nothing had to be waited for"


def test_every_second_byte_of_a_memoryview(reactor):
    assert wire_of(memoryview(b"a-b-c-")[::2], reactor) == b"abc\r\n.\r\n"


def test_an_array_of_numbers_is_the_bytes_that_it_is_made_of(reactor):
    numbers = array.array("I", [0x30303030] * 2)
    assert wire_of(numbers, reactor) == b"00000000\r\n.\r\n"


@pytest.mark.parametrize("kind", [bytearray, lambda content: array.array("B", content)])
def test_what_the_caller_changes_afterwards_does_not_matter(reactor, kind):
    message = kind(b"first")
    pull = Pull(message, reactor)
    message[:] = kind(b"other")
    assert pull.to_the_end() == b"first\r\n.\r\n"


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(LARGE)])
def test_a_large_message_is_handed_out_in_pieces(reactor, size):
    message = Message(LARGE[:size], reactor)
    wires = []
    while not message.finished:
        wires.append(message.next_wire())
        assert len(wires[-1]) <= 2 * PIECE + 5
    assert b"".join(wires) == encode_whole(LARGE[:size])[0]
    assert message.size == sum(map(len, wires))
    assert message.next_wire() is None


# -- what is read ---------------------------------------------------------------------------------


def on_disk(mode, **options):
    file = tempfile.TemporaryFile(mode, **options)  # noqa: SIM115
    file.write(CONTENT if "b" in mode else CONTENT.decode())
    file.seek(0)
    return file


def in_pipe(buffering=-1, content=CONTENT):
    """Return the reading end of a pipe with ``content`` in it."""
    receiver, sender = os.pipe()
    os.write(sender, content)
    os.close(sender)
    return open(receiver, "rb", buffering=buffering)


def half_read_pipe():
    """Return a pipe whose reader has all that there is in its buffer already."""
    file = in_pipe(content=b"head" + CONTENT)
    assert file.read(4) == b"head"
    return file


def in_socket(**makefile):
    """Return a socket with the message in it, or a file that reads from it."""
    receiver, sender = socket.socketpair()
    sender.sendall(CONTENT)
    sender.close()
    if not makefile:
        return receiver
    with receiver:
        receiver.settimeout(makefile.pop("timeout", None))
        return receiver.makefile("rb", **makefile)


def mapped():
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        return mmap.mmap(file.fileno(), 0)


FILES = {
    "BytesIO": lambda: io.BytesIO(CONTENT),
    "StringIO": lambda: io.StringIO(CONTENT.decode(), newline=""),
    "binary file": lambda: on_disk("w+b"),
    "unbuffered file": lambda: on_disk("w+b", buffering=0),
    "text file": lambda: on_disk("w+", newline="", encoding="utf-8"),
    "latin-1 file": lambda: on_disk("w+", newline="", encoding="latin-1"),
    "pipe": in_pipe,
    "unbuffered pipe": lambda: in_pipe(buffering=0),
    "half-read pipe": half_read_pipe,
    "text of a pipe": lambda: io.TextIOWrapper(in_pipe(), "utf-8", newline=""),
    "socket": in_socket,
    "file of a socket": lambda: in_socket(buffering=-1),
    "file of a socket with a time-out": lambda: in_socket(buffering=-1, timeout=3600),
    "unbuffered file of a socket": lambda: in_socket(buffering=0),
    "mmap": mapped,
}


@pytest.fixture(params=FILES.values(), ids=FILES)
def file(request):
    with request.param() as file:
        yield file


def test_a_file_is_read_and_stays_open(reactor, file):
    assert wire_of(file, reactor) == WIRE
    assert not getattr(file, "closed", False)


def test_a_file_is_read_from_where_it_stands(reactor):
    with on_disk("w+b") as file:
        file.seek(CONTENT.index(b"\r\n") + 2)
        assert wire_of(file, reactor) == b"\r\n..\r\nlone CR\r\nend\r\n.\r\n"


@pytest.mark.parametrize(
    "message",
    [
        lambda: Reader(*in_pieces(CONTENT, 5)),
        lambda: Reader(*in_pieces(CONTENT.decode(), 1)),
        lambda: Reader(*in_pieces(CONTENT.decode(), 3), CONTENT[:0]),
        lambda: Reader(CONTENT[:20], bytearray(CONTENT[20:21]), memoryview(CONTENT[21:])),
        lambda: Reader1(*in_pieces(CONTENT, 7)),
        lambda: in_pieces(CONTENT, 1),
        lambda: tuple(in_pieces(CONTENT.decode(), 4)),
        lambda: (piece for piece in in_pieces(CONTENT, 3)),
        lambda: map(bytes, in_pieces(CONTENT, 3)),
        lambda: [CONTENT.decode()[:13], b"", CONTENT.decode()[13:].encode(), ""],
        lambda: dict.fromkeys([CONTENT]).keys(),
    ],
)
def test_pieces_of_every_kind_are_joined(reactor, message):
    assert wire_of(message(), reactor) == WIRE


@pytest.mark.parametrize(
    "message",
    [
        lambda: LARGE,
        lambda: io.BytesIO(LARGE),
        lambda: io.StringIO(LARGE.decode(), newline=""),
        lambda: in_pieces(LARGE, 11),
        lambda: Reader(*in_pieces(LARGE, 65_537)),
        lambda: in_pieces(LARGE, 2 * PIECE),
    ],
)
def test_no_cut_makes_a_difference(reactor, message):
    assert wire_of(message(), reactor) == encode_whole(LARGE)[0]


def test_what_tls_has_decrypted_already_is_read(reactor, serve, tls_contexts):
    """And no selector knows of it."""
    server_context, client_context = tls_contexts

    def script(peer):
        peer.start_tls(server_context)
        peer.send(b"head" + CONTENT)
        peer.expect_end()

    server = serve(script)
    sock = socket.create_connection((server.host, server.port))
    with client_context.wrap_socket(sock, server_hostname="mx.example.com") as tls:
        assert tls.recv(4) == b"head"
        with tls.makefile("rb", buffering=0) as file:
            pull = Pull(file, reactor)
            turn_until(reactor, lambda: pull.wire == WIRE.removesuffix(b"\r\n.\r\n"))
            pull.message.close()
        socket.socket.shutdown(tls, socket.SHUT_WR)
        reactor.run()


# -- emitters -------------------------------------------------------------------------------------


def test_an_emitter_is_listened_to_from_the_start(reactor):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)
    for piece in in_pieces(CONTENT, 9):
        emitter.emit("data", piece)
    emitter.emit("end")
    assert pull.to_the_end() == WIRE


# -- e-mail objects -------------------------------------------------------------------------------


def email():
    message = EmailMessage()
    message["From"] = "a@example.com"
    message["To"] = "b@example.com"
    message["Bcc"] = "secret@example.com"
    message["Subject"] = "hi"
    message.set_content("text\n.\n")
    return message


def test_an_email_object_is_sent_without_its_bcc(reactor):
    wire = wire_of(email(), reactor)
    assert b"Subject: hi\r\n" in wire
    assert wire.endswith(b"\r\n\r\ntext\r\n..\r\n.\r\n")
    assert b"secret" not in wire
    assert b"bcc" not in wire.lower()


def test_a_dict_is_composed(reactor):
    mail = {"from": "a@example.com", "to": "b@example.com", "bcc": "secret@example.com"}
    wire = wire_of({**mail, "text": "hello"}, reactor)
    assert b"From: a@example.com\r\n" in wire
    assert b"hello" in wire
    assert b"secret" not in wire


def test_the_envelope_is_in_the_headers(reactor):
    everybody = {"from": "a@example.com", "to": ["b@example.com", "secret@example.com"]}
    mail = {"from": "a@example.com", "to": "b@example.com", "bcc": "secret@example.com"}
    envelope, read = own_envelope(mail)
    assert envelope == everybody
    assert wire_of(read, reactor).startswith(b"From: a@example.com\r\nTo: b@example.com\r\n")
    message = email()
    envelope, read = own_envelope(message)
    assert envelope == everybody
    assert read is message


@pytest.mark.parametrize("message", [b"To: b@x.org\r\n\r\n", "To: b@x.org", None, ["x"]])
def test_only_what_has_headers_has_an_envelope(message):
    with pytest.raises(SMTPError) as caught:
        own_envelope(message)
    assert (caught.value.code, caught.value.command) == ("EENVELOPE", "API")
    assert str(caught.value) == (
        "No envelope: only a dict or an EmailMessage can be sent without one;"
        f" got {type(message).__name__}"
    )


# -- what is no message ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        b"",
        bytearray(),
        memoryview(b""),
        array.array("B"),
        (),
        [b"", ""],
        (piece for piece in ()),
        io.BytesIO(),
        io.StringIO(),
        Reader(),
        Reader(""),
    ],
    ids=lambda message: type(message).__name__,
)
def test_nothing_is_no_message(reactor, message):
    error = failure_of(message, reactor)
    assert (error.code, error.command) == ("EMESSAGE", "API")
    assert str(error) == "Empty message"


def test_an_empty_file_is_no_message(reactor):
    with open(os.devnull, "rb") as null, in_pipe(content=b"") as pipe:
        for file in (null, pipe):
            assert str(failure_of(file, reactor)) == "Empty message"


def test_an_emitter_of_nothing_is_no_message(reactor):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)
    emitter.emit("data", b"")
    emitter.emit("end")
    with pytest.raises(SMTPError, match="Empty message"):
        pull.to_the_end()


@pytest.mark.parametrize("message", [42, 1.5, True, object, len])
def test_what_cannot_be_read_is_no_message(reactor, message):
    error = failure_of(message, reactor)
    assert (error.code, error.command) == ("EMESSAGE", "API")
    assert str(error) == (
        "a message is a str, bytes, a file or other object with read(), an iterable of bytes or"
        " str, an emitter of 'data' and 'end', an EmailMessage or a dict;"
        f" got {message!r}"
    )


def test_a_lone_surrogate_cannot_be_sent(reactor):
    error = failure_of("Subject: \ud800", reactor)
    assert error.code == "EMESSAGE"
    assert str(error) == (
        "the message cannot be sent as UTF-8: 'utf-8' codec can't encode character '\\ud800'"
        " in position 9: surrogates not allowed"
    )
    assert isinstance(error.__cause__, UnicodeEncodeError)


@pytest.mark.parametrize("kind", [io.BytesIO, in_pipe, mapped])
def test_a_closed_file_is_an_error(reactor, kind):
    file = kind()
    file.close()
    error = failure_of(file, reactor)
    assert (error.code, error.command) == ("ESTREAM", "API")
    assert str(error) == f"the message is a closed file: {file!r}"


def test_a_closed_socket_is_an_error(reactor):
    sock = socket.socket()
    sock.close()
    assert failure_of(sock, reactor).code == "ESTREAM"
    assert not reactor.run_once(), "something is left on the reactor"


def test_a_released_memoryview_is_an_error(reactor):
    view = memoryview(b"content")
    view.release()
    error = failure_of(view, reactor)
    assert error.code == "ESTREAM"
    assert "released" in str(error)


# -- sources that fail ----------------------------------------------------------------------------


class Failing:
    """Fails with ``error`` as soon as anybody wants to iterate over it."""

    def __init__(self, error):
        self.error = error

    def __iter__(self):
        raise self.error


def failing_generator(error):
    yield b"Subject: hi\r\n"
    raise error


@pytest.mark.parametrize(
    "source",
    [
        Failing,
        failing_generator,
        lambda error: Reader(b"Subject: hi\r\n", error),
        lambda error: Reader(error),
    ],
)
@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (LookupError("the disk is gone"), "the disk is gone"),
        (ValueError(), "ValueError"),
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error"),
    ],
)
def test_a_source_that_fails(reactor, source, cause, reason):
    error = failure_of(source(cause), reactor)
    assert (error.code, error.command) == ("ESTREAM", "API")
    assert str(error) == f"The message source failed: {reason}"
    assert error.__cause__ is cause


def emitter_of(*pieces):
    """Return an emitter that emits ``pieces`` and its end as soon as it is resumed."""

    class Stream(EventEmitter):
        def pause(self):
            pass

        def resume(self):
            for piece in pieces:
                self.emit("data", piece)
            self.emit("end")

    return Stream()


@pytest.mark.parametrize("piece", [5, None, ["x"], 1.5])
@pytest.mark.parametrize("source", [lambda *pieces: pieces, Reader, emitter_of])
def test_pieces_are_bytes_or_str(reactor, source, piece):
    error = failure_of(source(b"ok", piece), reactor)
    assert error.code == "ESTREAM"
    assert str(error) == (
        f"The message source failed: a message consists of bytes or str; got {type(piece).__name__}"
    )


def test_a_lone_surrogate_in_a_piece(reactor):
    for source in (lambda piece: [piece], Reader, io.StringIO, emitter_of):
        error = failure_of(source("a\ud800"), reactor)
        assert error.code == "ESTREAM"
        assert isinstance(error.__cause__, UnicodeEncodeError)


def test_a_file_that_is_closed_half_way(reactor):
    with tempfile.TemporaryFile() as file:
        file.write(LARGE)
        file.seek(0)
        message = Message(file, reactor)
        message.start(reactor, pytest.fail)
        assert message.has_begun()
        assert message.next_wire()
    with pytest.raises(SMTPError) as caught:
        message.next_wire()
    assert caught.value.code == "ESTREAM"
    assert isinstance(caught.value.__cause__, ValueError)
