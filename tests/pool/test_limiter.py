"""The limit on how many transactions begin in which time, by itself."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection.pool.limiter import Window


def worst_window(times, delta):
    """Return the largest number of ``times`` in any closed window of ``delta``."""
    return max(sum(start <= time <= start + delta for time in times) for start in times)


def test_without_a_limit_nobody_waits():
    window = Window(0, 1)
    for _ in range(1000):
        assert window.wait(0) == 0
        window.take()
        window.began(0)


def test_it_is_open_if_there_is_neither_a_limit_nor_a_pause():
    assert not Window(1, 1).open
    window = Window(0, 1)
    assert window.open
    window.pause(10.0, 2.0)
    assert not window.open
    assert window.wait(11.0) == 1.0
    assert not window.open
    assert window.wait(12.0) == 0
    assert window.open


def test_so_many_and_then_a_pause():
    window = Window(2, 1.0)
    for now in (0.0, 0.3):
        assert window.wait(now) == 0
        window.take()
        window.began(now)
    assert window.wait(0.5) == pytest.approx(0.5, abs=0.001)
    assert window.wait(1.0) > 0  # the window is closed on both sides
    assert window.wait(1.001) == 0


def test_a_permit_counts_until_its_transaction_has_begun():
    window = Window(2, 1.0)
    window.take()
    window.take()
    assert window.wait(0) == window.wait(100) == math.inf
    window.began(100)
    assert window.wait(100) == pytest.approx(1.0, abs=0.001)
    assert window.wait(101.5) == 0


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1.5)), min_size=1, max_size=60),
)
def test_no_window_holds_more(limit, steps):
    """Whoever may begins, after a while of his own."""
    window, now = Window(limit, 1.0), 0.0
    begun: list[float] = []
    waiting: list[float] = []

    def let_begin(until):
        while waiting and waiting[0] <= until:
            time = waiting.pop(0)
            window.began(time)
            begun.append(time)

    for pause, delay in steps:
        now += pause
        let_begin(now)
        while (wait := window.wait(now)) > 0:
            if wait == math.inf:
                now = waiting[0]
                let_begin(now)
            else:
                now += wait
                let_begin(now)
        window.take()
        waiting.append(now + delay)
        waiting.sort()
    let_begin(math.inf)
    assert worst_window(begun, 1.0) <= limit


def test_a_pause_is_for_everybody_and_longer_each_time():
    window = Window(0, 1)
    now, pauses = 0.0, []
    for _ in range(8):
        pauses.append(window.pause(now, None))
        assert window.wait(now) == pytest.approx(pauses[-1])
        assert window.pause(now, None) == pytest.approx(pauses[-1])  # another connection's
        now += pauses[-1]
        assert window.wait(now) == 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    window.accepted()
    assert window.pause(now, None) == 1


def test_a_pause_whose_length_is_named():
    window = Window(0, 1)
    assert window.pause(5.0, 300.0) == 300
    assert window.wait(6.0) == 299


def test_the_whole_limit_is_used():
    window, now, begun = Window(5, 1.0), 0.0, []
    while now < 10:
        wait = window.wait(now)
        if wait:
            now += wait
        else:
            window.take()
            window.began(now)
            begun.append(now)
    assert len(begun) == 50
    assert all(b >= a for a, b in pairwise(begun))
