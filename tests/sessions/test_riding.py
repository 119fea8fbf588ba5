"""One round trip a message: the next envelope rides in the write that carries the final dot."""

from __future__ import annotations

import socket

import pytest

from smtp_connection.abort import AbortController
from tests.support.sessions import ENVELOPE

HELLO = "250-mx\r\n250-SIZE 1000\r\n250 PIPELINING\r\n"
ENVELOPE_TAKEN = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n"
NEXT = b"MAIL FROM:<a@example.com> SIZE=%d\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
QUEUED = "250 2.0.0 queued\r\n"


def riding(text):
    """The envelope of the message ``text``."""
    return NEXT % (len(text) + 2)


@pytest.fixture
def session(by_hand, diary):
    """Send messages at once, given as texts, to a server that the test plays, and that has accepted
    the first of them; the second has not been said by then.  What is heard is one write."""

    def begin(*texts, quits=False, hello=HELLO, then=lambda connection: None, **options):
        connection, peer = by_hand(kind=socket.SOCK_SEQPACKET, **options)
        connection.connect()
        for text in texts:
            connection.send(ENVELOPE, text, diary.callback(text))
        then(connection)
        if quits:
            connection.quit()
        peer.feed("220 ready\r\n")
        peer.feed(hello)
        peer.feed(ENVELOPE_TAKEN)
        drain(peer)
        peer.feed(QUEUED)
        return connection, peer

    return begin


def drain(peer):
    """Read all that has been said so far."""
    while peer.heard():
        pass


def said(text, *behind):
    return text.encode() + b"\r\n.\r\n" + b"".join(behind)


def test_the_next_envelope_rides_in_the_write_that_carries_the_final_dot(session, diary):
    """One round trip a message, from the second one on: RFC 2920 section 3.1."""
    _, peer = session("one", "two", "three", "four", quits=True)
    assert peer.heard() == riding("two")
    peer.feed(ENVELOPE_TAKEN)
    assert peer.heard() == said("two", riding("three"))
    peer.feed(QUEUED + ENVELOPE_TAKEN)
    assert peer.heard() == said("three", riding("four"))
    peer.feed(QUEUED + ENVELOPE_TAKEN)
    assert peer.heard() == said("four", b"QUIT\r\n")
    peer.feed(QUEUED + "221 bye\r\n")
    assert peer.heard() == b""
    assert diary.names() == ["connect", "one", "two", "three", "four", "end"]
    for text in ("one", "two", "three", "four"):
        ((err, info),) = diary.of(text)
        assert err is None
        assert info.accepted == ["b@example.com"]
        assert info.messageSize == len(text) + 5


def test_the_verdict_on_the_message_before_is_settled_first_and_alone(session, diary):
    _, peer = session("one", "two", "three")
    peer.feed(ENVELOPE_TAKEN)
    peer.feed("554 5.7.1 spam\r\n" + ENVELOPE_TAKEN)
    assert diary.names() == ["connect", "one", "two"]
    assert diary.error("two").response == "554 5.7.1 spam"
    peer.feed(QUEUED)
    assert diary.of("three")[0][0] is None


def test_replies_may_arrive_in_any_cut(session, diary):
    _, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    for byte in (QUEUED + ENVELOPE_TAKEN).encode():
        peer.feed(bytes([byte]))
    assert diary.names() == ["connect", "one", "two"]
    peer.feed((QUEUED + ENVELOPE_TAKEN)[:20])
    assert diary.names() == ["connect", "one", "two", "three"]
    peer.feed((QUEUED + ENVELOPE_TAKEN)[20:])
    peer.feed(QUEUED)
    assert diary.names() == ["connect", "one", "two", "three", "four"]
    assert all(diary.of(text)[0][0] is None for text in ("two", "three", "four"))


def test_the_log_tells_it_in_the_order_in_which_it_is_said(session, diary):
    _, peer = session("one", "two", "three")
    diary.log.clear()
    peer.feed(ENVELOPE_TAKEN)
    peer.feed(QUEUED + ENVELOPE_TAKEN)
    assert [(kind, text.partition(" ")[0]) for kind, text in diary.log] == [
        *[("server", "250"), ("server", "250"), ("server", "354")],
        *[("stream", "two\r\n."), ("client", "MAIL"), ("client", "RCPT"), ("client", "DATA")],
        *[("server", "250"), ("server", "250"), ("server", "250"), ("server", "354")],
        ("stream", "three\r\n."),
    ]


# -- when nothing rides ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"pipelineMessages": False}, {"lmtp": True}])
def test_nothing_rides(session, options):
    _, peer = session("one", "two", "three", quits=True, **options)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(3)] == [riding("two"), said("two"), b""]


