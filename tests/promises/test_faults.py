"""Servers that are cut while they speak; see ``faults``, which cuts them at every byte.

Here each conversation is cut where a reply ends, where the code of a reply ends, instead of a
reply, and at some other bytes: some 2,800 sessions, which take 5 seconds.  ``python -m
tests.promises.faults`` cuts it at all of the bytes: 53,000 sessions, two minutes of CPU time.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.support.cut_server import Cut
from tests.support.planted_faults import left_open, let_jobs_end, plant

from .faults import OUTCOMES, TALKS, Case, cases_of, run, run_together, ways_of

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="nobody tells which descriptors are open"
)


@pytest.mark.parametrize(
    ("talk", "pipelining", "stride"),
    [
        ("smtp", True, 17),
        ("smtp", False, 17),
        ("lmtp", True, 17),
        ("lmtp", False, 17),
        ("starttls", True, 151),
        ("starttls", False, 151),
        ("inside-tls", True, 23),
        ("inside-tls", False, 23),
        ("haraka", True, 29),
        ("keeps", True, 29),
        ("waits", True, 29),
    ],
)
def test_a_server_that_is_cut_anywhere_leaves_no_doubt_but_what_there_is(talk, pipelining, stride):
    cases = list(cases_of(talk, pipelining, stride))
    report = run(cases)
    assert not report.problems
    (conversation,) = report.sessions
    assert report.sessions[conversation] == len(cases) > 100
    assert all(report.outcomes[conversation, outcome] for outcome in OUTCOMES)


@pytest.mark.parametrize(
    ("talk", "pipelining"), [(talk, way) for talk in TALKS for way in ways_of(talk)]
)
def test_a_server_that_is_not_cut_delivers(talk, pipelining):
    report = run_together([Case(talk, pipelining, None)])
    assert not report.problems
    outcomes = Counter({outcome: count for (_, outcome), count in report.outcomes.items()})
    others = {
        "lmtp": {"delivered": 3, "refused": 4},
        # The last message would get into the transaction of the one before.
        "waits": {"delivered": 2, "refused": 3, "failed": 2},
    }
    assert outcomes == others.get(talk, {"delivered": 4, "refused": 3})


def test_a_case_is_named_as_the_command_line_takes_it():
    for case in (
        Case("lmtp", False, None),
        Case("smtp", True, Cut("fin", 12)),
        Case("starttls", False, Cut("endless:line", 3, lazy=True)),
    ):
        assert Case.parse(str(case)) == case


# -- that the matrix would notice ---------------------------------------------------------------

THE_VERDICT = Case.parse("smtp/pipelining/fin/piece/8")
"""Nothing comes instead of the final reply to the first message."""


def problems(case=THE_VERDICT):
    return "; ".join(problem for _, problem in run_together([case]).problems)


def test_it_finds_nothing_to_begin_with():
    assert not problems()


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [
        ("no doubt", "message 1 to alice@example.com: failed, not ['in doubt']"),
        ("doubt without a reason", "message 2 to dave@example.com: in doubt, not "),
        (
            "success without a verdict",
            "message 1 to alice@example.com: delivered, not ['in doubt']",
        ),
        ("a callback is called twice", "it called ['connect', 'login', 'login'"),
        ("a timer is left", "1 timers left"),
    ],
)
def test_it_notices_a_fault_of_the_package(monkeypatch, fault, noticed):
    plant(monkeypatch, fault)
    assert noticed in problems()


def test_it_notices_a_doubt_about_what_is_no_message(monkeypatch):
    plant(monkeypatch, "doubt without a reason")
    assert "login is in doubt" in problems(Case.parse("smtp/pipelining/fin/piece/2"))


def test_it_notices_a_descriptor_that_is_left(monkeypatch):
    plant(monkeypatch, "sockets stay open")
    found = problems()
    for sock in left_open:
        sock.close()
    assert "its side of the connection is open" in found
    assert "1 descriptors left" in found


def test_it_notices_a_job_that_goes_on_and_its_thread(monkeypatch):
    plant(monkeypatch, "a job goes on")
    found = problems()
    let_jobs_end.set()
    assert "1 jobs left" in found
    assert "1 threads left" in found


def test_it_notices_what_is_written_after_the_end(monkeypatch):
    plant(monkeypatch, "something is written after 'end'")
    assert "it wrote b'NOOP\\r\\n' after 'end'" in problems()
