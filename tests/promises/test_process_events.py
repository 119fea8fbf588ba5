"""What befalls the whole process while mail is being sent: signals, and other threads.

How it ends, and what becomes of its children, is the subject of ``test_process_ends``.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import sys
import threading
from collections import Counter

import pytest

from smtp_connection import Reactor, SMTPConnection
from tests.support.helpers import handling, in_thread
from tests.support.sessions import ENVELOPE, PASSWORD
from tests.support.smtp_server import BackgroundServer, Session, hold

# -- a signal while nothing happens ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda connection: connection.close(), ["connect", "reset", "end"]),
        (lambda connection: connection.quit(), ["connect", "reset", "end"]),
        (lambda connection: connection.reactor.stop(), ["connect", "reset"]),
    ],
    ids=["close", "quit", "stop"],
)
def test_a_signal_handler_gets_through(serve, connect_to, reactor, diary, call, names):
    """Python goes on waiting after the handler, as if there had been none: it has to be woken."""
    idle = threading.Event()

    def script(peer):
        peer.greet()
        peer.play("C: RSET\nS: 250 ok")
        assert idle.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        with contextlib.suppress(EOFError):
            peer.take_quit()

    def done(err, result):
        diary.callback("reset")(err, result)
        idle.set()

    connection = connect_to(serve(script))
    connection.connect(lambda: connection.reset(done))
    with handling(signal.SIGUSR1, lambda signum, frame: call(connection)):
        reactor.run()

    assert diary.names() == names
    connection.close()
    reactor.run()


@pytest.fixture
def wakeup_fd():
    """A function that tells what Python writes to when a signal arrives, -1 for nothing."""

    def tell():
        current = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(current, warn_on_full_buffer=False)
        return current

    before = tell()
    yield tell
    signal.set_wakeup_fd(before)


def test_signals_wake_the_reactor_while_it_runs(reactor, wakeup_fd):
    seen = []
    reactor.call_soon(lambda: seen.append(wakeup_fd()))
    reactor.run()
    assert seen == [reactor._wake_up.sender.fileno()]
    assert wakeup_fd() == -1


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_whom_else_signals_wake_is_left_alone(reactor, wakeup_fd, when):
    """Another event loop, say, in which this one is hosted."""
    left, right = socket.socketpair()
    with left, right:
        right.setblocking(False)
        if when == "before":
            signal.set_wakeup_fd(right.fileno())
        else:
            reactor.call_soon(signal.set_wakeup_fd, right.fileno())
        reactor.call_soon(lambda: None)
        reactor.run()
        assert wakeup_fd() == right.fileno()
        signal.set_wakeup_fd(-1)


def test_on_another_thread_signals_are_nobody_s_business(reactor, wakeup_fd):
    running, seen = threading.Event(), threading.Event()
    reactor.call_soon(running.set)
    reactor.call_soon(seen.wait, 10)
    thread = in_thread(reactor.run)
    assert running.wait(10)
    assert wakeup_fd() == -1
    seen.set()
    thread.join()


class OnSelect(selectors.DefaultSelector):
    """Calls ``before()`` once, when the reactor waits for the ``count``-th time from now on."""

    count = 0
    before = None

    def select(self, timeout=None):
        self.count -= 1
        if self.count == 0:
            self.before()
        return super().select(timeout)


def serve_on(reactor):
    """Serve a client on its own reactor, so that every session takes the same course; return the
    client's end of the connection and the server's session."""
    client_end, server_end = socket.socketpair()
    session = Session("AUTH PLAIN", logins={"PLAIN": ["235 in"]})
    hold(reactor, server_end, session)
    return client_end, session


@pytest.mark.parametrize("afterwards", ["run", "close"])
@pytest.mark.parametrize("moment", [1, 2, 3, 5, 8])
def test_a_keyboard_interrupt_while_nothing_happens_loses_nothing(diary, moment, afterwards):
    selector = OnSelect()
    selector.count = moment
    selector.before = lambda: signal.raise_signal(signal.SIGINT)
    with Reactor(selector=selector) as reactor:
        client_end, session = serve_on(reactor)
        connection = SMTPConnection(connection=client_end, reactor=reactor)
        diary.listen(connection)
        connection.connect(diary.callback("connected"))
        for number in range(3):
            connection.send(ENVELOPE, f"message {number}", diary.callback("sent"))
        with (
            handling(signal.SIGINT, signal.default_int_handler),
            pytest.raises(KeyboardInterrupt),
        ):
            reactor.run()
        if afterwards == "run":
            connection.quit()
        else:
            connection.close()
        reactor.run()

    assert diary.names()[-1] == "end"
    assert len(diary.of("connected")) == len(diary.of("end")) == 1
    assert len(diary.of("sent")) == 3
    if afterwards == "run":
        assert [err for err, _ in diary.of("sent")] == [None] * 3
        assert session.messages == [b"message 0\r\n", b"message 1\r\n", b"message 2\r\n"]


# -- a signal at any moment ------------------------------------------------------------------------


def hold_session(interrupt, moment):
    """Hold a session, and ``interrupt(connection)`` it where the package executes its ``moment``-th
    line; return what was heard of it, and how many lines there were."""
    lines = 0
    heard = []

    def trace(frame, event, arg):
        nonlocal lines
        if "smtp_connection" not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == moment:
                sys.settrace(None)
                interrupt(connection)
        return trace

    with Reactor() as reactor:
        client_end, _ = serve_on(reactor)
        connection = SMTPConnection(connection=client_end, reactor=reactor)
        connection.on("end", lambda: heard.append("end"))
        connection.on("error", lambda err: heard.append("error"))
        connection.connect(lambda err: heard.append("connected"))
        connection.login(PASSWORD, lambda: heard.append("login"))
        connection.send(ENVELOPE, iter(["a ", "message"]), lambda: heard.append("first"))
        connection.send(ENVELOPE, "another one", lambda: heard.append("second"))
        connection.quit()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            while reactor.run_once(None):
                pass
        finally:
            sys.settrace(before)
    return heard, lines


ONCE_EACH = Counter(["connected", "login", "first", "second", "end"])


@pytest.mark.parametrize("method", ["close", "quit"])
def test_a_signal_handler_may_call_at_any_moment(method):
    """Wherever the package is interrupted, every callback is called once, and the end comes."""

    def interrupt(connection):
        getattr(connection, method)()

    heard, lines = hold_session(interrupt, moment=-1)
    assert Counter(heard) == ONCE_EACH
    assert lines > 1000
    for moment in range(1, lines, 13):
        assert Counter(hold_session(interrupt, moment)[0]) == ONCE_EACH


# -- other threads ---------------------------------------------------------------------------------


def test_threads_call_in_while_the_reactor_stops_and_runs_again():
    """Whatever it is that stops it, no call is lost."""
    outcomes = []
    with Reactor() as reactor, BackgroundServer("PIPELINING") as server:
        connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
        connection.connect()

        def sent(err):
            outcomes.append(err)
            reactor.stop()

        def work(name):
            for number in range(100):
                connection.send(ENVELOPE, f"{name}/{number}", sent)
                reactor.stop()

        threads = [in_thread(work, name) for name in range(4)]
        while len(outcomes) < 400:
            reactor.run()
        connection.quit()
        reactor.run()
        for thread in threads:
            thread.join()

    assert outcomes == [None] * 400
    messages = server.sessions[0].messages
    assert sorted(messages) == sorted(b"%d/%d\r\n" % (w, n) for w in range(4) for n in range(100))


class Late:
    """A message that nobody can iterate over until it is ``ready``."""

    def __init__(self):
        self.asked, self.ready = threading.Event(), threading.Event()

    def __iter__(self):
        self.asked.set()
        assert self.ready.wait(10)
        return iter(["too late"])


def test_what_is_called_while_the_connection_ends_is_told_so(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    message = Late()
    thread = in_thread(connection.send, ENVELOPE, message, diary.callback("sent"))
    assert message.asked.wait(10)
    connection.close()
    peer.settle()
    assert diary.names() == ["connect", "end"]

    message.ready.set()
    thread.join()
    peer.settle()
    assert diary.names() == ["connect", "end", "sent"]
    assert diary.error("sent").code == "ECONNECTION"


class Leaving(Reactor):
    """Calls ``at_the_end()`` on another thread when ``run()`` has nothing left to do."""

    def _leave(self):
        in_thread(self.at_the_end).join()
        super()._leave()


def test_what_is_called_as_run_returns_is_done_by_the_next_run(diary):
    with Leaving() as reactor:
        connection = SMTPConnection(reactor=reactor, port=0)
        diary.listen(connection)
        reactor.at_the_end = lambda: connection.connect(diary.callback("connected"))
        reactor.run()
        assert diary.names() == []
        reactor.at_the_end = lambda: None
        reactor.run()
    assert diary.names() == ["error", "connected", "end"]


def test_what_is_called_on_a_closed_reactor_is_harmless():
    reactor = Reactor()
    connection = SMTPConnection(reactor=reactor)
    connection.connect()
    reactor.close()
    errors = []

    def call_all():
        try:
            connection.send(ENVELOPE, "hi", pytest.fail)
            connection.login(PASSWORD)
            connection.quit()
            connection.close()
            reactor.stop()
        except BaseException as exc:
            errors.append(exc)

    in_thread(call_all).join()
    call_all()
    assert errors == []
