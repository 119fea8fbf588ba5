"""Clocks that jump, though one of them should not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from smtp_connection import Reactor
from tests.support.helpers import Clock
from tests.support.sessions import ENVELOPE

HOUR = 3600.0

JUMPING = """
import sys, time

real, ahead = time.time, [0]
time.time = lambda: real() + ahead[0]  # before anybody has taken hold of it

from smtp_connection import SMTPConnection, run

def jump():
    ahead[0] = float(sys.argv[2]) * 365 * 24 * 3600
    connection.reactor.call_soon(connection.reactor.call_soon, go_on)  # after an idle turn

def go_on():
    connection.send({"from": "a@example.com", "to": "b@example.com"}, "hi", lambda err: print(err))
    connection.quit()

connection = SMTPConnection(host="127.0.0.1", port=sys.argv[1])
connection.connect(jump)
run()
"""


@pytest.mark.parametrize("years", [10, -10])
def test_the_time_of_day_may_jump(serve, years):
    """Nothing but the monotonic clock is asked."""

    def script(peer):
        peer.greet()
        peer.take_message()
        peer.take_quit()

    command = [sys.executable, "-W", "error", "-c", JUMPING, str(serve(script).port), str(years)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_a_clock_that_jumps_ahead_fires_every_timer_once_and_in_order():
    clock = Clock()
    calls = []
    with Reactor(clock=clock) as reactor:
        for seconds in (HOUR, 1, 60, 3 * HOUR, 2):
            reactor.call_later(seconds, calls.append, seconds)
        clock.now += 2 * HOUR
        reactor.run_once()
        assert calls == [1, 2, 60, HOUR]
        assert reactor.run_once(0)
        clock.now += 2 * HOUR
        assert not reactor.run_once()
    assert calls == [1, 2, 60, HOUR, 3 * HOUR]


def test_a_clock_that_jumps_ahead_ends_every_session_once(by_hand, diary, movable_clock, reactor):
    for _ in range(3):
        connection, _ = by_hand()
        connection.connect(diary.callback("connected"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))
    reactor.run_once()
    movable_clock.ahead += 24 * HOUR
    reactor.run()
    assert diary.names() == [*["error", "connected", "sent", "end"] * 3]
    assert {error.code for (error,) in diary.of("error")} == {"ETIMEDOUT"}


def test_a_clock_that_goes_back_holds_up_time_outs_and_nothing_else(by_hand, diary, movable_clock):
    """Contrary to what is asked of a clock; what is promised is that mail is sent, and that nothing
    times out early: the time-outs are late by what the clock has lost."""
    connection, peer = by_hand(socketTimeout=60_000)
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.feed("220 ready\r\n")
    movable_clock.ahead -= HOUR
    for reply in ("250 scripted", "250 ok", "250 ok", "354 go", "250 queued"):
        peer.feed(f"{reply}\r\n")
    assert diary.names() == ["connect", "sent"]
    movable_clock.ahead += HOUR + 30
    peer.settle()
    assert diary.names() == ["connect", "sent"]
    movable_clock.ahead += 61
    peer.settle()
    assert diary.names() == ["connect", "sent", "error", "end"]
    assert diary.error().code == "ETIMEDOUT"
