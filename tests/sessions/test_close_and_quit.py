"""``close()`` and ``quit()``: at every point of a session, repeatedly, from any thread."""

from __future__ import annotations

import socket
import threading
from contextlib import nullcontext

import pytest

from smtp_connection import SMTPConnection, SMTPError
from tests.support.sessions import ENVELOPE, PASSWORD, at_every_point


def closed_early(diary, *names):
    """Check that nothing but ``names`` has happened, each once, and failed with the end."""
    assert diary.names() == [*names, "end"]
    for name in names:
        assert diary.error(name).code == "ECONNECTION"


# -- close(), at every point -----------------------------------------------------------------------


@at_every_point
@pytest.mark.parametrize("thread", ["the reactor's", "another"])
def test_close_at_every_point(serve, connect_to, reactor, diary, point, thread):
    def script(peer):
        point.approach(peer)
        for _ in range(2):
            if thread == "another":
                connection.close()
            else:
                reactor.call_soon_threadsafe(connection.close)
        peer.expect_end()

    connection = connect_to(serve(script), **point.options)
    connection.connect(diary.callback("connected"))
    point.call(connection, diary.callback("operation"))
    connection.reset(diary.callback("later"))
    connection.quit()
    reactor.run()

    pending = ["operation", "later"] if point.connected else ["connected", "operation", "later"]
    assert diary.names() == ["connect", "connected"] * point.connected + [*pending, "end"]
    assert {diary.error(name).code for name in pending} == {"ECONNECTION"}
    assert connection.destroyed
    assert not connection.secure


