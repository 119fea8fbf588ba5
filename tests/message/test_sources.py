"""Sources are read no faster than the message is sent, never block the reactor, and are let go."""

from __future__ import annotations

import io
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import zipfile

import pytest
from pyee import EventEmitter

from smtp_connection.message.sources import (
    PIECE,
    EmitterSource,
    FileSource,
    IterableSource,
    PipeSource,
    Source,
    ThreadSource,
    WholeSource,
    as_bytes,
    file_source,
)
from tests.support.helpers import Pull, turn_until, wire_of


def pulled(pull):
    """Return what has come so far, the end not included."""
    return pull.wire.removesuffix(b"\r\n.\r\n")


def until(pull, reactor, content):
    turn_until(reactor, lambda: pulled(pull) == content)


@pytest.fixture
def pipe():
    """The two ends of a pipe, as descriptors; what the test leaves open is closed."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


@pytest.fixture
def sockets():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


# -- which source it is ---------------------------------------------------------------------------


def test_files_on_disk_and_in_memory_are_read_at_once(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(b"content")
    for options in ({"mode": "rb"}, {"mode": "r"}, {"mode": "rb", "buffering": 0}):
        with open(path, **options) as file:
            assert type(file_source(file)) is FileSource
    for file in (io.BytesIO(), io.StringIO()):
        assert type(file_source(file)) is FileSource


def test_pipes_and_sockets_are_left_to_the_selector(pipe, sockets):
    with (
        open(os.dup(pipe[0]), "rb") as buffered,
        open(os.dup(pipe[0]), "rb", buffering=0) as raw,
        sockets[0].makefile("rb") as buffered_socket,
        sockets[0].makefile("rb", buffering=0) as raw_socket,
        subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process,
    ):
        for file in (buffered, raw, buffered_socket, raw_socket, process.stdout):
            assert type(file_source(file)) is PipeSource


def test_whatever_has_a_buffer_of_its_own_is_read_on_a_thread(pipe, sockets, tmp_path):
    """That the descriptor is readable tells nothing about it then."""

    class Own(io.FileIO):
        pass

    class OwnReader(io.BufferedReader):
        pass

    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("message", "content")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = context.wrap_socket(
        sockets[0], server_hostname="mx.example.com", do_handshake_on_connect=False
    )
    with (
        open(os.dup(pipe[0])) as text,
        Own(os.dup(pipe[0])) as own,
        OwnReader(io.FileIO(os.dup(pipe[0]))) as own_reader,
        tls,
        tls.makefile("rb") as tls_file,
        tls.makefile("rb", buffering=0) as raw_tls_file,
        sockets[1].makefile("rwb") as both_ways,
        zipfile.ZipFile(tmp_path / "archive") as archive,
        archive.open("message") as member,
    ):
        for file in (text, own, own_reader, tls, tls_file, raw_tls_file, both_ways, member):
            assert type(file_source(file)) is ThreadSource


@pytest.mark.parametrize("answer", [None, "3", -1, 10**6])
def test_a_descriptor_that_is_none_is_no_matter(answer):
    class Odd:
        def read(self, size):
            return b""

        def fileno(self):
            return answer

    assert type(file_source(Odd())) is ThreadSource


def test_pieces_become_bytes():
    for piece in (b"a", "a", bytearray(b"a"), memoryview(b"a")):
        assert as_bytes(piece) == b"a"
        assert type(as_bytes(piece)) is bytes
    with pytest.raises(TypeError, match="bytes or str; got int"):
        as_bytes(5)


def test_what_is_there_is_handed_out_in_pieces():
    source = WholeSource(b"x" * PIECE + b"rest")
    assert [source.next_piece() for _ in range(4)] == [b"x" * PIECE, b"rest", None, None]


def test_a_source_has_to_say_what_comes_next():
    source = Source()
    source.close()
    with pytest.raises(NotImplementedError):
        source.next_piece()


# -- iterables ------------------------------------------------------------------------------------


def test_small_pieces_are_collected_and_no_more_of_them_than_needed():
    taken = []

    def pieces():
        for number in range(1000):
            taken.append(number)
            yield b"x" * 1000

    source = IterableSource(pieces())
    assert taken == []
    assert len(source.next_piece()) == 33_000
    assert len(taken) == 33
    source.close()
    assert source.next_piece() is None
    assert len(taken) == 33


def test_a_generator_is_closed_when_the_message_is_abandoned(reactor):
    happened = []

    def pieces():
        try:
            while True:
                yield b"x" * PIECE
        finally:
            happened.append("closed")

    pull = Pull(pieces(), reactor)
    assert pull.message.has_begun()
    pull.message.close()
    assert happened == ["closed"]
    reactor.run()


def test_a_generator_that_does_not_like_to_be_closed_does_no_harm(reactor):
    def pieces():
        try:
            yield b"x" * PIECE
        finally:
            raise LookupError("while cleaning up")

    pull = Pull(pieces(), reactor)
    assert pull.message.has_begun()
    pull.message.close()
    reactor.run()


def test_a_generator_may_abandon_its_own_message(reactor):
    """By closing the connection, say."""

    def pieces():
        yield b"x" * PIECE
        pull.message.close()
        yield b"y" * PIECE

    pull = Pull(pieces(), reactor)
    reactor.run()
    assert pull.message.finished


def test_an_iterator_that_can_be_closed_is_the_caller_s():
    class Rows:
        closed = False
        rows = 3

        def __iter__(self):
            return self

        def __next__(self):
            return b"row\n"

        def close(self):
            Rows.closed = True

    source = IterableSource(Rows())
    assert source.next_piece()
    source.close()
    assert not Rows.closed


# -- files ----------------------------------------------------------------------------------------


def test_a_file_is_read_piece_by_piece():
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * (2 * PIECE + 5))
        file.seek(0)
        source = FileSource(file)
        assert [len(source.next_piece()) for _ in range(3)] == [PIECE, PIECE, 5]
        assert source.next_piece() is None


# -- on a thread ----------------------------------------------------------------------------------


class Slow:
    """Gives a piece each time it is told to; notes who asks for it, and how often."""

    def __init__(self):
        self.reads = []
        self.gate = threading.Semaphore(0)

    def read(self, size):
        self.reads.append(threading.get_ident())
        self.gate.acquire()
        return b"piece %d\n" % len(self.reads) if len(self.reads) < 4 else b""


@pytest.fixture
def slow():
    slow = Slow()
    yield slow
    slow.gate.release(10)


def test_a_slow_source_does_not_hold_up_the_reactor(reactor, slow):
    pull = Pull(slow, reactor)
    calls = []
    reactor.call_soon(calls.append, "meanwhile")
    turn_until(reactor, lambda: calls)
    assert pull.wire == b""
    slow.gate.release()
    until(pull, reactor, b"piece 1\r\n")
    slow.gate.release(3)
    assert pull.to_the_end() == b"piece 1\r\npiece 2\r\npiece 3\r\n.\r\n"
    assert threading.get_ident() not in slow.reads


def test_no_more_than_one_piece_is_read_ahead(reactor, slow):
    slow.gate.release(10)
    source = file_source(slow)
    woken = []
    source.start(reactor, lambda: woken.append(len(slow.reads)))
    assert source.next_piece() == b""
    turn_until(reactor, lambda: woken)
    assert not reactor.run_once()
    assert woken == [1]
    assert source.next_piece() == b"piece 1\n"
    assert source.next_piece() == b""
    turn_until(reactor, lambda: len(woken) == 2)
    assert woken == [1, 2]
    source.close()


def test_the_end_is_told_again(reactor):
    source = ThreadSource(io.BytesIO())
    woken = []
    source.start(reactor, lambda: woken.append("woken"))
    reactor.run()
    assert woken == ["woken"]
    assert [source.next_piece(), source.next_piece()] == [None, None]
    assert not reactor.run_once(), "it was not read again"


def test_an_abandoned_read_is_not_waited_for(reactor, slow):
    pull = Pull(slow, reactor)
    turn_until(reactor, lambda: slow.reads)
    pull.message.close()
    pull.message.close()
    reactor.run()
    assert pull.wire == b""


# -- pipes and sockets ----------------------------------------------------------------------------


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_pipe_is_read_when_something_comes(reactor, pipe, buffering):
    receiver, sender = pipe
    with open(receiver, "rb", buffering=buffering) as file:
        pull = Pull(file, reactor)
        for _ in range(3):
            reactor.run_once()
        assert pull.wire == b""
        os.write(sender, b"first\n")
        until(pull, reactor, b"first\r\n")
        os.write(sender, b"second\n")
        until(pull, reactor, b"first\r\nsecond\r\n")
        assert os.get_blocking(file.fileno())
        os.close(sender)
        assert pull.to_the_end() == b"first\r\nsecond\r\n.\r\n"


def test_bytes_in_a_reader_s_buffer_do_not_wait_for_the_pipe(reactor, pipe):
    receiver, sender = pipe
    with open(receiver, "rb") as file:
        os.write(sender, b"head\nfirst\n")
        assert file.readline() == b"head\n"
        pull = Pull(file, reactor)
        until(pull, reactor, b"first\r\n")
        pull.message.close()
        reactor.run()


@pytest.mark.parametrize("timeout", [None, 3600, 0])
@pytest.mark.parametrize("kind", ["socket", "file", "unbuffered file"])
def test_a_socket_is_read_when_something_comes(reactor, sockets, kind, timeout):
    """Its own time-out is not waited for, and stays as it is."""
    receiver, sender = sockets
    source = receiver
    if kind != "socket":
        source = receiver.makefile("rb", buffering=0 if kind == "unbuffered file" else -1)
    receiver.settimeout(timeout)
    pull = Pull(source, reactor)
    for _ in range(3):
        reactor.run_once()
    sender.sendall(b"first\n")
    until(pull, reactor, b"first\r\n")
    assert receiver.gettimeout() == timeout
    sender.close()
    assert pull.to_the_end() == b"first\r\n.\r\n"
    if source is not receiver:
        source.close()


def test_a_pipe_is_not_watched_while_nobody_wants_more(reactor, pipe):
    """A selector would report it again and again."""
    receiver, sender = pipe
    with open(receiver, "rb") as file:
        source = file_source(file)
        woken = []
        source.start(reactor, lambda: woken.append("woken"))
        assert source.next_piece() == b""
        os.write(sender, b"content")
        reactor.run()
        assert woken == ["woken"]
        assert source.next_piece() == b"content"
        assert not reactor.run_once()
        assert source.next_piece() == b""
        assert reactor.run_once()
        source.close()
        assert not reactor.run_once()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_false_alarm_is_no_end(reactor, pipe, sockets, kind):
    """Somebody else has been faster."""
    receiver = sockets[0]
    receiver.setblocking(False)
    os.set_blocking(pipe[0], False)
    with open(os.dup(pipe[0]), "rb", buffering=0) as raw:
        source = file_source(raw) if kind == "pipe" else PipeSource(receiver, receiver.recv)
        source.start(reactor, lambda: None)
        source._readable()
        assert source.next_piece() == b""
        assert reactor.run_once(), "it is watched again"
        source.close()


def test_a_device_that_is_always_ready_needs_no_selector(reactor):
    """epoll refuses to watch it."""
    with open("/dev/zero", "rb") as file:
        source = file_source(file)
        assert type(source) is PipeSource
        source.start(reactor, pytest.fail)
        for _ in range(3):
            assert set(source.next_piece()) == {0}
        source.close()


# -- emitters -------------------------------------------------------------------------------------


class Stream(EventEmitter):
    """A Node-style stream that can be paused."""

    def __init__(self):
        super().__init__()
        self.flow = []

    def pause(self):
        self.flow.append("pause")

    def resume(self):
        self.flow.append("resume")


class Bare:
    """An emitter with on() and nothing else."""

    def __init__(self):
        self.listeners = {}

    def on(self, event, listener):
        self.listeners[event] = listener

    def emit(self, event, *args):
        self.listeners[event](*args)


@pytest.mark.parametrize("kind", [EventEmitter, Stream, Bare])
def test_what_an_emitter_emits_is_the_message(reactor, kind):
    emitter = kind()
    pull = Pull(emitter, reactor)
    emitter.emit("data", b"before the start\n")
    until(pull, reactor, b"before the start\r\n")
    emitter.emit("data", "text\n")
    emitter.emit("data", b"")
    until(pull, reactor, b"before the start\r\ntext\r\n")
    emitter.emit("data", b"the end")
    emitter.emit("end")
    emitter.emit("data", b"too late")
    emitter.emit("close")
    emitter.emit("error", LookupError("too late"))
    assert pull.to_the_end() == b"before the start\r\ntext\r\nthe end\r\n.\r\n"


def test_an_emitter_is_paused_until_its_turn_and_when_it_runs_ahead(reactor):
    emitter = Stream()
    source = EmitterSource(emitter, reactor)
    assert emitter.flow == ["pause"]
    source.start(reactor, lambda: None)
    assert emitter.flow == ["pause", "resume"]
    emitter.emit("data", b"x" * (PIECE - 1))
    assert emitter.flow == ["pause", "resume"]
    emitter.emit("data", b"x")
    emitter.emit("data", b"in spite of the pause")
    assert emitter.flow == ["pause", "resume", "pause"]
    assert source.next_piece() == b"x" * PIECE + b"in spite of the pause"
    assert emitter.flow == ["pause", "resume", "pause"], "not from inside the call"
    reactor.run()
    assert emitter.flow == ["pause", "resume", "pause", "resume"]
    emitter.emit("data", b"x" * (PIECE - 1))
    assert len(emitter.flow) == 4
    assert source.next_piece() == b"x" * (PIECE - 1)
    assert source.next_piece() == b""
    source.close()
    reactor.run()


def test_an_emitter_that_has_ended_is_not_resumed(reactor):
    emitter = Stream()
    source = EmitterSource(emitter, reactor)
    source.start(reactor, lambda: None)
    emitter.emit("data", b"x" * PIECE)
    emitter.emit("end")
    assert source.next_piece() == b"x" * PIECE
    assert source.next_piece() is None
    reactor.run()
    assert emitter.flow == ["pause", "resume", "pause"]
    source.close()


def test_an_emitter_that_emits_as_soon_as_it_is_resumed(reactor):
    class Eager(Stream):
        def resume(self):
            if len(self.flow) < 3:
                self.flow.append("resume")
                self.emit("data", b"x" * PIECE)
            else:
                self.emit("end")

    assert len(wire_of(Eager(), reactor)) == PIECE + 5


@pytest.mark.parametrize("other_thread", [False, True])
def test_what_is_raised_while_an_emitter_emits_leaves_no_hole_in_the_message(reactor, other_thread):
    class Fragile(Stream):
        def pause(self):
            super().pause()
            if len(self.flow) > 1:
                raise KeyboardInterrupt

    emitter = Fragile()
    source = EmitterSource(emitter, reactor)
    source.start(reactor, lambda: None)
    if other_thread:
        thread = threading.Thread(target=emitter.emit, args=("data", b"x" * PIECE))
        thread.start()
        thread.join()
    with pytest.raises(KeyboardInterrupt):
        reactor.run() if other_thread else emitter.emit("data", b"x" * PIECE)
    emitter.emit("data", b"more")
    emitter.emit("end")
    reactor.run()
    with pytest.raises(RuntimeError, match="KeyboardInterrupt was raised in the middle of it"):
        source.next_piece()
    source.close()


def test_an_emitter_that_cannot_be_paused_is_let_go_of(reactor):
    class Restless(Stream):
        def pause(self):
            raise RuntimeError("never")

    emitter = Restless()
    with pytest.raises(RuntimeError, match="never"):
        EmitterSource(emitter, reactor)
    assert not [event for event in ("data", "end", "error") if emitter.listeners(event)]


def test_an_emitter_that_cannot_be_resumed_is_waited_for_no_longer(reactor):
    class Stuck(Stream):
        def resume(self):
            super().resume()
            if self.flow.count("resume") > 1:
                raise RuntimeError("never")

    emitter = Stuck()
    source = EmitterSource(emitter, reactor)
    source.start(reactor, lambda: None)
    emitter.emit("data", b"x" * PIECE)
    assert source.next_piece() == b"x" * PIECE
    with pytest.raises(RuntimeError, match="never"):
        reactor.run()
    with pytest.raises(RuntimeError, match="RuntimeError was raised in the middle of it"):
        source.next_piece()
    source.close()


def test_an_emitter_may_emit_from_another_thread(reactor):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)

    def emit():
        for number in range(100):
            emitter.emit("data", b"%d\n" % number)
        emitter.emit("end")

    thread = threading.Thread(target=emit)
    thread.start()
    expected = b"".join(b"%d\r\n" % number for number in range(100))
    assert pull.to_the_end() == expected + b".\r\n"
    thread.join()


@pytest.mark.parametrize(("event", "args"), [("data", (b"content",)), ("end", ()), ("error", ())])
def test_what_another_thread_emits_is_handed_over_to_the_reactor_s(reactor, event, args):
    """Nothing is changed while the reactor's thread may be looking at it."""
    emitter = EventEmitter()
    source = EmitterSource(emitter, reactor)
    before = (list(source._pieces), source._ended, source._error)
    thread = threading.Thread(target=emitter.emit, args=(event, *args))
    thread.start()
    thread.join()
    assert (list(source._pieces), source._ended, source._error) == before
    reactor.run()
    assert (list(source._pieces), source._ended, source._error) != before
    source.close()


