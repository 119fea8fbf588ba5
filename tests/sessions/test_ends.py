"""Whatever ends a connection, and wherever: every callback once, ``'end'`` once, and nothing left.

test_interrupts.py has what interrupts between any two lines do.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import sys
import threading
import warnings
import weakref

import pytest

from smtp_connection import Reactor, SMTPConnection
from tests.support.helpers import garbage_of, open_files, raising_once
from tests.support.scripted_server import HandFedPeer
from tests.support.sessions import ENVELOPE, PASSWORD


class Broken(Exception):
    """What code of the caller's raises in the middle of a step."""


class RaisingLogger:
    """A logger whose methods work, and whose ``isEnabledFor`` raises at the second question."""

    def __init__(self):
        self.questions = 0

    def isEnabledFor(self, level):
        self.questions += 1
        if self.questions == 2:
            raise Broken
        return True

    def debug(self, *args, **kwargs):
        """Log nothing."""

    info = warning = error = debug


def interrupted(text):
    yield text
    raise SystemExit(3)


def run_through(reactor, kind):
    """Run ``reactor`` to its end; return how often an exception of ``kind`` left ``run()``."""
    raised = 0
    while True:
        try:
            reactor.run()
        except kind:
            raised += 1
        else:
            return raised


# -- what nobody has foreseen ----------------------------------------------------------------------


def check_broken(diary, operation, kind):
    """Check that the connection ended once, because an exception of ``kind`` was raised."""
    assert diary.names() == ["connect", "error", operation, "later", "end"]
    err = diary.error(operation)
    assert (err.code, err.command) == ("ECONNECTION", "CONN")
    assert err.message == (
        f"Connection closed, because {kind.__name__} was raised in the middle of a step"
    )
    assert isinstance(err.__cause__, kind)
    assert diary.error() is err
    assert diary.error("later").__cause__ is err


def test_a_source_that_wants_the_program_to_end(by_hand, reactor, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, interrupted("some text\n" * 6_000), diary.callback("sent"))
    connection.reset(diary.callback("later"))
    for reply in ("220 hi", "250 scripted", "250", "250"):
        peer.feed(f"{reply}\r\n")
    peer.sock.sendall(b"354 go\r\n")

    assert run_through(reactor, SystemExit) == 1
    check_broken(diary, "sent", SystemExit)


def test_a_logger_that_raises(by_hand, reactor, diary):
    connection, peer = by_hand(logger=RaisingLogger(), debug=False)
    connection.connect(diary.callback("connected"))
    peer.sock.sendall(b"220 hi\r\n250 scripted\r\n")

    assert run_through(reactor, Broken) == 1
    assert diary.names() == ["error", "connected", "end"]
    assert isinstance(diary.error("connected").__cause__, Broken)


def test_a_logging_filter_that_raises_at_the_warning(by_hand, reactor, diary, monkeypatch):
    def refuse(record):
        raise Broken

    monkeypatch.setattr("smtp_connection.driver.dialing.Dialing.stays_here", lambda *_: False)
    logger = logging.getLogger("smtp_connection")
    logger.addFilter(refuse)
    connection, peer = by_hand(authMethod="PLAIN")
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    connection.reset(diary.callback("later"))
    peer.feed("220 hi\r\n")
    peer.sock.sendall(b"250-scripted\r\n250 AUTH PLAIN\r\n")
    try:
        assert run_through(reactor, Broken) == 1
    finally:
        logger.removeFilter(refuse)
    check_broken(diary, "login", Broken)
    assert b"AUTH" not in peer.heard()


def test_the_next_operation_breaks_after_one_that_ended_without_a_reply(by_hand, reactor, diary):
    """It begins on a turn of its own then."""
    connection, peer = by_hand(customAuth={"X": lambda context: context.resolve()})
    stack = contextlib.ExitStack()

    def logged_in(err):
        assert err is None
        stack.enter_context(raising_once("smtp_connection.driver.exchange.Exchange.start", Broken))

    connection.connect()
    connection.login(PASSWORD, logged_in)
    connection.reset(diary.callback("reset"))
    connection.reset(diary.callback("later"))
    peer.feed("220 hi\r\n")
    peer.sock.sendall(b"250-scripted\r\n250 AUTH X\r\n")
    with stack:
        assert run_through(reactor, Broken) == 1
    check_broken(diary, "reset", Broken)


