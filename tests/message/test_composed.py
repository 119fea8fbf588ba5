"""Composed messages are sent while they are composed: nothing is read before its turn, nobody waits
but who must, and whatever fails is named."""

from __future__ import annotations

import email
import io
import os
import re
import socket
import threading
import tracemalloc
from email.policy import default

import pytest
from pyee import EventEmitter

from smtp_connection import SMTPError
from smtp_connection.message.message import Message, own_envelope
from smtp_connection.mime.compose import compose
from tests.support.helpers import Pull, failure_of, open_files, turn_until, wire_of

MAIL = {"from": "a@x.org", "to": "b@y.org", "subject": "s", "date": "2024-05-06T07:08:09Z"}
LARGE = bytes(range(256)) * 1000


def undoubled(wire):
    assert wire.endswith(b"\r\n.\r\n")
    return re.sub(rb"(?m)^\.\.", b".", wire[:-3])


def attached(wire):
    """Return the contents of the attachments that a receiver finds."""
    message = email.message_from_bytes(undoubled(wire), policy=default)
    return [part.get_payload(decode=True) for part in message.iter_attachments()]


def with_files(*contents):
    return {**MAIL, "text": "hi", "attachments": [*contents]}


class Reader:
    """Has nothing but ``read()``, and gives ``pieces``."""

    def __init__(self, *pieces):
        self.pieces = [*pieces]

    def read(self, size):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


# -- what is there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "hello"},
        {"text": "line\n" * 30_000},
        {"html": "Grüße.\n." * 30_000},
        {"html": "日本語\n" * 30_000},
        {"text": "x\r" * 100_000},
        {"text": "a", "attachments": [{"content": b"x" * 10_000}] * 20},
        {"attachments": [{"content": LARGE}, {"content": b"."}, {"content": LARGE}]},
        {"attachments": {"content": "ü" * 100_000}},
        {"attachments": {"content": ".\r\n" * 100_000, "contentType": "message/rfc822"}},
        {"alternatives": {"content": LARGE, "contentType": "a/b"}},
    ],
)
def test_what_is_sent_is_what_is_composed(reactor, fields):
    composed = compose({**MAIL, **fields})
    built = composed.build()
    message = Message(composed, reactor)
    assert message.whole
    sizes = message.known_size(), message.wire_size()
    wire = wire_of(composed, reactor)
    assert undoubled(wire) == built if built.endswith(b"\n") else built + b"\r\n"
    assert sizes[0] == len(undoubled(wire))
    assert sizes[1] in (None, len(wire))


def test_a_large_message_comes_in_small_pieces(reactor):
    message = Message(compose(with_files({"content": LARGE * 10})), reactor)
    sizes = []
    while not message.finished:
        sizes.append(len(message.next_wire()))
    assert max(sizes) < 100_000
    assert len(sizes) > 60


def test_the_envelope_of_a_composed_message(reactor):
    composed = compose({**MAIL, "bcc": "c@y.org", "text": "hi"})
    envelope, message = own_envelope(composed)
    assert envelope == composed.envelope == {"from": "a@x.org", "to": ["b@y.org", "c@y.org"]}
    assert message is composed
    envelope["to"].clear()
    assert composed.envelope["to"]
    assert wire_of(message, reactor) == wire_of(composed, reactor)


# -- files ----------------------------------------------------------------------------------------


def test_a_file_is_opened_when_it_is_the_turn_of_the_message(reactor, tmp_path):
    path = tmp_path / "late.bin"
    mail = with_files({"path": path}, {"path": str(path)})
    Message(mail, reactor)
    path.write_bytes(LARGE)
    before = open_files()
    pull = Pull(mail, reactor)
    assert len(open_files() - before) == 2
    assert attached(pull.to_the_end()) == [LARGE, LARGE]
    assert open_files() == before


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing.bin", "No such file or directory"), ("", "Is a directory")],
)
def test_a_file_that_cannot_be_opened_is_named(reactor, tmp_path, name, why):
    (tmp_path / "there.bin").write_bytes(b"x")
    mail = with_files({"path": tmp_path / "there.bin"}, {"path": tmp_path / name})
    before = open_files()
    error = failure_of(mail, reactor)
    assert (error.code, error.command) == ("EMESSAGE", "API")
    assert str(error).startswith("'attachments[1]': cannot read the file '/")
    assert str(error).endswith(f": {why}")
    assert isinstance(error.__cause__, OSError)
    assert open_files() == before