def test_a_stream_that_is_closed_before_its_end_is_not_complete(reactor):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)
    emitter.emit("data", b"half of it")
    emitter.emit("close")
    emitter.emit("end")
    error = failing(pull)
    assert str(error) == "The message source failed: the stream was closed before its end"
    assert isinstance(error.__cause__, ConnectionError)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((LookupError("the disk is gone"),), "the disk is gone"),
        (("the disk is gone",), "the disk is gone"),
        ((LookupError("the disk is gone"), "more"), "the disk is gone"),
        ((), "None"),
    ],
)
def test_the_error_of_a_stream(reactor, args, reason):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)
    emitter.emit("data", b"half of it")
    emitter.emit("error", *args)
    emitter.emit("error", LookupError("only the first counts"))
    emitter.emit("data", b"more")
    error = failing(pull)
    assert error.code == "ESTREAM"
    assert str(error) == f"The message source failed: {reason}"


def failing(pull):
    with pytest.raises(Exception, match="message source") as caught:
        pull.to_the_end()
    return caught.value


def test_an_error_that_comes_later_is_told(reactor):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)
    emitter.emit("data", b"half of it")
    until(pull, reactor, b"half of it")
    emitter.emit("error", LookupError("the disk is gone"))
    assert failing(pull).code == "ESTREAM"


