"""Interrupts between any two lines: a second ``close()`` and ``run()`` end everything.

The suite tries some lines; ``python -m tests.promises.interrupts`` tries each.
"""

from __future__ import annotations

import pytest

from .interrupts import PROGRAMS, lines_of, pool_attempts, problems_of, took_its_place
from .pool_interrupts import problems_of_pool

STRIDE = 7
STRIDE_OF_POOLS = 101  # they run more lines


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("start", range(2))
def test_an_interrupt_is_survived_at_every_line(program, start):
    replaced = set()
    for at in range(start * STRIDE // 2, lines_of(program), STRIDE):
        problems, trace = problems_of(program, at)
        if took_its_place(problems, trace):
            replaced.add(trace.place)
            continue
        assert not problems, f"{trace.place}: {problems}"
    assert len(replaced) <= 3


@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", pool_attempts())
def test_a_pool_survives_an_interrupt_at_every_line(program):
    attempt = pool_attempts()[program]
    problems, trace = attempt(None)
    assert not problems
    for at in range(0, trace.count, STRIDE_OF_POOLS):
        problems, trace = attempt(at)
        if not took_its_place(problems, trace):
            assert not problems, f"{trace.place}: {problems}"


def test_it_notices_what_an_interrupt_has_broken(monkeypatch):
    from smtp_connection.driver.lifecycle import Lifecycle

    monkeypatch.setattr(Lifecycle, "broke", lambda self, exc: None)
    monkeypatch.setattr(Lifecycle, "close", lambda self: None)
    found = [problems_of("closing", at)[0] for at in range(0, 600, 60)]
    assert any("it goes on, or waits for a time-out" in str(problems) for problems in found)


def test_it_notices_what_an_interrupt_has_broken_in_a_pool(monkeypatch):
    from smtp_connection.pool.slot import Slot

    monkeypatch.setattr(Slot, "drop", lambda self: None)
    found = [problems_of_pool("dropped", at)[0] for at in range(0, 14_000, 101)]
    assert any("close() has called back 0 times of 2" in str(problems) for problems in found)
