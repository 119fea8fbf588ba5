"""Servers that are cut at every byte that they send; see ``fault_matrix``.

Here that is every byte of SMTP with pipelining, and of LMTP without.  Of the other conversations,
those over TLS among them, it is some bytes, others for each way of being cut; ``python -m
tests.promises.faults`` takes them all.
"""

from __future__ import annotations

import os
import threading
from collections import Counter

import pytest

from smtp_connection.driver.exchange import Exchange
from smtp_connection.driver.lifecycle import Lifecycle
from smtp_connection.driver.queue import Operations
from smtp_connection.net.transport import Transport
from tests.support.cut_server import Cut

from .faults import OUTCOMES, TALKS, Case, cases_of, run, run_together

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="nobody tells which descriptors are open"
)


@pytest.mark.parametrize(
    ("talk", "pipelining", "stride"),
    [
        ("smtp", True, 1),
        ("smtp", False, 7),
        ("lmtp", True, 7),
        ("lmtp", False, 1),
        ("starttls", True, 29),
        ("starttls", False, 37),
        ("inside-tls", True, 7),
        ("inside-tls", False, 11),
    ],
)
def test_a_server_that_is_cut_anywhere_leaves_no_doubt_but_what_there_is(talk, pipelining, stride):
    cases = list(cases_of(talk, pipelining, stride))
    report = run(cases)
    assert not report.problems
    (conversation,) = report.sessions
    assert report.sessions[conversation] == len(cases) > 100
    assert all(report.outcomes[conversation, outcome] for outcome in OUTCOMES)


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("pipelining", [True, False])
def test_a_server_that_is_not_cut_delivers(talk, pipelining):
    report = run_together([Case(talk, pipelining, None)])
    assert not report.problems
    outcomes = Counter({outcome: count for (_, outcome), count in report.outcomes.items()})
    assert outcomes == (
        {"delivered": 3, "refused": 4} if talk == "lmtp" else {"delivered": 4, "refused": 3}
    )


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


def test_it_notices_that_a_doubt_is_not_told(monkeypatch):
    monkeypatch.setattr(Exchange, "in_doubt", False)
    assert "message 1 to alice@example.com: failed, not ['in doubt']" in problems()


def test_it_notices_a_doubt_where_there_is_none(monkeypatch):
    def connection_failed(self, error, *, own=False):
        error.inDoubt = True
        fail(self, error, own=own)

    fail = Lifecycle.connection_failed
    monkeypatch.setattr(Lifecycle, "connection_failed", connection_failed)
    assert "message 2 to dave@example.com: in doubt, not " in problems()
    assert "login is in doubt" in problems(Case.parse("smtp/pipelining/fin/piece/2"))


def test_it_notices_a_success_that_the_server_has_not_confirmed(monkeypatch):
    def settle(self, operation, error, value=None):
        if error is not None and error.inDoubt:
            error, value = None, Success
        really_settle(self, operation, error, value)

    class Success:
        accepted = ("alice@example.com", "bob@example.com", "carol@example.com")

    really_settle = Operations.settle
    monkeypatch.setattr(Operations, "settle", settle)
    assert "message 1 to alice@example.com: delivered, not ['in doubt']" in problems()


def test_it_notices_a_callback_that_is_called_twice(monkeypatch):
    def settle(self, *arguments):
        really_settle(self, *arguments)
        really_settle(self, *arguments)

    really_settle = Operations.settle
    monkeypatch.setattr(Operations, "settle", settle)
    assert "it called ['connect', 'login', 'login'" in problems()


def test_it_notices_a_descriptor_that_is_left(monkeypatch):
    def drop(self):
        left.append(self._sock.dup())
        really_drop(self)

    left, really_drop = [], Transport._drop
    monkeypatch.setattr(Transport, "_drop", drop)
    found = problems()
    for sock in left:
        sock.close()
    assert "its side of the connection is open" in found
    assert "1 descriptors left" in found


@pytest.mark.parametrize("left", ["timers", "jobs", "threads"])
def test_it_notices_what_else_is_left(monkeypatch, left):
    def tear_down(self, linger):
        really_tear_down(self, linger)
        if left == "timers":
            self._reactor.call_later(30, int)
        else:
            self._reactor.run_in_thread(release.wait, lambda *_: None)

    release, really_tear_down = threading.Event(), Lifecycle._tear_down
    monkeypatch.setattr(Lifecycle, "_tear_down", tear_down)
    found = problems()
    release.set()
    assert f"1 {left} left" in found


def test_it_notices_what_is_written_after_the_end(monkeypatch):
    def drop(self):
        """Hang up a few turns later, and not without a word."""
        self._closed = True
        self._reactor.remove_reader(self._sock)
        later.append(self._sock)
        self._reactor.call_later(1, say_more)

    def say_more():
        sock = later.pop()
        sock.send(b"NOOP\r\n")
        sock.close()

    later = []
    monkeypatch.setattr(Transport, "_drop", drop)
    assert "it wrote b'NOOP\\r\\n' after 'end'" in problems()