def test_quit_does_not_ride_behind_the_first_message(by_hand, diary):
    connection, peer = by_hand(kind=socket.SOCK_SEQPACKET)
    connection.connect()
    connection.send(ENVELOPE, "one", diary.callback("one"))
    connection.quit()
    peer.feed("220 ready\r\n")
    peer.feed(HELLO)
    drain(peer)
    peer.feed(ENVELOPE_TAKEN)
    assert peer.heard() == said("one")
    peer.feed(QUEUED)
    assert peer.heard() == b"QUIT\r\n"
    connection.close()


def test_nothing_rides_behind_the_first_message(by_hand, diary):
    """The server has yet to show that it takes mail from us."""
    connection, peer = by_hand(kind=socket.SOCK_SEQPACKET)
    connection.connect()
    connection.send(ENVELOPE, "one", diary.callback("one"))
    connection.send(ENVELOPE, "two", diary.callback("two"))
    peer.feed("220 ready\r\n")
    peer.feed(HELLO)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(4)] == [
        b"EHLO me\r\n",
        riding("one"),
        said("one"),
        b"",
    ]
    connection.close()


def test_nothing_rides_that_may_have_to_be_taken_back(session, diary):
    """An aborted message that waits for its turn leaves the connection as it is."""
    controller = AbortController()

    def then(connection):
        connection.send(ENVELOPE, "three", diary.callback("three"), signal=controller.signal)
        connection.send(ENVELOPE, "four", diary.callback("four"))

    _, peer = session("one", "two", then=then)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(2)] == [riding("two"), said("two")]
    controller.abort()
    peer.settle()
    assert diary.error("three").code == "EABORT"
    peer.feed(QUEUED)
    assert peer.heard() == riding("four")


@pytest.mark.parametrize("message", [["t", "hree"], iter(["three"])], ids=["list", "iterator"])
def test_a_message_that_is_not_there_does_not_ride(session, diary, message):
    def then(connection):
        connection.send(ENVELOPE, message, diary.callback("three"))

    _, peer = session("one", "two", then=then)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(2)] == [riding("two"), said("two")]


def test_another_operation_does_not_ride_nor_does_what_comes_behind_it(session, diary):
    def then(connection):
        connection.reset(diary.callback("reset"))
        connection.send(ENVELOPE, "three", diary.callback("three"))

    _, peer = session("one", "two", then=then)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(2)] == [riding("two"), said("two")]
    peer.feed(QUEUED)
    assert peer.heard() == b"RSET\r\n"


def test_a_message_that_fails_here_keeps_its_turn(session, diary):
    def then(connection):
        connection.send(ENVELOPE, "x" * 2000, diary.callback("large"))
        connection.send(ENVELOPE, "four", diary.callback("four"))

    _, peer = session("one", "two", then=then)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(2)] == [riding("two"), said("two")]
    peer.feed(QUEUED)
    assert diary.names() == ["connect", "one", "two", "large"]
    assert diary.error("large").code == "EMESSAGE"
    assert peer.heard() == riding("four")


# -- servers of all kinds -------------------------------------------------------------------------


def test_a_503_resends_the_commands_and_ends_the_practice(session, diary):
    """Haraka."""
    _, peer = session("one", "two", "three", "four", quits=True)
    peer.feed(ENVELOPE_TAKEN)
    assert [peer.heard() for _ in range(2)] == [riding("two"), said("two", riding("three"))]
    peer.feed(QUEUED + "503 5.5.1 wait\r\n" * 3)
    assert peer.heard() == b"RSET\r\n" + riding("three")
    peer.feed("250 reset\r\n" + ENVELOPE_TAKEN)
    assert peer.heard() == said("three")
    peer.feed(QUEUED)
    assert peer.heard() == riding("four")
    peer.feed(ENVELOPE_TAKEN)
    assert peer.heard() == said("four")
    peer.feed(QUEUED)
    assert peer.heard() == b"QUIT\r\n"
    assert all(diary.of(text)[0][0] is None for text in ("one", "two", "three", "four"))


def test_a_transaction_that_is_kept_after_a_refusal_is_reset(session, diary):
    _, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    peer.feed("554 5.7.1 spam\r\n503 5.5.1 nested MAIL\r\n250 ok\r\n503 5.5.1 what?\r\n")
    assert diary.error("two").response == "554 5.7.1 spam"
    assert [peer.heard() for _ in range(2)] == [riding("two"), said("two", riding("three"))]
    assert peer.heard() == b"RSET\r\n" + riding("three")
    peer.feed("250 reset\r\n" + ENVELOPE_TAKEN)
    assert peer.heard() == said("three", riding("four"))
    peer.feed(QUEUED)
    assert diary.of("three")[0][0] is None


def test_a_354_that_belongs_to_nobody_ends_the_session(session, diary):
    """The recipients of the message before are still in that transaction."""
    _, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    drain(peer)
    peer.feed("554 5.7.1 spam\r\n503 5.5.1 nested MAIL\r\n250 ok\r\n354 go\r\n")
    assert peer.heard() == b"", "nothing is sent into it"
    assert diary.names() == ["connect", "one", "two", "error", "three", "four", "end"]
    for text, code in (("three", "EPROTOCOL"), ("four", "ECONNECTION")):
        error = diary.error(text)
        assert (error.code, error.permanent, error.inDoubt) == (code, False, False)