@pytest.mark.parametrize("method", ["register", "modify"])
def test_a_selector_that_has_no_room(reactor, by_hand, diary, monkeypatch, method):
    """ENOSPC: /proc/sys/fs/epoll/max_user_watches is reached."""

    def refuse(*args):
        monkeypatch.undo()
        raise OSError(errno.ENOSPC, "No space left on device")

    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    if method == "register":
        monkeypatch.setattr(reactor._selector, method, refuse)
        assert run_through(reactor, OSError) == 0
        assert diary.error("connected").code == "ENOSPC"
        assert diary.names() == ["error", "connected", "end"]
        return
    connection.send(ENVELOPE, b"x" * 5_000_000, diary.callback("sent"))
    connection.reset(diary.callback("later"))
    for reply in ("220 hi", "250 scripted", "250", "250"):
        peer.feed(f"{reply}\r\n")
    monkeypatch.setattr(reactor._selector, method, refuse)
    peer.sock.sendall(b"354 go\r\n")
    assert run_through(reactor, OSError) == 1
    assert diary.names() == ["connect", "connected", "error", "sent", "later", "end"]
    assert diary.error("sent").__cause__.errno == errno.ENOSPC


def test_an_old_tls_version_where_warnings_are_errors(by_hand, reactor, diary):

    connection, _ = by_hand(secure=True, tls={"minVersion": "TLSv1", "ca": None})
    connection.connect(diary.callback("connected"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run_through(reactor, DeprecationWarning) == 1
    assert diary.names() == ["error", "connected", "end"]


def test_a_connection_time_out_without_end_and_a_proxy(reactor, diary, serve):
    server = serve(lambda peer: None)
    connection = SMTPConnection(
        {
            "host": "mx.example.com",
            "proxy": f"http://127.0.0.1:{server.port}",
            "connectionTimeout": sys.maxsize,
        },
        reactor=reactor,
    )
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    reactor.run()
    assert diary.names() == ["error", "connected", "end"]


@pytest.mark.parametrize(
    "place",
    [
        "driver.exchange.Exchange.stop",
        "driver.queue.Operations.close_sources",
        "driver.queue.Operations.settle",
        "driver.lifecycle.Lifecycle._let_go",
        "driver.queue.Operations.forget",
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_the_end_itself_is_interrupted(by_hand, reactor, diary, place, closed):
    """It is taken up again at once."""
    connection, peer = opened(by_hand, diary, socketCloseTimeout=0)
    connection.send(ENVELOPE, iter(["hi"]), diary.callback("later"))
    if closed:
        connection.close()
    else:
        peer.sock.send(b"250 ok\r\n250 what?\r\n")
    with raising_once(f"smtp_connection.{place}", Broken):
        assert run_through(reactor, Broken) == 1
    assert diary.names()[-1] == "end"
    assert sorted(diary.names()) == sorted(
        ["connect", "reset", "later", "end", *([] if closed else ["error"])]
    )


# -- close() where nobody runs the reactor ---------------------------------------------------------


def opened(by_hand, diary, **options):
    """Return a connection that has been opened, with an operation that waits for its reply."""
    connection, peer = by_hand(**options)
    connection.connect()
    connection.reset(diary.callback("reset"))
    peer.feed("220 hi\r\n")
    peer.feed("250 scripted\r\n")
    assert peer.heard() == b"EHLO me\r\nRSET\r\n"
    return connection, peer


def test_the_thread_of_the_reactor_has_ended(by_hand, reactor, diary):
    connection, peer = opened(by_hand, diary)
    reactor.call_soon(reactor.stop)
    thread = threading.Thread(target=reactor.run)
    thread.start()
    thread.join()

    connection.close()
    assert peer.heard() == b"", "the end of the stream, not EAGAIN"
    assert connection.destroyed
    assert diary.names() == ["connect"]
    reactor.run()
    assert diary.names() == ["connect", "reset", "end"]


def test_run_was_left_by_an_exception(by_hand, reactor, diary):
    connection, peer = opened(by_hand, diary)

    def fail():
        raise Broken

    reactor.call_soon(fail)
    with pytest.raises(Broken):
        reactor.run()
    connection.close()
    connection.close()
    assert peer.heard() == b""
    reactor.run()
    assert diary.names() == ["connect", "reset", "end"]


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are listed in /proc")
def test_nobody_runs_the_reactor_while_it_is_connecting(full_port, reactor, diary):
    connection = SMTPConnection(host="127.0.0.1", port=full_port, reactor=reactor)
    diary.listen(connection)
    before = open_files()
    connection.connect(diary.callback("connected"))
    for _ in range(3):
        reactor.run_once(0)
    assert len(open_files() - before) == 1
    reactor.call_soon(reactor.stop)
    reactor.run()
    connection.close()
    assert open_files() == before
    reactor.run()
    assert diary.names() == ["connected", "end"]


@pytest.mark.parametrize("option", ["socket", "connection"])
def test_nobody_runs_the_reactor_before_it_connects(reactor, diary, option):
    with socket.socket() as own:
        connection = SMTPConnection(host="127.0.0.1", **{option: own}, reactor=reactor)
        connection.connect(diary.callback("connected"))
        connection.close()
        assert own.fileno() == -1
    reactor.run()
    assert diary.names() == ["connected"]


def test_the_reactor_was_closed(diary):
    reactor = Reactor()
    connection = SMTPConnection({"host": "127.0.0.1", "port": 1}, reactor=reactor)
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    reactor.run_once(0)
    reactor.close()
    connection.close()
    assert connection.destroyed
    with pytest.raises(RuntimeError, match="is closed"):
        reactor.run()


def test_close_races_with_itself(reactor, diary, by_hand):
    for _ in range(200):
        connection, peer = by_hand(socketCloseTimeout=0)
        connection.connect()
        ended = []
        connection.on("end", lambda ended=ended: ended.append(1))
        peer.settle()
        threads = [threading.Thread(target=connection.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        reactor.run()
        for thread in threads:
            thread.join()
        reactor.run()
        assert ended == [1]
        peer.sock.close()


# -- garbage ---------------------------------------------------------------------------------------


def test_a_connection_that_was_never_started_is_no_garbage(reactor):
    connection = SMTPConnection({}, reactor=reactor)
    gone = weakref.ref(connection)
    del connection
    assert gone() is None


ENDINGS = {
    "quit": (lambda connection: connection.quit(), ["221 bye"]),
    "close": (lambda connection: connection.close(), []),
    "a refused login": (lambda connection: connection.login(PASSWORD, lambda err: None), []),
    "421": (lambda connection: None, ["421 bye"]),
    "a broken protocol": (lambda connection: None, ["250 what?"]),
}


@pytest.mark.parametrize(("end", "replies"), ENDINGS.values(), ids=ENDINGS)
def test_a_connection_that_is_over_leaves_no_circle(reactor, end, replies, capsys):
    """What only a collection finds costs everybody who has many sessions."""

    def run_session():
        peer = HandFedPeer(reactor)
        connection = SMTPConnection({"connection": peer.client_end, "name": "me"}, reactor=reactor)
        connection.on("error", lambda err: None)
        connection.connect()
        connection.send(ENVELOPE, "hi", lambda err, info: None)
        for reply in ("220 hi", "250 scripted", "250", "250", "354", "250 ok"):
            peer.feed(f"{reply}\r\n")
        end(connection)
        for reply in replies:
            peer.feed(f"{reply}\r\n")
        peer.hang_up()
        reactor.run()
        assert connection.destroyed

    assert garbage_of(run_session) == []


WAYS = {
    "by name": lambda port: {"host": "localhost", "port": port},
    "by address": lambda port: {"host": "127.0.0.1", "port": port},
    "socket": lambda port: {"host": "127.0.0.1", "port": port, "socket": socket.socket()},
    "http": lambda port: {"host": "::1", "proxy": f"http://localhost:{port}"},
    "socks5": lambda port: {"host": "127.0.0.1", "proxy": f"socks5://localhost:{port}"},
}


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_connection_that_never_comes_about_leaves_no_circle(reactor, options, closed):
    """Neither if it is refused or the server, or the proxy, hangs up, nor if it is closed."""

    def run_session():
        with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
            connection = SMTPConnection(options(listener.getsockname()[1]), reactor=reactor)
            connection.on("error", lambda err: None)
            connection.connect(lambda err: None)
            reactor.call_soon(take_one, listener)
            if closed:
                reactor.run_once()
                connection.close()
            reactor.run()
        assert connection.destroyed

    def take_one(listener):
        listener.setblocking(False)
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            if reactor.has_work:
                reactor.call_soon(take_one, listener)

    assert garbage_of(run_session) == []