@pytest.mark.parametrize("outcome", ["sent", "abandoned"])
def test_an_emitter_is_left_as_it_was(reactor, outcome):
    emitter = EventEmitter()
    own = emitter.on("data", lambda piece: None)
    pull = Pull(emitter, reactor)
    emitter.emit("data", b"content")
    if outcome == "sent":
        emitter.emit("end")
        turn_until(reactor, lambda: pull.message.finished)
    else:
        pull.message.close()
    assert emitter.listeners("data") == [own]
    assert not any(emitter.listeners(event) for event in ("end", "error", "close"))
    emitter.emit("data", b"for somebody else")
    reactor.run()


class Minding(EventEmitter):
    """An emitter that minds the removal of a listener that it does not know, as older pyee does."""

    def remove_listener(self, event, f):
        if f not in self.listeners(event):
            raise KeyError(f)
        super().remove_listener(event, f)


@pytest.mark.parametrize("kind", [EventEmitter, Minding])
def test_an_emitter_that_somebody_else_has_cleared_does_no_harm(reactor, kind):
    emitter = kind()
    pull = Pull(emitter, reactor)
    emitter.remove_all_listeners()
    pull.message.close()
    reactor.run()


def test_an_abandoned_emitter_wakes_nobody(reactor):
    emitter = Bare()
    source = EmitterSource(emitter, reactor)
    source.start(reactor, pytest.fail)
    source.close()
    emitter.emit("data", b"content")
    emitter.emit("end")
    reactor.run()
    assert not source._pieces


def test_the_emitter_does_not_hear_of_a_wrong_piece(reactor):
    emitter = EventEmitter()
    pull = Pull(emitter, reactor)
    emitter.emit("data", 5)
    assert isinstance(failing(pull).__cause__, TypeError)
