"""Servers that announce LIMITS (RFC 9422), in whole sessions."""

from __future__ import annotations

import pytest

from tests.support.sessions import ENVELOPE

THREE = {"from": "a@x.org", "to": ["b@x.org", "c@x.org", "d@x.org"]}
NO_MORE = "The server takes at most 2 messages in a session (LIMITS MAILMAX)"


def take(peer, recipients, pipelining, final="250 2.0.0 queued"):
    turns = [("MAIL", "250 ok"), *[("RCPT", "250 ok")] * recipients, ("DATA", "354 go")]
    peer.play_envelope(*turns, pipelining=pipelining)
    content = peer.read_message()
    peer.send(f"{final}\r\n")
    return content


@pytest.fixture(params=[False, True], ids=["step by step", "pipelined"])
def pipelining(request):
    return request.param


@pytest.fixture
def session(serve, connect_to, reactor, diary, pipelining):
    """Connect to a server that announces ``limits`` and plays ``script``, and do ``calls``."""

    def run(limits, script, calls, **options):
        def whole(peer):
            peer.greet(f"LIMITS {limits}", *["PIPELINING"] * pipelining)
            script(peer)

        connection = connect_to(serve(whole), **options)
        connection.connect()
        calls(connection)
        reactor.run()
        return connection

    return run


def test_a_message_for_more_recipients_than_the_server_takes_at_once(session, diary, pipelining):
    contents = []

    def script(peer):
        contents.append(take(peer, 2, pipelining))
        contents.append(take(peer, 1, pipelining, final="250 2.0.0 the second"))
        peer.take_quit()

    def calls(connection):
        connection.send(THREE, "hi\r\n" * 30_000, diary.callback("sent"))
        connection.quit()

    session("RCPTMAX=2", script, calls)
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.accepted == THREE["to"]
    assert info.response == "250 2.0.0 the second"
    assert contents == [b"hi\r\n" * 30_000] * 2


@pytest.fixture
def second_part(by_hand, diary):
    """Send to three, of whom two have the message; return the connection and the peer, to which the
    message for the third is on its way."""
    connection, peer = by_hand()
    connection.connect()
    connection.send(THREE, "hi\r\n" * 300_000, diary.callback("sent"))
    connection.reset(diary.callback("later"))
    peer.feed("220 ready\r\n")
    peer.feed("250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n")
    peer.feed("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    heard = b""
    while not heard.endswith(b"\r\n.\r\n"):
        heard += peer.heard()
        peer.settle()
    peer.feed("250 2.0.0 queued\r\n")
    peer.feed("250 ok\r\n250 ok\r\n354 go\r\n")
    return connection, peer


def check_second_part(diary):
    """The first two have the message, and the callback has to say so; return the other's error."""
    ((err, info),) = diary.of("sent")
    assert err is None
    assert (info.accepted, info.rejected) == (["b@x.org", "c@x.org"], ["d@x.org"])
    (error,) = info.rejectedErrors
    assert not error.inDoubt
    return error


def test_a_connection_that_ends_while_the_second_part_is_sent(second_part, diary):
    second_part[1].hang_up()
    assert check_second_part(diary).code in ("EPIPE", "ECONNRESET")
    assert diary.names() == ["connect", "error", "sent", "later", "end"]


def test_a_second_part_that_is_closed(second_part, diary):
    connection, peer = second_part
    connection.close()
    peer.settle()
    assert check_second_part(diary).message == "Connection closed by close()"
    assert diary.names() == ["connect", "sent", "later", "end"]


def test_a_second_part_that_is_refused_too_early(second_part, diary):
    """The server would take what is left of the message for commands."""
    second_part[1].feed("552 5.3.4 too much\r\n")
    assert check_second_part(diary).responseCode == 552
    assert diary.names() == ["connect", "sent", "error", "later", "end"]
    later = diary.error("later")
    assert (later.code, later.permanent) == ("ECONNECTION", False)
    assert later.message.startswith("Connection closed, because the message before failed: ")


# -- a session with an end ------------------------------------------------------------------------


@pytest.mark.parametrize("queued", [0, 1, 3])
def test_the_session_ends_before_the_server_ends_it(session, diary, pipelining, queued):
    def script(peer):
        take(peer, 1, pipelining)
        take(peer, 1, pipelining, final="554 5.7.1 spam")  # it counts all the same
        peer.take_quit()

    def calls(connection):
        for _ in range(2 + queued):
            connection.send(ENVELOPE, "hi", diary.callback("sent"))

    connection = session("MAILMAX=2", script, calls)
    assert diary.names() == ["connect", *["sent"] * (2 + queued), "end"]
    outcomes = [err and err.message for err, _ in diary.of("sent")]
    assert outcomes == [None, "Message failed: 554 5.7.1 spam", *[NO_MORE] * queued]
    for err, _ in diary.of("sent")[2:]:
        assert (err.code, err.permanent, err.inDoubt) == ("ECONNECTION", False, False)
    assert connection.destroyed


def test_a_quit_that_was_called_for_is_said_once(session, diary, pipelining):
    def script(peer):
        take(peer, 1, pipelining)
        take(peer, 1, pipelining)
        peer.take_quit()

    def calls(connection):
        for _ in range(2):
            connection.send(ENVELOPE, "hi", diary.callback("sent"))
        connection.quit()

    session("MAILMAX=2", script, calls)
    assert diary.names() == ["connect", "sent", "sent", "end"]
    assert diary.commands().count("QUIT") == 1


def test_a_server_that_hangs_up_instead_of_saying_goodbye(session, diary, pipelining):
    def script(peer):
        take(peer, 1, pipelining)
        take(peer, 1, pipelining)
        peer.expect("QUIT")
        peer.close()

    def calls(connection):
        for _ in range(3):
            connection.send(ENVELOPE, "hi", diary.callback("sent"))

    session("MAILMAX=2", script, calls)
    assert diary.names() == ["connect", "sent", "sent", "sent", "end"]
    assert diary.of("sent")[2][0].message == NO_MORE


def test_a_probe_counts(session, diary, pipelining):
    def script(peer):
        turns = ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("RSET", "250 ok")
        peer.play_envelope(*turns, pipelining=pipelining)
        peer.expect("MAIL")
        peer.send("250 ok\r\n")
        peer.take_quit()

    def calls(connection):
        connection.probe(ENVELOPE, diary.callback("probed"))
        connection.command("MAIL FROM:<a@x.org>", diary.callback("told"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))

    session("MAILMAX=2", script, calls)
    assert diary.names() == ["connect", "probed", "told", "sent", "end"]
    assert diary.error("sent").message == NO_MORE