def test_the_size_of_files_is_known(reactor, tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(LARGE)
    message = Message(with_files({"path": path}), reactor)
    assert not message.whole
    assert message.known_size() == len(undoubled(wire_of(with_files({"path": path}), reactor)))
    assert message.wire_size() is None
    assert Message(with_files({"path": path}, {"content": [b"x"]}), reactor).known_size() == 0
    assert Message({**MAIL, "text": {"path": path}}, reactor).known_size() == 0


def test_text_from_a_file_may_be_of_any_kind(reactor, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("Grüße\n.\r\n".encode())
    message = email.message_from_bytes(
        undoubled(wire_of({**MAIL, "text": {"path": path}}, reactor)), policy=default
    )
    assert message.get_content() == "Grüße\r\n.\r\n"
    path.write_bytes(b"\xfc")
    error = failure_of({**MAIL, "text": {"path": path}}, reactor)
    assert error.code == "ESTREAM"
    assert "'text' takes text that UTF-8 can express" in str(error)
    path.write_bytes(b"\xc3")  # half a character
    assert "'text' takes text" in str(failure_of({**MAIL, "text": {"path": path}}, reactor))


def test_memory_is_flat(reactor, tmp_path):
    path = tmp_path / "large.bin"
    with open(path, "wb") as file:
        file.truncate(20_000_000)
    message = Message(with_files({"path": path}), reactor)
    message.start(reactor, lambda: None)
    tracemalloc.start()
    try:
        while not message.finished:
            message.next_wire()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    message.close()
    assert message.size > 27_000_000


def test_messages_that_wait_hold_nothing(reactor):
    content = LARGE * 4
    tracemalloc.start()
    try:
        waiting = [Message(with_files({"content": content}), reactor) for _ in range(20)]
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
    assert all(message.whole for message in waiting)


# -- what has to be waited for --------------------------------------------------------------------


def test_a_fifo_is_waited_for_by_the_reactor(reactor, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    pull = Pull(with_files({"path": path, "filename": "f"}), reactor)
    for _ in range(3):
        reactor.run_once()
    assert pull.wire == b"", "no server waits for the first piece"
    with open(path, "wb", buffering=0) as sender:
        sender.write(b"first ")
        turn_until(reactor, lambda: pull.wire)
        for _ in range(3):
            reactor.run_once()
        sender.write(b"second")
    assert attached(pull.to_the_end()) == [b"first second"]


def test_a_slow_object_is_waited_for_by_a_thread(reactor):
    gate = threading.Event()

    class Slow(Reader):
        def read(self, size):
            gate.wait(10)
            return super().read(size)

    pull = Pull(with_files({"content": Slow(b"slow"), "filename": "f"}), reactor)
    calls = []
    reactor.call_soon(calls.append, "meanwhile")
    turn_until(reactor, lambda: calls)
    assert pull.wire == b""
    gate.set()
    assert attached(pull.to_the_end()) == [b"slow"]


def test_only_the_first_stream_is_waited_for_before_anything_is_said(reactor):
    receiver, sender = os.pipe()
    with open(receiver, "rb", buffering=0) as pipe:
        pull = Pull(with_files({"content": ["at", "once"]}, {"content": pipe}), reactor)
        turn_until(reactor, lambda: b"YXRvbmNl" in pull.wire)  # "atonce"
        os.write(sender, b"later")
        os.close(sender)
        assert attached(pull.to_the_end()) == [b"atonce", b"later"]


def test_a_socket_and_an_emitter(reactor):
    left, right = socket.socketpair()
    with left, right:
        emitter = EventEmitter()
        mail = with_files({"content": left}, {"content": emitter, "filename": "é.txt"})
        pull = Pull(mail, reactor)
        emitter.emit("data", "early ")  # it is listened to from the beginning
        right.sendall(b"socket")
        right.shutdown(socket.SHUT_WR)
        emitter.emit("data", b"late")
        emitter.emit("end")
        assert attached(pull.to_the_end()) == [b"socket", b"early late"]


@pytest.mark.parametrize(
    "content",
    [
        ["a", b"b"],
        (b"a", "b"),
        Reader(b"a", "b"),
        (piece for piece in ("a", b"b")),
        iter([bytearray(b"a"), memoryview(b"b")]),
        io.BytesIO(b"ab"),
        io.StringIO("ab"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_kinds_of_contents(reactor, content):
    assert attached(wire_of(with_files({"content": content}), reactor)) == [b"ab"]


def test_a_generator_runs_when_somebody_gets_the_message(reactor):
    happened = []

    def pieces():
        happened.append("begun")
        yield b"x"
        happened.append("ended")

    message = Message(with_files({"content": pieces()}), reactor)
    message.start(reactor, lambda: None)
    assert message.has_begun()
    assert happened == []
    while not message.finished:
        message.next_wire()
    assert happened == ["begun", "ended"]


# -- what fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Reader(b"x" * 1000, OSError(5, "Input/output error")), "Input/output error"),
        (Reader(b"x", RuntimeError()), "RuntimeError"),
        (Reader(5), "it consists of bytes or str; got int"),
        (iter([b"x", None]), "it consists of bytes or str; got NoneType"),
        (iter(["\ud800"]), "'utf-8' codec can't encode character"),
    ],
)
def test_a_content_that_fails_is_named_and_the_message_has_no_end(reactor, content, reason):
    mail = with_files({"content": "first"}, {"content": content})
    pull = Pull(mail, reactor)
    with pytest.raises(SMTPError) as caught:
        pull.to_the_end()
    error = caught.value
    assert error.code == "ESTREAM"
    text = "The message source failed: 'attachments[1].content' cannot be read: "
    assert str(error).startswith(text + reason)
    again = Pull(with_files({"content": Reader(RuntimeError("broken"))}), reactor)
    with pytest.raises(SMTPError, match="broken"):
        again.to_the_end()


def test_what_has_failed_does_not_come_to_an_end(reactor):
    message = Message(with_files({"content": iter([b"x", None])}), reactor)
    message.start(reactor, lambda: None)
    assert message.next_wire().startswith(b"From:")
    for _ in range(3):
        with pytest.raises(SMTPError, match="source failed"):
            message.next_wire()
        assert not message.finished


def test_text_is_not_taken_for_something_else(reactor):
    for given in (
        {"content": Reader("x"), "encoding": "base64"},
        {"content": Reader("x"), "contentType": "text/plain; charset=utf-16"},
    ):
        assert "it consists of bytes; got str" in str(failure_of(with_files(given), reactor))
    # A stream of bytes has no encoding; Node ignores it as well.
    assert attached(
        wire_of(with_files({"content": Reader(b"eA=="), "encoding": "base64"}), reactor)
    ) == [b"eA=="]


def test_a_stream_can_be_sent_only_once(reactor):
    composed = compose(with_files({"content": Reader(b"x")}))
    wire_of(composed, reactor)
    for again in (lambda: Message(composed, reactor), composed.build):
        with pytest.raises(SMTPError, match=r"'attachments\[0\].content' has been read already"):
            again()


def test_a_closed_file_is_an_error(reactor):
    file = io.BufferedReader(io.BytesIO())
    file.close()
    error = failure_of(with_files({"content": file}), reactor)
    assert error.code == "ESTREAM"
    assert str(error) == f"'attachments[0].content' is a closed file: {file!r}"
    memory = io.BytesIO()
    memory.close()
    error = failure_of(with_files({"content": memory}), reactor)
    assert (error.code, "'attachments[0].content'" in str(error)) == ("EMESSAGE", True)


def test_a_content_may_abandon_its_own_message(reactor):
    """By closing the connection, say."""

    def pieces():
        yield b"x" * 100_000
        pull.message.close()
        yield b"y" * 100_000

    pull = Pull(with_files({"content": pieces()}), reactor)
    reactor.run()
    assert pull.message.finished
    assert not pull.wire.endswith(b"\r\n.\r\n")


def test_what_is_abandoned_is_let_go(reactor, tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(LARGE)
    happened = []

    def pieces():
        try:
            while True:
                yield b"x" * 100_000
        finally:
            happened.append("closed")

    before = open_files()
    pull = Pull(with_files({"content": pieces()}, {"path": path}), reactor)
    turn_until(reactor, lambda: pull.message.has_begun())
    pull.message.next_wire()
    pull.message.next_wire()
    pull.message.close()
    assert happened == ["closed"]
    assert open_files() == before
