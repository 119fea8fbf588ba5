"""What a pool counts."""

from __future__ import annotations

import pytest

from smtp_connection.pool.counts import Counts


def test_messages_a_second_over_the_last_minute():
    counts = Counts(1000.0)
    for tenth in range(1200):  # ten a second, for two minutes
        counts.sent_at(1000 + tenth / 10)
    assert counts.sent == 1200
    assert counts.rate(1119.9) == pytest.approx(10, rel=0.02)
    assert counts.rate(1149.9) == pytest.approx(5, rel=0.04)
    assert counts.rate(1180) == 0
    assert counts.rate(5000) == 0


def test_at_the_beginning_the_time_is_shorter():
    counts = Counts(50.5)
    for _ in range(20):
        counts.sent_at(51)
    assert counts.rate(51) == 20
    assert counts.rate(60.5) == 2


def test_after_a_long_silence_the_old_seconds_do_not_count():
    counts = Counts(0.0)
    for second in range(60):
        counts.sent_at(second)
    counts.sent_at(10_000)
    assert counts.rate(10_000) == pytest.approx(1 / 60)
