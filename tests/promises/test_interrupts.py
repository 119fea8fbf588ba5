"""Interrupts between any two lines: a second ``close()`` and ``run()`` end everything.

The suite tries every seventh line; ``python -m tests.promises.interrupts`` tries each.
"""

from __future__ import annotations

import pytest

from .interrupts import PROGRAMS, lines_of, problems_of, took_its_place

STRIDE = 7


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


def test_it_notices_what_an_interrupt_has_broken(monkeypatch):
    from smtp_connection.driver.lifecycle import Lifecycle

    monkeypatch.setattr(Lifecycle, "broke", lambda self, exc: None)
    monkeypatch.setattr(Lifecycle, "close", lambda self: None)
    found = [problems_of("closing", at)[0] for at in range(0, 600, 60)]
    assert any("it goes on, or waits for a time-out" in str(problems) for problems in found)
