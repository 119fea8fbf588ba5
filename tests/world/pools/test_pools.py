"""The world with a pool: some schedules of it, and whether one can rely on it.

Many more: ``python -m tests.world.pools --schedules 100000``.
"""

from __future__ import annotations

from collections import Counter

import pytest

from smtp_connection.pool import dispatcher
from smtp_connection.pool.ceiling import Ceiling
from smtp_connection.pool.dispatcher import Dispatcher
from smtp_connection.pool.entry import Entry
from smtp_connection.pool.limiter import Window
from smtp_connection.pool.queue import Queue
from smtp_connection.pool.verdicts import Stage, Verdict

from ..judge import BrokenInvariant
from ..schedule import virtual_world
from . import run_pool_schedule
from .__main__ import main

SCHEDULES = 1_500


@pytest.fixture
def in_the_world():
    with virtual_world():
        yield


@pytest.mark.timeout(300)
def test_no_schedule_breaks_an_invariant(in_the_world):
    tally = Counter()
    for seed in range(SCHEDULES):
        run_pool_schedule(seed, tally)
    # And these were not the same ones again and again.
    for what in (
        "outcome: sent",
        "outcome: in doubt",
        "messages that were queued again",
        "a message arrived again after a refusal",
        "the site refuses a login",
        "the site says 432 or 454",
        "the site turns a connection away",
        "close drain",
        "close force",
        "close ",
        "never closed",
        "from a callback: raise",
        "outcome: failed with EABORT",
    ):
        assert tally[what] > 2, what


def test_a_seed_decides_everything(in_the_world):
    def history_of(seed):
        history = []
        run_pool_schedule(seed, history=history)
        return history

    histories = [history_of(seed) for seed in range(50)]
    assert [history_of(seed) for seed in range(50)] == histories
    assert len({tuple(history) for history in histories}) > 45


# -- faults that are planted -----------------------------------------------------------------------


def send_again(change):
    verdict_on = dispatcher.verdict_on

    def changed(error, stage, replayable=True):
        return change(error, stage) or verdict_on(error, stage, replayable)

    return {(dispatcher, "verdict_on"): changed}


def after(owner, name, more):
    """Call ``more(self)`` after the method."""
    method = getattr(owner, name)

    def changed(self, *args, **kwargs):
        result = method(self, *args, **kwargs)
        more(self)
        return result

    return {(owner, name): changed}


def instead(owner, name, function):
    return {(owner, name): function}


def tell_failures_alone(self, report):
    if self._outcome[0] is not None:
        tell(self, report)


def truthless(self, entry, error, info=None):
    if error is not None and error.inDoubt:
        error.inDoubt = False
    settle(self, entry, error, info)


settle = Dispatcher._settle
tell = Entry.tell
at = Ceiling.at
popleft = Queue.popleft
close = Dispatcher.close


def tell_again(self, report):
    callback = self._callback
    tell(self, report)
    if callback is not None:
        self._callback, self.told = callback, False
        tell(self, report)


def tell_and_keep_sources(self, report):
    self.message = None
    tell(self, report)


def without_drain(self, *, drain, force, callback):
    close(self, drain=False, force=force, callback=callback)


def newest(queue):
    entries = queue._entries
    entries.reverse()
    try:
        return popleft(queue)
    finally:
        entries.reverse()


FAULTS = {
    "what is in doubt is sent again": (
        send_again(lambda error, stage: Verdict(again=True) if error.inDoubt else None),
        "in doubt, is sent again|a second time",
    ),
    "a doubt is not told": (instead(Dispatcher, "_settle", truthless), "was accepted"),
    "a refused password is tried again": (
        send_again(lambda error, stage: Verdict(again=True) if stage == Stage.LOGIN else None),
        "tried again",
    ),
    "there is no rate limit": (
        instead(Window, "free", lambda self, now: 100),
        "begin within rateDelta",
    ),
    "the rate limit is of the second before": (
        after(Window, "began", lambda self: self._begun.pop()),
        "begin within rateDelta",
    ),
    "there is a connection too many": (
        instead(Ceiling, "at", lambda self, now: at(self, now) + 1),
        "there are . connections",
    ),
    "a callback is called twice": (instead(Entry, "tell", tell_again), "called again"),
    "a callback is forgotten": (instead(Entry, "tell", tell_failures_alone), "called 0 times"),
    "the last in is the first out": (
        instead(Queue, "popleft", newest),
        "begins after|although it was queued before",
    ),
    "sources are not let go of": (
        instead(Entry, "tell", tell_and_keep_sources),
        "was not let go of",
    ),
    "drain does not drain": (
        instead(Dispatcher, "close", without_drain),
        "before close\\(\\) with drain",
    ),
}


def plant(monkeypatch, fault):
    for (owner, name), changed in FAULTS[fault][0].items():
        monkeypatch.setattr(owner, name, changed)


def first_broken(monkeypatch, fault, seeds=range(3_000)):
    plant(monkeypatch, fault)
    for seed in seeds:
        try:
            run_pool_schedule(seed)
        except BrokenInvariant as broken:
            return seed, broken
    raise AssertionError(f"nobody notices that {fault}")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_pool_breaks_an_invariant(in_the_world, monkeypatch, fault):
    _, broken = first_broken(monkeypatch, fault)
    with pytest.raises(BrokenInvariant, match=FAULTS[fault][1]):
        raise broken


# -- the command -----------------------------------------------------------------------------------


def test_the_command_tells_what_happened(capsys):
    assert main(["--schedules", "40", "--seed", "7"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("40 schedules, seeds 7 to 46: no invariant is broken\n")
    assert "outcome: sent" in output


def test_a_seed_that_fails_is_told_with_its_history_and_fails_again(monkeypatch, capsys):
    with virtual_world():
        seed, broken = first_broken(monkeypatch, "what is in doubt is sent again")
    assert main(["--schedules", "3000"]) == 1
    output = capsys.readouterr().out
    assert f"Seed {seed} breaks an invariant: {broken}\n" in output
    assert f"python -m tests.world.pools --seed {seed} --schedules 1\n" in output
