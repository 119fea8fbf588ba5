"""Cancelled operations leave nobody out of step, and no word is false.

The suite cancels some hundreds; ``python -m tests.promises.cancellations`` cancels 10,000.
"""

from __future__ import annotations

from smtp_connection.aio.answers import Answer
from smtp_connection.driver.lifecycle import Lifecycle
from smtp_connection.protocol.steps import Command

from .cancellations import Trial

COUNT = 600


def trial(limit=None):
    made = Trial(COUNT, 7, limit)
    made.run()
    return made


def test_nobody_is_out_of_step():
    done = trial()
    assert done.problems == []
    assert sum(done.ends.values()) >= COUNT
    ends = {end.partition(";")[0] for end in done.ends}
    assert {"value", "cancelled", "timeout", "EABORT"} <= ends
    assert any(told.in_doubt for told in done.told)


def test_it_notices_verdicts_that_get_lost(monkeypatch):
    monkeypatch.setattr(Answer, "_must_be_told", False)
    assert any("was accepted, and its task told" in problem for problem in trial().problems)


def test_it_notices_cancellations_that_get_lost(monkeypatch):
    monkeypatch.setattr("smtp_connection.aio.answers._cancel_again_later", lambda: None)
    monkeypatch.setattr("tests.promises.cancellations.PATIENCE", 0.5)
    assert any("a cancellation was lost" in problem for problem in trial().problems)


def test_it_notices_a_connection_that_is_out_of_step(monkeypatch):
    """One that goes on although a reply is still to come, which the next command gets."""
    cut_off = Lifecycle.cut_off

    def go_on(self, error):
        operations, exchange = self._operations, self._exchange
        operation = operations.current
        if operation is None or not isinstance(exchange._step, Command):
            cut_off(self, error)
            return
        operations.current = None
        exchange._drop()
        self._settle(operation, error)
        self.next_dialogue()

    monkeypatch.setattr(Lifecycle, "cut_off", go_on)
    assert trial(10).problems
