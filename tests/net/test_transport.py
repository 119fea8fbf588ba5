"""One byte stream, in clear text and over TLS, with a peer that takes part or does not."""

from __future__ import annotations

import errno
import re
import socket
import ssl
import sys
import threading

import pytest

from smtp_connection import Reactor
from smtp_connection.net import transport as transport_module
from smtp_connection.net.send_queue import queued_bytes
from smtp_connection.reactor.handles import Handle
from tests.support.helpers import Clock, turn_until
from tests.support.smtp_server import reset
from tests.support.transports import MORE_THAN_FITS, NAME, End, quiet, tcp_pair

# -- reading --------------------------------------------------------------------------------------


def test_what_arrives_is_handed_on(end):
    for data in (b"220 ready\r\n", b"250 ok\r\n"):
        end.peer.sendall(data)
        turn_until(end.reactor, lambda data=data: end.owner.data.endswith(data))
    assert end.owner.data == b"220 ready\r\n250 ok\r\n"


def test_the_peer_s_end_is_told_once(end):
    end.peer.sendall(b"221 bye\r\n")
    end.peer.close()
    end.until("lost")
    assert end.owner.data == b"221 bye\r\n"
    assert end.owner.error is None
    assert end.sock.fileno() == -1
    assert not end.reactor.run_once()
    assert end.owner.names.count("lost") == 1


def test_a_reset_is_an_error_with_the_system_s_code(reactor):
    end = End(reactor, *tcp_pair())
    reset(end.peer)
    end.until("lost")
    error = end.owner.error
    assert (error.code, error.command) == ("ECONNRESET", "CONN")
    assert str(error) == "Connection failed: Connection reset by peer (ECONNRESET)"
    assert isinstance(error.__cause__, ConnectionResetError)


def test_nothing_comes_after_the_owner_has_closed(end):
    end.owner.then = lambda entry: end.transport.close()
    end.peer.sendall(b"220 ready\r\n")
    end.until("data")
    end.settle()
    assert end.owner.names == ["data"]


def test_being_woken_for_nothing_is_no_error(end):
    end.transport._readable()
    assert end.owner.entries == []


def test_being_woken_for_nothing_over_tls_is_no_error(over_tls):
    end = over_tls(lambda peer: peer.expect_end())
    end.transport._tls_readable()
    assert end.owner.entries == [("secured",)]


# -- writing --------------------------------------------------------------------------------------


def test_what_fits_is_sent_at_once(end):
    end.transport.write(b"EHLO me\r\n")
    assert end.transport.is_drained
    assert end.peer.recv(100) == b"EHLO me\r\n"
    end.settle()
    assert end.owner.entries == []


def test_what_does_not_fit_is_sent_as_fast_as_the_peer_reads(end):
    end.transport.write(MORE_THAN_FITS)
    assert not end.transport.is_drained
    end.transport.write(b"in between")
    end.transport.write(b"the end")
    expected = MORE_THAN_FITS + b"in betweenthe end"
    assert end.peer_reads(len(expected)) == expected
    end.until("drained")
    assert end.transport.is_drained
    assert end.is_idle()
    assert end.owner.names == ["drained"]


def test_what_the_system_has_not_taken_is_counted(end):
    assert end.transport.unsent == 0
    end.transport.write(b"EHLO me\r\n")
    assert end.transport.unsent == 0
    end.transport.write(MORE_THAN_FITS)
    waiting = end.transport.unsent
    assert 0 < waiting < len(MORE_THAN_FITS)
    end.transport.write(b"the end")
    assert end.transport.unsent == waiting + len(b"the end")
    end.peer_reads(len(b"EHLO me\r\n" + MORE_THAN_FITS + b"the end"))
    end.until("drained")
    assert end.transport.unsent == 0


