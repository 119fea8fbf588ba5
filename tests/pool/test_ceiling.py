"""How many connections there may be, and when the next may be opened."""

from __future__ import annotations

import pytest

from smtp_connection.pool.ceiling import Ceiling, Openings


def test_it_is_halved_and_never_nothing():
    ceiling = Ceiling(20)
    seen = [ceiling.at(0)]
    for second in range(1, 7):
        assert ceiling.lower(second, second)
        seen.append(ceiling.at(second))
    assert seen == [20, 10, 5, 2, 1, 1, 1]


def test_it_grows_by_one_a_minute_up_to_where_it_was():
    ceiling = Ceiling(4)
    ceiling.lower(100, 99)
    assert [ceiling.at(now) for now in (100, 159.9, 160, 219, 220, 9999)] == [2, 2, 3, 3, 4, 4]


def test_a_complaint_starts_the_minute_anew():
    ceiling = Ceiling(10)
    ceiling.lower(0, 0)
    assert ceiling.at(59) == 5
    ceiling.lower(59, 58)
    assert [ceiling.at(now) for now in (60, 118, 119)] == [2, 2, 3]


def test_complaints_about_connections_of_before_count_once():
    ceiling = Ceiling(16)
    assert ceiling.lower(10, 9)
    assert not ceiling.lower(10.5, 9)
    assert not ceiling.lower(65, 9.9)
    assert ceiling.at(65) == 8
    assert ceiling.lower(70, 11)
    assert ceiling.at(70) == 4


def test_attempts_are_put_off_for_longer_and_longer():
    openings = Openings(5)
    now, pauses = 0.0, []
    for _ in range(8):
        began, now = now, now + 1
        openings.failed(now, began + 0.5, alone=True)
        pauses.append(round(openings.not_before - now, 6))
        now = openings.not_before
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert openings.in_a_row == 8


def test_attempts_that_fail_together_are_one_failure():
    openings = Openings(5)
    for _ in range(10):
        openings.failed(1.0, 0.5, alone=True)
    assert openings.in_a_row == 1


def test_a_failure_beside_a_connection_that_works_does_not_count():
    openings = Openings(5)
    openings.failed(1.0, 0.5, alone=False)
    assert openings.in_a_row == 0
    assert openings.not_before == pytest.approx(1.05)


def test_who_has_waited_for_too_long():
    openings = Openings(1)
    early, late = openings.count, None
    openings.failed(1.0, 0.5, alone=True)
    late = openings.count
    assert not openings.exhausted(early)
    openings.failed(2.0, 1.5, alone=True)
    assert openings.exhausted(early)
    assert not openings.exhausted(late)
    openings.succeeded()
    assert not openings.exhausted(early)
    openings.failed(3.0, 2.5, alone=True)
    assert not openings.exhausted(early)
    openings.failed(4.0, 3.5, alone=True)
    assert openings.exhausted(early)


def test_who_waits_for_ever():
    openings = Openings(-1)
    for second in range(100):
        openings.failed(second + 1, second + 0.5, alone=True)
    assert not openings.exhausted(0)


def test_connections_that_are_dropped_at_once_put_off_the_next_until_one_is_useful():
    openings = Openings(5)
    openings.dropped(1.0)
    openings.succeeded()
    openings.dropped(2.0)
    assert openings.not_before == pytest.approx(2.1)
    openings.useful()
    assert openings.not_before == 0
    openings.dropped(3.0)
    assert openings.not_before == pytest.approx(3.05)