@pytest.mark.parametrize("thread", ["the reactor's", "another"])
def test_close_in_the_middle_of_a_message(serve, connect_to, reactor, diary, thread):
    def script(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.expect("xxx")
        if thread == "another":
            connection.close()
        else:
            reactor.call_soon_threadsafe(connection.close)
        assert b"\r\n.\r\n" not in peer.expect_end()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(ENVELOPE, (b"x" * 70 + b"\r\n") * 200_000, diary.callback("sent"))
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.error("sent").code == "ECONNECTION"


def test_close_during_a_handshake(by_hand, diary):
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 STARTTLS\r\n")
    peer.feed("220 go\r\n")
    connection.close()
    peer.settle()

    closed_early(diary, "connected")


@pytest.fixture
def unresolved(monkeypatch):
    """A name whose look-up takes as long as the test."""
    answer = threading.Event()
    getaddrinfo = socket.getaddrinfo

    def look_up(host, *args, flags=0, **more):
        if host == "slow.example" and not flags & socket.AI_NUMERICHOST:
            assert answer.wait(10)
        return getaddrinfo(host if flags else "127.0.0.1", *args, flags=flags, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield "slow.example"
    answer.set()


@pytest.mark.parametrize("own_socket", [False, True])
def test_close_during_the_look_up(unresolved, reactor, diary, own_socket):
    own = socket.socket() if own_socket else None
    connection = SMTPConnection(host=unresolved, port=2525, socket=own, reactor=reactor)
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run_once(0)
    connection.close()
    connection.close()
    reactor.run()  # returns before the look-up does

    closed_early(diary, "connected", "sent")
    assert own is None or own.fileno() == -1


def test_close_while_connecting(full_port, reactor, diary):
    connection = SMTPConnection(host="127.0.0.1", port=full_port, reactor=reactor)
    diary.listen(connection)
    connection.connect(diary.callback("connected"))
    for _ in range(3):
        reactor.run_once(0)
    connection.close()
    reactor.run()

    closed_early(diary, "connected")


def test_close_at_once_after_connect(by_hand, diary):
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.close()
    assert diary.entries == []
    peer.settle()

    closed_early(diary, "connected", "sent")
    assert peer.heard() == b""


@pytest.mark.parametrize("option", ["socket", "connection"])
@pytest.mark.parametrize("started", [False, True])
def test_a_socket_that_was_handed_over_is_closed(reactor, diary, option, started):
    ours, theirs = socket.socketpair()
    connection = SMTPConnection({option: ours}, reactor=reactor)
    diary.listen(connection)
    if started:
        connection.connect()
    connection.close()
    reactor.run()

    assert diary.names() == ["end"]
    assert theirs.recv(1) == b""
    theirs.close()


@pytest.mark.parametrize("ending", ["stop", "error"])
def test_close_at_the_end_of_a_run_hangs_up(by_hand, reactor, ending):
    """Although there may never be another run, in which 'end' could be emitted."""

    def close_and_leave():
        connection.close()
        if ending == "error":
            raise LookupError
        reactor.stop()

    connection, peer = by_hand()
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.heard()
    reactor.call_soon(close_and_leave)
    with pytest.raises(LookupError) if ending == "error" else nullcontext():
        reactor.run()
    assert peer.sock.recv(1) == b""
    peer.hang_up()
    reactor.run()


def test_close_before_connect(by_hand, diary):
    connection, peer = by_hand()
    connection.close()
    connection.close()
    connection.connect(diary.callback("connected"))
    connection.reset(diary.callback("reset"))
    connection.quit()
    assert diary.entries == []
    peer.settle()

    assert diary.names() == ["connected", "reset", "end"]
    assert diary.error("connected").code == "ECONNECTION"
    assert "it is closed" in diary.error("connected").message
    assert peer.heard() == b""


# -- close(), and who hears of it ------------------------------------------------------------------


@pytest.fixture
def ready(by_hand):
    """A connection on which nothing is going on, and its server."""

    def make(**options):
        connection, peer = by_hand(**options)
        connection.connect()
        peer.feed("220 ready\r\n")
        peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
        peer.heard()
        return connection, peer

    return make


def ask_for_everything(connection, callback=lambda name: None):
    connection.login(PASSWORD, callback("login"))
    connection.send(ENVELOPE, "hi", callback("sent"))
    connection.send(ENVELOPE, iter([b"hi"]), callback("streamed"))
    connection.reset(callback("reset"))
    connection.quit()


def test_what_was_asked_for_in_the_same_turn_fails_before_the_end(ready, diary):
    connection, peer = ready()
    ask_for_everything(connection, diary.callback)
    connection.close()
    peer.settle()

    del diary.entries[0]
    closed_early(diary, "login", "sent", "streamed", "reset")
    assert peer.heard() == b""


@pytest.mark.parametrize("begun", [False, True])
def test_each_operation_without_a_callback_is_an_error_event(ready, diary, begun):
    connection, peer = ready()
    ask_for_everything(connection)
    if begun:
        peer.settle()
    connection.close()
    peer.settle()

    assert diary.names() == ["connect", *["error"] * 4, "end"]
    assert {err.code for (err,) in diary.of("error")} == {"ECONNECTION"}


def test_each_operation_that_nobody_hears_of_leaves_run(ready, diary):
    connection, peer = ready(errors=False)
    ask_for_everything(connection)
    connection.close()
    for _ in range(4):
        with pytest.raises(SMTPError, match="closed by close"):
            peer.settle()
    peer.settle()

    assert diary.names() == ["connect", "end"]


def test_close_and_quit_when_all_is_over(ready, diary):
    connection, peer = ready()
    connection.quit()
    peer.settle()
    peer.feed("221 bye\r\n")
    peer.hang_up()
    for _ in range(2):
        connection.quit()
        connection.close()
    peer.settle()

    assert diary.names() == ["connect", "end"]


def test_quit_and_close_at_once(ready, diary):
    connection, peer = ready()
    connection.quit()
    connection.close()
    peer.hang_up()

    assert diary.names() == ["connect", "end"]


@pytest.mark.parametrize("event", ["connect", "log", "error", "end"])
def test_close_in_a_listener(by_hand, diary, event):
    connection, peer = by_hand()
    connection.on(event, lambda *args: connection.close())
    connection.connect(diary.callback("connected"))
    connection.reset(diary.callback("reset"))
    peer.settle()
    if not connection.destroyed:
        peer.feed("554 no\r\n" if event == "error" else "220 ready\r\n")
    if not connection.destroyed:
        peer.feed("250 scripted\r\n")
    peer.hang_up()

    assert diary.names().count("end") == 1
    assert diary.names()[-1] == "end"
    assert len(diary.of("connected")) == len(diary.of("reset")) == 1
    assert diary.of("error") == [] or event in ("error", "end")


def test_close_on_another_thread_comes_before_what_has_arrived_since(by_hand, diary):
    """After ``close()`` nothing succeeds any more, and no command is sent."""
    connection, peer = by_hand()
    connection.connect(diary.callback("connected"))
    connection.reset(diary.callback("reset"))
    peer.feed("220 ready\r\n")
    peer.heard()
    peer.sock.sendall(b"250 scripted\r\n")
    thread = threading.Thread(target=connection.close)
    thread.start()
    thread.join()
    assert connection.destroyed
    peer.settle()

    closed_early(diary, "connected", "reset")
    assert peer.heard() == b""


def test_nothing_is_said_after_close_in_a_callback(by_hand, diary):
    connection, peer = by_hand()

    def close_and_answer():
        connection.close()
        peer.sock.sendall(b"250 ok\r\n")

    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    assert peer.heard().endswith(b"MAIL FROM:<a@example.com>\r\n")
    connection.reactor.call_soon(close_and_answer)
    peer.settle()

    assert peer.heard() == b""
    assert diary.names() == ["connect", "sent", "end"]


def test_close_on_another_thread_while_the_source_is_asked_leaves_the_message_unfinished(
    by_hand, diary
):
    connection, peer = by_hand()

    def lines():
        yield b"x" * 70_000
        thread = threading.Thread(target=connection.close)
        thread.start()
        thread.join()

    connection.connect()
    connection.send(ENVELOPE, lines(), diary.callback("sent"))
    for reply in ("220 ready", "250 scripted", "250 ok", "250 ok", "354 go"):
        peer.feed(f"{reply}\r\n")

    assert peer.heard().endswith(b"DATA\r\n" + b"x" * 70_000)
    err = diary.error("sent")
    assert (err.code, err.inDoubt) == ("ECONNECTION", False)


def test_the_server_s_last_words_are_not_waited_for(ready, diary):
    """``close()`` gives a connection back in good order: our side first, then theirs."""
    connection, peer = ready()
    connection.close()
    peer.settle()
    assert diary.names() == ["connect", "end"]
    assert peer.sock.recv(1) == b""  # they know
    peer.feed("421 what?\r\n250 anything\r\n")
    peer.hang_up()

    assert diary.names() == ["connect", "end"]
    assert connection.lastServerResponse.startswith("250-scripted")


# -- quit() ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        None,
        ("client", "EHLO"),
        ("server", "354"),
        ("stream", "hi"),
        ("server", "250 2.0.0 queued"),
        ("client", "QUIT"),
        ("server", "221"),
    ],
    ids=str,
)
def test_quit_at_any_moment_comes_after_what_is_queued(serve, connect_to, reactor, diary, moment):
    def script(peer):
        peer.greet()
        peer.take_message()
        peer.take_quit()

    connection = connect_to(serve(script))

    def quit_at_the_moment(entry):
        if moment is not None and entry.type == moment[0] and entry.message.startswith(moment[1]):
            connection.quit()

    connection.on("log", quit_at_the_moment)
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    if moment in (None, ("client", "QUIT"), ("server", "221")):
        connection.quit()
        connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.of("sent")[0][0] is None
    assert diary.commands().count("QUIT") == 1


def test_quit_during_the_look_up_waits_for_the_session(serve, connect_to, reactor, diary):
    connection = connect_to(serve(lambda peer: (peer.greet(), peer.take_quit())), host="localhost")
    connection.connect()
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "end"]


def test_what_comes_after_quit_fails(ready, diary):
    connection, peer = ready()
    connection.quit()
    connection.reset(diary.callback("reset"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.settle()
    peer.feed("221 bye\r\n")
    peer.hang_up()

    del diary.entries[0]
    closed_early(diary, "reset", "sent")
    assert diary.error("sent").command == "API"


def test_quit_before_connect_is_an_error(by_hand, diary):
    connection, peer = by_hand()
    connection.quit()
    peer.settle()

    assert diary.names() == ["error"]
    assert "call connect() first" in diary.error().message