def test_a_server_that_says_more_than_it_was_asked_for(session, diary):
    _, peer = session("one", "two", "three")
    peer.feed(ENVELOPE_TAKEN)
    peer.feed(QUEUED + ENVELOPE_TAKEN + "250 what?\r\n")
    assert diary.names() == ["connect", "one", "two", "error", "three", "end"]
    assert diary.error("three").code == "EPROTOCOL"
    assert not diary.error("three").inDoubt


@pytest.mark.parametrize("cut", range(4))
def test_421_ends_the_session_as_ever(session, diary, cut):
    _, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    replies = (QUEUED + ENVELOPE_TAKEN).splitlines(keepends=True)
    peer.feed("".join(replies[:cut]) + "421 4.3.2 down\r\n")
    outcomes = [diary.of(text)[0][0] for text in ("two", "three", "four")]
    assert [error and error.code for error in outcomes] == (
        ["ECONNECTION"] * 3 if cut == 0 else [None, "ECONNECTION", "ECONNECTION"]
    )
    assert not any(error.permanent or error.inDoubt for error in outcomes if error)
    assert diary.names()[-1] == "end"


# -- what stays what it was -----------------------------------------------------------------------


def time_out(connection, peer, clock):
    clock.ahead += 601


ENDINGS = {
    "close": lambda connection, peer, clock: connection.close(),
    "hang up": lambda connection, peer, clock: peer.hang_up(),
    "time out": time_out,
}


@pytest.mark.parametrize("how", ENDINGS)
def test_the_end_before_the_verdict(session, diary, how, movable_clock):
    """The message is in doubt; the one whose envelope rides is not."""
    connection, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    ENDINGS[how](connection, peer, movable_clock)
    peer.settle()
    assert [diary.error(text).inDoubt for text in ("two", "three", "four")] == [True, False, False]
    assert not any(diary.error(text).permanent for text in ("two", "three", "four"))
    assert diary.names()[-1] == "end"


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("taken", range(1, 4))
def test_the_end_behind_the_verdict(session, diary, how, taken, movable_clock):
    connection, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    peer.feed("".join((QUEUED + ENVELOPE_TAKEN).splitlines(keepends=True)[:taken]))
    ENDINGS[how](connection, peer, movable_clock)
    peer.settle()
    assert diary.of("two")[0][0] is None
    for text in ("three", "four"):
        error = diary.error(text)
        assert not error.inDoubt
        assert not error.permanent


def test_a_verdict_that_is_there_when_the_connection_is_closed_counts(session, diary):
    """So do the replies behind it, but nothing follows from them."""
    connection, peer = session("one", "two", "three", "four")
    peer.feed(ENVELOPE_TAKEN)
    drain(peer)
    peer.sock.sendall((QUEUED + ENVELOPE_TAKEN).encode())
    connection.close()
    peer.settle()
    assert diary.of("two")[0][0] is None
    assert not diary.error("three").inDoubt
    assert peer.heard() == b""


def test_an_aborted_message_is_in_doubt_and_the_one_that_rides_is_not(session, diary):
    controller = AbortController()

    def then(connection):
        connection.send(ENVELOPE, "two", diary.callback("two"), signal=controller.signal)
        connection.send(ENVELOPE, "three", diary.callback("three"))

    _, peer = session("one", then=then, socketCloseTimeout=0)
    assert peer.heard() == riding("two")
    peer.feed(ENVELOPE_TAKEN)
    assert peer.heard() == said("two", riding("three"))
    controller.abort()
    peer.settle()
    assert (diary.error("two").code, diary.error("two").inDoubt) == ("EABORT", True)
    assert not diary.error("three").inDoubt


def test_an_aborted_message_whose_verdict_comes_in_time(session, diary):
    controller = AbortController()

    def then(connection):
        connection.send(ENVELOPE, "two", diary.callback("two"), signal=controller.signal)
        connection.send(ENVELOPE, "three", diary.callback("three"))

    _, peer = session("one", then=then)
    peer.feed(ENVELOPE_TAKEN)
    controller.abort()
    peer.settle()
    peer.feed(QUEUED + ENVELOPE_TAKEN)
    assert diary.of("two")[0][0] is None
    peer.feed(QUEUED)
    assert diary.of("three")[0][0] is None


def test_a_server_that_closes_instead_of_answering_quit(session, diary):
    _, peer = session("one", "two", quits=True)
    peer.feed(ENVELOPE_TAKEN)
    drain(peer)
    peer.sock.sendall(QUEUED.encode())
    peer.hang_up()
    assert diary.names() == ["connect", "one", "two", "end"]
    assert diary.of("two")[0][0] is None
