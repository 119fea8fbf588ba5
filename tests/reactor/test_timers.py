"""Timers: their order, and what becomes of those that are cancelled."""

from __future__ import annotations

import pytest

from tests.support.helpers import fail_with


def test_timers_run_by_deadline_and_those_of_one_deadline_in_sequence(timed, clock):
    calls = []
    for seconds, name in [(2, "c"), (1, "a"), (3, "e"), (1, "b"), (2, "d"), (4, "late")]:
        timed.call_later(seconds, calls.append, name)
    clock.now += 3
    timed.run_once()
    assert calls == ["a", "b", "c", "d", "e"]
    assert timed.next_timeout() == 1


def test_a_timer_is_not_early(timed, clock):
    calls = []
    timed.call_later(10, calls.append, "due")
    clock.now += 9.999
    timed.run_once()
    assert calls == []
    clock.now += 0.001
    assert not timed.run_once()
    assert calls == ["due"]


def test_callbacks_come_before_the_timers_of_the_same_turn(timed):
    calls = []
    timed.call_later(0, calls.append, "timer")
    timed.call_soon(calls.append, "soon")
    timed.run_once()
    assert calls == ["soon", "timer"]


def test_ready_timers_are_detached_before_any_of_them_runs(timed):
    """Otherwise a timer that starts itself anew without a delay would never let go."""
    calls = []

    def again():
        calls.append("again")
        timed.call_later(0, again)

    timed.call_later(0, again)
    timed.call_later(0, calls.append, "sibling")
    timed.run_once()
    assert calls == ["again", "sibling"]


def test_a_timer_that_an_earlier_one_of_its_turn_cancels_does_not_run(timed):
    timed.call_later(0, lambda: later.cancel())
    later = timed.call_later(0, pytest.fail)
    assert later.active
    assert not timed.run_once()
    assert not later.active


def test_a_timer_is_cancelled_once_and_not_after_it_has_run(timed):
    timer = timed.call_later(0, lambda: None)
    other = timed.call_later(100, pytest.fail)
    assert timed.run_once()
    assert not timer.active
    timer.cancel()
    assert timed.run_once(), "the other timer is still to come"
    other.cancel()
    other.cancel()
    assert not timed.run_once()


def test_a_raising_timer_is_over(timed):
    timed.call_later(0, fail_with, "timer")
    with pytest.raises(LookupError):
        timed.run_once()
    assert not timed.run_once()


def test_cancelled_timers_do_not_pile_up(timed):
    """A long time-out on each of many short operations."""
    kept = [timed.call_later(100 + number, pytest.fail) for number in range(3)]
    for _ in range(10_000):
        timed.call_later(50, pytest.fail).cancel()
        assert len(timed._timers.heap) <= 100
    assert [entry[2] for entry in sorted(timed._timers.heap) if entry[2].active] == kept
    for timer in kept:
        timer.cancel()
    assert not timed.run_once()


def test_the_order_of_timers_outlives_the_clearing_of_cancelled_ones(timed, clock):
    calls = []
    deadlines = [number * 37 % 101 for number in range(101)]
    for seconds in deadlines:
        timed.call_later(seconds, calls.append, seconds)
    for timer in [timed.call_later(50, pytest.fail) for _ in range(1000)]:
        timer.cancel()
    clock.now += 100
    timed.run_once()
    assert calls == sorted(deadlines)


def test_run_does_not_go_on_for_a_timer_that_does_not_count(timed, clock):
    calls = []
    assert timed.call_later(10, calls.append, "late").unref().active
    timed.run()
    assert calls == []
    assert not timed.run_once()

    clock.now += 10
    timed.run_once()
    assert calls == ["late"]


def test_a_timer_that_does_not_count_hides_none_that_does(timed, clock):
    calls = []
    timed.call_later(1, calls.append, "first").unref()
    second = timed.call_later(2, calls.append, "second")
    assert timed.run_once()
    clock.now += 1
    assert timed.run_once()
    assert calls == ["first"]
    second.cancel()
    assert not timed.run_once()