def test_what_will_never_be_sent_is_counted(reactor):
    """Not as sent: the owner may ask for it when the stream has failed, or is closed."""
    failed, closed = (End(reactor, *socket.socketpair()) for _ in range(2))
    failed.peer.close()
    failed.transport.write(b"12345")
    failed.transport.write(b"678")
    assert failed.transport.unsent == 8
    closed.transport.write(MORE_THAN_FITS)
    waiting = closed.transport.unsent
    closed.transport.close()
    assert closed.transport.unsent == waiting > 0
    closed.transport.write(b"more")
    assert closed.transport.unsent == waiting + 4
    closed.peer.close()
    failed.transport.close()


def test_what_waits_when_the_peer_resets_is_counted(reactor):
    end = End(reactor, *tcp_pair())
    end.transport.write(MORE_THAN_FITS)
    waiting = end.transport.unsent
    reset(end.peer)
    end.until("lost")
    assert end.transport.unsent == waiting > 0


def test_more_can_be_written_when_it_is_drained(end):
    rest = [MORE_THAN_FITS, b"the end"]
    end.owner.then = lambda entry: rest and end.transport.write(rest.pop(0))
    end.transport.write(MORE_THAN_FITS)
    expected = MORE_THAN_FITS * 2 + b"the end"
    assert end.peer_reads(len(expected)) == expected
    assert end.owner.names == ["drained", "drained"]


def test_the_caller_s_buffer_may_change_after_the_call(end):
    """Bytes are what is documented; what waits is not copied."""
    end.transport.write(MORE_THAN_FITS)
    assert all(view.obj is MORE_THAN_FITS for view in end.transport._unsent)
    end.transport.close()


