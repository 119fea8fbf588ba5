"""Many messages, some of whose connections are killed: see ``load``, here with fewer of them."""

from __future__ import annotations

import sys

import pytest

from tests.support.killing_server import Server
from tests.support.planted_faults import plant

from .load import (
    DELIVERED,
    FAILED,
    IN_DOUBT,
    PoolCycle,
    Usage,
    disagreements,
    growth,
    run_cycle,
)

CONNECTIONS, MESSAGES, KILLED = 100, 20, 20

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="it counts in /proc what is in use"
)


@pytest.fixture
def server():
    with Server(CONNECTIONS, MESSAGES, KILLED, seed=1) as server:
        yield server


def test_every_message_is_accounted_for_and_nothing_is_left(server):
    blocks, descriptors = [], []
    for _ in range(3):
        result = run_cycle(server, CONNECTIONS, MESSAGES)
        assert not result.problems
        assert sum(result.outcomes) == CONNECTIONS * MESSAGES
        assert all(result.outcomes)
        descriptors.append(result.usage.descriptors)
        blocks.append(sys.getallocatedblocks())
    assert len(set(descriptors)) == 1
    # Python's own count: not even one object for every other connection.
    assert blocks[2] - blocks[1] < CONNECTIONS / 2


def test_a_pool_sends_what_was_dropped_again_and_nothing_twice(server):
    result = run_cycle(server, CONNECTIONS, MESSAGES, PoolCycle)
    assert not result.problems
    delivered, failed, in_doubt = result.outcomes
    assert (delivered + in_doubt, failed) == (CONNECTIONS * MESSAGES, 0)
    assert in_doubt


# -- that it would notice -----------------------------------------------------------------------


def test_it_notices_a_doubt_that_is_not_told(server, monkeypatch):
    plant(monkeypatch, "no doubt")
    problems = run_cycle(server, CONNECTIONS, MESSAGES).problems
    assert any(problem.endswith("messages failed, taken 1 times") for problem in problems)


def test_it_notices_a_message_that_is_reported_twice(server, monkeypatch):
    plant(monkeypatch, "a callback is called twice")
    assert "message 0 was reported twice" in run_cycle(server, CONNECTIONS, MESSAGES).problems


@pytest.mark.parametrize(
    ("outcome", "taken", "agrees"),
    [
        (DELIVERED, 0, False),
        (DELIVERED, 1, True),
        (DELIVERED, 2, False),
        (FAILED, 0, True),
        (FAILED, 1, False),
        (IN_DOUBT, 0, True),
        (IN_DOUBT, 1, True),
        (IN_DOUBT, 2, False),
        (0, 0, False),
        (0, 1, False),
    ],
)
def test_the_two_lists_agree_or_do_not(outcome, taken, agrees):
    assert (not disagreements(bytes([outcome]), bytes([taken]))) is agrees


def test_a_leak_of_one_object_for_each_connection_is_more_than_chance():
    def after(cycle, more=0):
        chance = 4096 * (cycle % 2)
        return Usage((20 << 20) + chance + more * cycle, chance + more * cycle, 7)

    steady = [after(cycle) for cycle in range(24)]
    leaking = [after(cycle, 80 * 1000) for cycle in range(24)]
    assert not growth(steady).problems(1000)
    assert len(growth(leaking).problems(1000)) == 2
    one_more = [*steady[:-1], steady[-1]._replace(descriptors=8)]
    assert len(growth(one_more).problems(1000)) == 1
