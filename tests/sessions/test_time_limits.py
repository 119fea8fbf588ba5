"""``commandTimeouts`` and ``sendTimeout``: how long one command, and one message, may take."""

from __future__ import annotations

import pytest
from pyee import EventEmitter

from smtp_connection import AbortController
from tests.support.helpers import garbage_of
from tests.support.sessions import ENVELOPE, PASSWORD

OPENING = ["220 ready", "250 scripted"]
TO_THE_VERDICT = [*OPENING, "250 ok", "250 ok", "354 go"]


@pytest.fixture
def at(by_hand, diary):
    """A connection that has heard ``replies`` after it was told to send a message."""

    def make(replies, content="hi", **options):
        connection, peer = by_hand(**options)
        connection.connect()
        connection.send(ENVELOPE, content, diary.callback("sent"))
        connection.noop(diary.callback("behind"))
        for reply in replies:
            peer.feed(f"{reply}\r\n")
        peer.heard()
        return connection, peer

    return make


# -- commandTimeouts -------------------------------------------------------------------------------

MOMENTS = {"MAIL": 2, "RCPT": 3, "DATA": 4, "dataEnd": 5}


@pytest.mark.parametrize("name", MOMENTS)
def test_each_command_has_a_time_out_of_its_own(at, diary, movable_clock, name):
    replies = TO_THE_VERDICT[: MOMENTS[name]]
    _, peer = at(replies, commandTimeouts={name: 7_000}, socketTimeout=60_000)
    movable_clock.ahead += 6.5
    peer.settle()
    assert not diary.of("sent")
    movable_clock.ahead += 1
    peer.settle()
    err = diary.error("sent")
    assert (err.code, err.inDoubt) == ("ETIMEDOUT", name == "dataEnd")
    assert err.message.startswith("Timeout: silence for 7000 ms, waiting for the reply to ")


@pytest.mark.parametrize(
    ("name", "call", "said"),
    [
        ("RSET", lambda connection, callback: connection.reset(callback), "RSET"),
        ("NOOP", lambda connection, callback: connection.noop(callback), "NOOP"),
        ("NOOP", lambda connection, callback: connection.command("noop", callback), "noop"),
        ("AUTH", lambda connection, callback: connection.login(PASSWORD, callback), "AUTH"),
    ],
)
def test_other_commands_have_one_if_you_say_so(by_hand, diary, movable_clock, name, call, said):
    connection, peer = by_hand(commandTimeouts={name.lower(): 7_000})
    connection.connect()
    call(connection, diary.callback("called"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    assert peer.heard().decode().splitlines()[-1].startswith(said)
    movable_clock.ahead += 8
    peer.settle()
    assert diary.error("called").message.startswith("Timeout: silence for 7000 ms")


def test_ehlo_has_one_if_you_say_so(by_hand, diary, movable_clock):
    connection, peer = by_hand(commandTimeouts={"EHLO": 7_000})
    connection.connect()
    peer.feed("220 ready\r\n")
    movable_clock.ahead += 8
    peer.settle()
    assert diary.error().message == "Timeout: silence for 7000 ms, waiting for the reply to EHLO"


def test_socket_timeout_is_never_exceeded(at, diary, movable_clock):
    _, peer = at(TO_THE_VERDICT, socketTimeout=5_000)
    movable_clock.ahead += 6
    peer.settle()
    assert diary.error("sent").message.startswith("Timeout: silence for 5000 ms")


def test_nobody_waits_for_the_system_while_the_source_has_nothing(at, diary, movable_clock):
    """Three minutes of RFC 5321 are for a piece to be taken, not for it to be made."""
    stream = EventEmitter()
    connection, peer = at(OPENING, stream)
    stream.emit("data", b"x" * 300_000)
    for reply in TO_THE_VERDICT[2:]:
        peer.settle()
        peer.feed(f"{reply}\r\n")
    while peer.heard():
        peer.settle()
    movable_clock.ahead += 400
    peer.settle()
    assert not diary.of("sent")
    movable_clock.ahead += 400
    peer.settle()
    assert "silence for 600000 ms" in diary.error("sent").message
    assert connection.destroyed


def test_a_piece_that_the_server_does_not_take(at, diary, movable_clock):
    _, peer = at(TO_THE_VERDICT, b"x" * 20_000_000)
    peer.settle()
    movable_clock.ahead += 190
    peer.settle()
    text = "Timeout: silence for 180000 ms, waiting for the end of the message"
    assert diary.error("sent").message == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"MIAL": 1}, "unknown commandTimeouts option 'MIAL'"),
        ({"MAIL": "1"}, "commandTimeouts option 'MAIL' takes a number of milliseconds"),
        (5, "commandTimeouts options are a dict; got int"),
    ],
)
def test_wrong_time_outs_are_refused(by_hand, given, text):
    with pytest.raises(TypeError) as caught:
        by_hand(commandTimeouts=given)
    assert text.lower() in str(caught.value).lower()