def test_last_sent_is_when_the_system_took_something(reactor, movable_clock):
    end = End(reactor, *socket.socketpair())
    moments = [end.transport.last_sent]
    movable_clock.ahead = 100
    reactor.call_soon(end.transport.write, MORE_THAN_FITS)
    reactor.run_once()
    moments.append(end.transport.last_sent)
    movable_clock.ahead = 200
    reactor.call_soon(end.transport.write, b"waits")
    reactor.run_once()
    moments.append(end.transport.last_sent)
    end.peer_reads(len(MORE_THAN_FITS))
    moments.append(end.transport.last_sent)
    assert [int(moment - moments[0]) // 100 for moment in moments] == [0, 1, 1, 2]
    end.transport.close()
    end.peer.close()


def test_what_the_peer_takes_of_what_the_system_holds_counts_as_taken(reactor, movable_clock):
    """A large buffer swallows a message at once, and a slow peer needs minutes for it."""
    if not sys.platform.startswith(("linux", "freebsd")):
        pytest.skip("this system does not tell what it holds")
    near, far = tcp_pair()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    end = End(reactor, near, far)
    reactor.run_once()
    end.transport.write(bytes(1 << 17))
    sent = end.transport.last_sent

    def after(seconds):
        movable_clock.ahead += seconds
        reactor.run_once()
        return end.transport.last_taken() - sent

    after(100)
    steady = after(0)
    assert after(100) == steady  # the peer's own buffer is full
    while queued_bytes(near) > 1 << 16:
        far.recv(1 << 16)
    assert after(100) >= 300
    end.transport.close()
    far.close()


@pytest.fixture
def slow(reactor, movable_clock, monkeypatch):
    """An end, and a peer that takes what the test says: ``slow.held`` bytes are left."""

    class Slow(End):
        held = 0

        def after(self, seconds):
            movable_clock.ahead += seconds
            while reactor.next_timeout() == 0:
                reactor.run_once(0)

    end = Slow(reactor, *tcp_pair())
    monkeypatch.setattr("smtp_connection.net.transport.queued_bytes", lambda sock: end.held)
    end.held = 100_000
    end.transport.write(bytes(10_000))
    yield end
    end.transport.hang_up()
    end.peer.close()


def test_when_the_peer_took_something_is_known_a_quarter_of_a_second_later(slow):
    for less in (90_000, 50_000, 5_000, 0):
        slow.after(100)
        slow.held = less
        taken = slow.reactor.time()
        slow.after(0.25)
        slow.after(1000)
        assert 0 <= slow.transport.last_taken() - taken <= 1  # a part of it is this test's own time


def test_nobody_asks_the_system_when_it_holds_no_more(slow):
    slow.after(1)
    assert slow.reactor._timers.live
    slow.held = 0
    slow.after(1)
    assert not slow.reactor._timers.live


@pytest.mark.parametrize("linger", [0, 5])
def test_nobody_asks_the_system_after_the_end(slow, linger):
    slow.transport.close(linger)
    assert slow.reactor._timers.live == (1 if linger else 0)


def test_after_a_write_has_failed_the_peer_s_last_words_are_read(reactor):
    """A server that refuses a client says why, and hangs up without listening."""
    end = End(reactor, *socket.socketpair())
    end.peer.sendall(b"421 too many ")
    end.peer.sendall(b"connections\r\n")
    end.peer.close()
    end.transport.write(b"EHLO me\r\n")
    end.transport.write(b"for nothing")
    assert end.owner.entries == [], "not from inside the call"
    reactor.run()
    assert end.owner.data == b"421 too many connections\r\n"
    assert end.owner.error.code == "EPIPE"
    assert isinstance(end.owner.error.__cause__, BrokenPipeError)


class Broken:
    """A socket, in clear text or over TLS, whose writes fail in one way and whose reads in another.

    That is so when a stream breaks in several steps: each call reports what it meets.
    """

    found: Exception | bytes | None = None

    def send(self, *args):
        if self.found is None:
            return super().send(*args)
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def recv(self, *args):
        if self.found is None:
            return super().recv(*args)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class BrokenSocket(Broken, socket.socket):
    """One of these in clear text."""


class BrokenTLSSocket(Broken, ssl.SSLSocket):
    """One of these over TLS."""


RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


@pytest.mark.parametrize("found", [RESET, b""], ids=["error", "end"])
def test_what_the_write_failed_of_is_told_and_not_what_a_read_finds_then(reactor, found):
    sock, peer = socket.socketpair()
    end = End(reactor, BrokenSocket(fileno=sock.detach()), peer)
    peer.sendall(b"wakes it up")
    end.sock.found = found
    end.transport.write(b"EHLO me\r\n")
    reactor.run()
    assert end.owner.names == ["lost"]
    assert end.owner.error.code == "EPIPE"
    peer.close()


@pytest.mark.parametrize(
    "found",
    [RESET, ssl.SSLError(1, "[SSL: BAD_LENGTH] bad length"), b""],
    ids=["error", "error of TLS", "end"],
)
def test_what_the_write_failed_of_is_told_over_tls_too(over_tls, client_context, found):
    client_context.sslsocket_class = BrokenTLSSocket

    def script(peer):
        peer.send("wakes it up")
        peer.expect_end()

    end = over_tls(script)
    end.until("data")
    end.transport._sock.found = found
    end.transport.write(b"EHLO me\r\n")
    end.transport._tls_readable()
    end.reactor.run()
    assert end.owner.names[-1] == "lost"
    assert end.owner.error.code == "EPIPE"


def test_the_last_words_may_make_the_owner_close(reactor):
    end = End(reactor, *socket.socketpair())
    end.peer.sendall(b"421 too many connections\r\n")
    end.peer.close()
    end.owner.then = lambda entry: end.transport.close()
    end.transport.write(b"EHLO me\r\n")
    reactor.run()
    assert end.owner.names == ["data"]


def test_a_write_that_fails_later_is_told_as_well(end):
    end.transport.write(MORE_THAN_FITS)
    end.peer.close()
    end.reactor.run()
    assert end.owner.error.code in ("EPIPE", "ECONNRESET")
    assert end.owner.names == ["lost"]


def test_a_write_that_fails_later_is_not_drained(reactor):
    end = End(reactor, *socket.socketpair())
    end.transport.write(MORE_THAN_FITS)
    end.sock.shutdown(socket.SHUT_WR)
    while end.peer.recv(65536):
        pass
    reactor.run()
    assert end.owner.names == ["lost"]
    assert end.owner.error.code == "EPIPE"
    end.peer.close()


def test_a_failed_write_that_the_owner_closes_over_is_not_told(reactor):
    end = End(reactor, *socket.socketpair())
    end.peer.close()
    end.transport.write(b"EHLO me\r\n")
    end.transport.close(linger=5)
    reactor.run()
    assert end.owner.entries == []
    assert end.sock.fileno() == -1


# -- TLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 100])
def test_what_is_decrypted_already_does_not_wait_for_the_selector(over_tls, monkeypatch, size):
    monkeypatch.setattr(transport_module, "_READ_SIZE", size)
    greeting = b"220 " + b"x" * 93 + b"\r\n"

    def script(peer):
        peer.send(greeting)
        peer.expect_end()

    end = over_tls(script)
    turn_until(end.reactor, lambda: end.owner.data == greeting)


def test_what_is_decrypted_already_is_kept_back_from_an_owner_that_has_closed(
    over_tls, monkeypatch
):
    monkeypatch.setattr(transport_module, "_READ_SIZE", 10)

    def script(peer):
        peer.send(b"x" * 100)
        peer.expect_end()

    end = over_tls(script, lambda end, entry: entry[0] == "data" and end.transport.close(3600))
    end.reactor.run()
    assert end.owner.data == b"x" * 10


def test_a_large_message_goes_over_tls_in_order(over_tls):
    received = []

    def script(peer):
        while sum(map(len, received)) < len(MORE_THAN_FITS) + 7:
            received.append(peer.sock.recv(65536))
        peer.send("250 ok\r\n")
        peer.expect_end()

    end = over_tls(script)
    end.transport.write(MORE_THAN_FITS)
    end.transport.write(b"the end")
    end.until("data")
    assert b"".join(received) == MORE_THAN_FITS + b"the end"
    assert end.transport.is_drained


def test_what_fits_is_sent_at_once_over_tls(over_tls):
    """Also if it is more than one record."""
    end = over_tls(quiet)
    end.transport.write(b"x" * 100_000)
    assert end.transport.is_drained
    assert end.is_idle()
    assert end.owner.names == ["secured"]


def test_reading_may_have_to_wait_until_it_can_write(over_tls, client_context):
    """TLS may owe the peer an answer that the caller knows nothing of."""

    class Busy(ssl.SSLSocket):
        waits = 2

        def recv(self, *args):
            if self.waits:
                self.waits -= 1
                raise ssl.SSLWantWriteError
            return super().recv(*args)

    client_context.sslsocket_class = Busy

    def script(peer):
        peer.send("220 ready\r\n")
        peer.expect_end()

    end = over_tls(script)
    end.until("data")
    assert end.is_idle()
    assert end.owner.entries == [("secured",), ("data", b"220 ready\r\n")]


def test_writing_may_have_to_wait_until_it_can_read(over_tls, client_context):
    """A server may want to renegotiate; the socket is writable all the time meanwhile."""

    class Busy(ssl.SSLSocket):
        waits = 0
        tries = 0

        def send(self, *args):
            type(self).tries += 1
            if self.waits:
                type(self).waits -= 1
                raise ssl.SSLWantReadError
            return super().send(*args)

    client_context.sslsocket_class = Busy

    def script(peer):
        for _ in range(2):
            peer.send("220 go on\r\n")
        peer.expect("EHLO")
        peer.send("250 ok\r\n")
        peer.expect_end()

    end = over_tls(script)
    turn_until(end.reactor, lambda: end.owner.data == b"220 go on\r\n" * 2)
    Busy.waits = 3
    end.transport.write(b"EHLO me\r\n")
    assert end.is_idle()
    assert not end.transport.is_drained
    assert Busy.tries == 2  # at once, and because a part may have been taken
    for _ in range(2):
        end.transport._tls_readable()  # as if something had arrived for the TLS layer
        end.settle()
    end.until("drained")
    assert Busy.tries == 4
    turn_until(end.reactor, lambda: end.owner.data.endswith(b"250 ok\r\n"))
    assert end.is_idle()


def test_a_part_of_a_tls_record_counts_as_taken(over_tls, client_context, movable_clock):
    class Slow(ssl.SSLSocket):
        parts = 3

        def send(self, *args):
            if self.parts:
                type(self).parts -= 1
                raise ssl.SSLWantWriteError
            return super().send(*args)

    client_context.sslsocket_class = Slow
    end = over_tls(lambda peer: peer.expect("EHLO"))
    end.reactor.run_once()
    before = end.transport.last_sent
    movable_clock.ahead += 100
    end.transport.write(b"EHLO me\r\n")
    assert end.transport.last_sent == before
    end.reactor.run_once()
    assert Slow.parts == 0
    assert end.transport.last_sent >= before + 100
    end.until("drained")


def test_the_peer_s_end_is_told_over_tls(over_tls):
    end = over_tls(lambda peer: peer.send("221 bye\r\n"))
    end.until("lost")
    assert end.owner.data == b"221 bye\r\n"
    assert end.owner.error is None


def test_a_reset_over_tls_ends_the_stream(over_tls):
    end = over_tls(lambda peer: peer.reset())
    end.until("lost")
    # Python before 3.13 takes a reset for a mere end (gh-115627).
    assert end.owner.error is None or end.owner.error.code == "ECONNRESET"


def test_garbage_in_the_encrypted_stream_is_an_error(over_tls):
    end = over_tls(lambda peer: socket.socket.send(peer.sock, b"220 clear text\r\n"))
    end.until("lost")
    error = end.owner.error
    assert error.code == "ECONNECTION"
    # The TLS library has read the first bytes, and does not give them back.
    assert re.match(r"The server went on in clear text, ending with '.*text' \(", str(error))
    assert isinstance(error.__cause__, ssl.SSLError)


def test_last_words_are_read_over_tls(over_tls):
    said = threading.Event()

    def script(peer):
        peer.send("421 shutting ")
        peer.send("down\r\n")
        said.set()
        peer.expect_end()

    end = over_tls(script)
    said.wait()
    socket.socket.shutdown(end.transport._sock, socket.SHUT_WR)
    end.transport.write(b"EHLO me\r\n")
    end.reactor.run()
    assert end.owner.data == b"421 shutting down\r\n"
    assert end.owner.error.code in ("EPIPE", "ECONNECTION")


def test_a_tls_socket_of_the_caller_s_is_secure_and_what_it_holds_is_read(
    reactor, serve, server_context, client_context
):
    """The caller has read a proxy's answer, and with it, unknowingly, the greeting."""

    def script(peer):
        peer.start_tls(server_context)
        peer.send("HTTP/1.1 200 OK\r\n\r\n220 ready\r\n")
        peer.expect_end()

    server = serve(script)
    sock = socket.create_connection((server.host, server.port))
    sock = client_context.wrap_socket(sock, server_hostname=NAME)
    assert sock.recv(19) == b"HTTP/1.1 200 OK\r\n\r\n"
    end = End(reactor, sock)
    assert end.transport.secure
    assert end.owner.entries == [], "not from inside the call"
    end.until("data")
    assert end.owner.data == b"220 ready\r\n"
    end.transport.close()


# -- the end --------------------------------------------------------------------------------------


def test_closing_at_once(end):
    end.transport.write(MORE_THAN_FITS)
    end.transport.close()
    end.transport.close()
    end.transport.write(b"more")
    assert end.sock.fileno() == -1
    assert not end.reactor.run_once()
    assert end.owner.entries == []


def test_closing_waits_for_the_peer_to_close_its_side(end):
    for _ in range(2):
        end.transport.close(linger=3600)
    assert end.peer.recv(1) == b""
    end.peer.sendall(b"too late")
    end.settle()
    assert end.sock.fileno() >= 0
    end.transport.write(b"too late as well")
    end.peer.close()
    end.reactor.run()
    assert end.sock.fileno() == -1
    assert end.owner.entries == []


def test_being_woken_for_nothing_does_not_end_the_wait_for_the_peer(end):
    end.transport.close(linger=3600)
    end.transport._discard()
    assert end.sock.fileno() >= 0
    assert end.reactor.run_once()
    end.peer.close()
    end.reactor.run()
    assert end.sock.fileno() == -1


def test_a_peer_that_has_closed_its_side_already_is_not_waited_for(end):
    end.peer.close()
    end.transport.close(linger=3600)
    assert end.sock.fileno() == -1
    assert end.owner.entries == []


def test_a_peer_that_goes_on_talking_does_not_keep_close_from_returning(end):
    end.peer.sendall(b"x" * 20_000)
    end.transport.close(linger=3600)
    assert end.sock.fileno() >= 0
    end.peer.close()
    end.reactor.run()
    assert end.sock.fileno() == -1


def test_a_peer_that_never_closes_is_dropped():
    clock = Clock()
    with Reactor(clock=clock) as reactor:
        end = End(reactor, *socket.socketpair())
        end.transport.close(linger=5)
        clock.now += 4.9
        end.peer.sendall(b"still here")
        assert reactor.run_once()
        assert end.sock.fileno() >= 0
        clock.now += 0.1
        assert not reactor.run_once()
        assert end.sock.fileno() == -1
        end.peer.close()


def test_an_interrupt_while_the_socket_is_dropped_leaves_it_to_the_next_turn(monkeypatch):
    def interrupted(handle):
        monkeypatch.undo()
        raise KeyboardInterrupt

    with Reactor() as reactor:
        end = End(reactor, *socket.socketpair())
        end.transport.close(linger=3600)
        end.peer.close()
        monkeypatch.setattr(Handle, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reactor.run_once()
        assert not reactor.run_once()
        assert end.sock.fileno() == -1


def test_a_peer_that_resets_is_not_waited_for(reactor):
    end = End(reactor, *tcp_pair())
    end.transport.close(linger=3600)
    reset(end.peer)
    reactor.run()
    assert end.sock.fileno() == -1


def test_a_connection_that_is_gone_already_is_not_waited_for(reactor):
    end = End(reactor, *tcp_pair())
    reset(end.peer)
    end.transport.close(linger=3600)
    reactor.run()
    assert end.sock.fileno() == -1
    assert end.owner.entries == []


def test_closing_over_tls_says_so_to_the_peer(over_tls):
    ends = []

    def script(peer):
        # Without the notice this would raise, and with a bare FIN it would not return b"".
        peer.sock.suppress_ragged_eofs = False
        ends.append(peer.sock.recv(1))
        socket.socket.send(peer.sock, b"not even TLS")

    end = over_tls(script)
    end.transport.close(linger=3600)
    end.reactor.run()
    assert end.transport._sock.fileno() == -1
    assert ends == [b""]
    assert end.owner.names == ["secured"]


# -- facts ----------------------------------------------------------------------------------------


def test_the_peer_is_described(reactor, over_tls):
    end = End(reactor, *tcp_pair())
    host, port = end.sock.getpeername()
    assert end.transport.describe() == f"{host}:{port}"
    end.transport.close()
    assert end.transport.describe() == "the peer"
    end.peer.close()

    pair = End(reactor, *socket.socketpair())
    assert pair.transport.describe() == "the peer"
    pair.transport.close()
    pair.peer.close()

    tls = over_tls(quiet)
    text = tls.transport.describe()
    assert text.startswith("127.0.0.1:")
    assert " with TLSv1.3, TLS_" in text