# -- sendTimeout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_message_that_takes_too_long_is_cut_off(at, diary, movable_clock, count):
    connection, peer = at(TO_THE_VERDICT[:count], sendTimeout=9_000)
    movable_clock.ahead += 10
    peer.settle()
    err = diary.error("sent")
    assert (err.code, err.inDoubt, err.permanent) == ("ETIMEDOUT", False, False)
    assert err.message.startswith("Timeout: the message was not sent in 9000 ms, waiting for")
    assert diary.error("behind").code == "ECONNECTION"
    assert connection.destroyed


def test_it_counts_from_the_turn_of_the_message(at, diary, movable_clock):
    _, peer = at([], sendTimeout=9_000)
    movable_clock.ahead += 20  # the greeting takes its time
    for reply in OPENING:
        peer.feed(f"{reply}\r\n")
    movable_clock.ahead += 8
    for reply in (*TO_THE_VERDICT[2:], "250 taken"):
        peer.feed(f"{reply}\r\n")
    assert diary.of("sent")[0][0] is None
    movable_clock.ahead += 8  # nothing else has a deadline
    peer.feed("250 ok\r\n")
    assert diary.of("behind") == [(None, True)]


def test_signs_of_life_do_not_help(at, diary, movable_clock):
    _, peer = at(OPENING, sendTimeout=9_000)
    for reply in TO_THE_VERDICT[2:4]:
        movable_clock.ahead += 5
        peer.feed(f"{reply}\r\n")
    assert diary.error("sent").code == "ETIMEDOUT"


@pytest.mark.parametrize("verdict", ["250 taken", None])
def test_the_verdict_is_waited_for_a_little_longer(at, diary, movable_clock, verdict):
    _, peer = at(TO_THE_VERDICT, sendTimeout=9_000)
    movable_clock.ahead += 10
    peer.settle()
    assert not diary.of("sent")
    if verdict is not None:
        peer.feed(f"{verdict}\r\n")
        assert diary.of("sent")[0][0] is None
        peer.feed("250 ok\r\n")
        assert diary.of("behind") == [(None, True)]
        return
    movable_clock.ahead += 6
    peer.settle()
    err = diary.error("sent")
    assert (err.code, err.inDoubt) == ("ETIMEDOUT", True)


def test_a_message_whose_source_takes_too_long_is_taken_back(at, diary, movable_clock):
    _, peer = at(OPENING, EventEmitter(), sendTimeout=9_000)
    movable_clock.ahead += 10
    peer.settle()
    err = diary.error("sent")
    assert err.message.endswith("not sent in 9000 ms, waiting for the message source")
    assert peer.heard() == b"NOOP\r\n"
    peer.feed("250 ok\r\n")
    assert diary.of("behind") == [(None, True)]


def test_a_message_that_is_aborted_has_no_deadline_any_more(by_hand, diary, movable_clock):
    controller = AbortController()
    connection, peer = by_hand(sendTimeout=9_000)
    connection.connect()
    source = EventEmitter()
    connection.send(ENVELOPE, source, diary.callback("sent"), signal=controller.signal)
    for reply in OPENING:
        peer.feed(f"{reply}\r\n")
    controller.abort()
    peer.settle()
    assert diary.error("sent").code == "EABORT"
    movable_clock.ahead += 20
    peer.settle()
    assert not connection.destroyed


def test_no_garbage_is_left(at, diary):
    def session():
        connection, peer = at([*TO_THE_VERDICT, "250 taken", "250 ok"], sendTimeout=9_000)
        connection.close()
        peer.settle()
        diary.entries.clear()
        diary.log.clear()

    assert garbage_of(session) == []
