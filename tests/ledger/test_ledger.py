"""Claims, the gate and verdicts, on a ledger in a file."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections import Counter
from queue import SimpleQueue
from typing import Any

import pytest

from smtp_connection import SendInfo, SMTPError
from smtp_connection.ledger import Ledger
from smtp_connection.ledger.entries import Change
from smtp_connection.ledger.sqlite import SQLiteStore


def envelope(*recipients: str) -> dict[str, Any]:
    return {"from": "me@x.org", "to": list(recipients)}


def accepted(*recipients: str) -> SendInfo:
    return SendInfo(list(recipients), [], [], "250 ok", 1, 2, 3, [])


def later() -> SMTPError:
    return SMTPError("Refused", code="EMESSAGE", response="451 4.7.1 later")


def states(ledger: Ledger) -> dict[str, str]:
    return {entry.recipient: entry.state for entry in ledger.entries()}


class Answer:
    """A callback; :meth:`wait` returns what it was called with."""

    def __init__(self) -> None:
        self._answers: SimpleQueue[Any] = SimpleQueue()

    def __call__(self, error: Exception | None) -> None:
        self._answers.put(error)

    def wait(self) -> Any:
        return self._answers.get(timeout=20)


def gate(claim, *recipients):
    """Pass the gate for ``recipients``, by default all; return the error that it gives."""
    answer = Answer()
    claim.before_commit(envelope(*(recipients or claim.recipients)), answer)
    return answer.wait()


def settle(claim, err=None, info=None):
    answer = Answer()
    claim.settle(err, info, answer)
    assert answer.wait() is None


def test_a_message_is_claimed_sent_and_settled(ledger):
    claim = ledger.claim("hello", ["a@x.org", "b@x.org"])
    assert (claim.message, claim.recipients) == ("hello", ["a@x.org", "b@x.org"])
    assert ledger.counts() == {"sending": 2, "in doubt": 0, "sent": 0, "refused": 0}
    assert gate(claim) is None
    assert ledger.counts() == {"sending": 0, "in doubt": 2, "sent": 0, "refused": 0}
    settle(claim, info=accepted("a@x.org", "b@x.org"))
    assert ledger.counts() == {"sending": 0, "in doubt": 0, "sent": 2, "refused": 0}
    (entry, _) = ledger.entries()
    assert (entry.recipient, entry.attempt, entry.response) == ("a@x.org", 1, "250 ok")

    again = ledger.claim("hello", ["a@x.org", "b@x.org", "c@x.org"])
    assert again.recipients == ["c@x.org"]
    assert [each.recipient for each in again.settled] == ["a@x.org", "b@x.org"]
    assert again.in_doubt == []


def test_each_message_has_entries_of_its_own(ledger):
    settle(ledger.claim("one", ["a@x.org"]), info=accepted("a@x.org"))
    assert ledger.claim("two", ["a@x.org"]).recipients == ["a@x.org"]
    assert [each.message for each in ledger.entries()] == ["one", "two"]
    assert [each.message for each in ledger.entries("sent")] == ["one"]
    assert [each.state for each in ledger.entries(message="two")] == ["sending"]


def test_what_was_refused_for_now_is_claimed_again(ledger):
    claim = ledger.claim("hello", ["a@x.org"])
    assert gate(claim) is None
    settle(claim, err=later())
    assert states(ledger) == {"a@x.org": "sending"}
    assert ledger.claim("hello", ["a@x.org"]).recipients == ["a@x.org"]


def test_whoever_is_in_doubt_is_not_sent_to_again(ledger):
    assert gate(ledger.claim("hello", ["a@x.org", "b@x.org"]), "a@x.org") is None
    # The worker dies here.
    claim = ledger.claim("hello", ["a@x.org", "b@x.org"])
    assert claim.recipients == ["b@x.org"]
    assert [each.recipient for each in claim.in_doubt] == ["a@x.org"]


def test_before_the_gate_whoever_claims_last_has_it(ledger):
    first = ledger.claim("hello", ["a@x.org", "b@x.org"])
    second = ledger.claim("hello", ["a@x.org"])
    error = gate(first)
    assert (error.code, error.command) == ("EABORT", "DATA")
    assert str(error) == "The message 'hello' was claimed again: whoever did so sends it"
    # Nothing of the first is in doubt, not even what it alone had claimed.
    assert states(ledger) == {"a@x.org": "sending", "b@x.org": "sending"}
    settle(first, err=error)
    assert gate(second) is None


def test_the_gate_opens_for_one_claim_as_often_as_it_tries(ledger):
    claim = ledger.claim("hello", ["a@x.org"])
    assert gate(claim) is None
    # The connection breaks before the dot is sent: a pool tries another one.
    assert gate(claim) is None
    settle(claim, err=later())
    assert gate(claim) is None


def test_a_late_verdict_does_not_touch_a_new_claim(ledger):
    first = ledger.claim("hello", ["a@x.org"])
    ledger.claim("hello", ["a@x.org"])
    settle(first, info=accepted("a@x.org"))
    assert states(ledger) == {"a@x.org": "sending"}


@pytest.mark.parametrize(
    ("decision", "state", "claimed"),
    [("sent", "sent", []), ("drop", "refused", []), ("resend", "sending", ["a@x.org"])],
)
def test_a_person_decides(ledger, decision, state, claimed):
    claim = ledger.claim("hello", ["a@x.org"])
    assert not ledger.decide("hello", "a@x.org", decision)
    assert gate(claim) is None
    assert ledger.decide("hello", "a@x.org", decision)
    assert states(ledger) == {"a@x.org": state}
    # Whoever was in doubt has nothing to say any more.
    settle(claim, info=accepted("a@x.org"))
    assert states(ledger) == {"a@x.org": state}
    assert ledger.claim("hello", ["a@x.org"]).recipients == claimed


@pytest.mark.parametrize(
    ("policy", "claimed", "state"),
    [("ask", [], "in doubt"), ("resend", ["a@x.org"], "sending"), ("drop", [], "refused")],
)
def test_a_policy_decides(path, policy, claimed, state):
    with Ledger(path, in_doubt=policy) as ledger:
        assert gate(ledger.claim("hello", ["a@x.org"])) is None
        assert ledger.claim("hello", ["a@x.org"]).recipients == claimed
        assert states(ledger) == {"a@x.org": state}


def test_what_waits_is_written_together(path):
    class Counting(SQLiteStore):
        commits = 0

        def apply(self, groups, now):
            self.commits += 1
            return super().apply(groups, now)

    store = Counting(path)
    with Ledger(store) as ledger:
        claims = ledger.claim_all((f"message {n}", ["a@x.org"]) for n in range(500))
        answers = [Answer() for _ in claims]
        for claim, answer in zip(claims, answers, strict=True):
            claim.before_commit(envelope("a@x.org"), answer)
        assert [answer.wait() for answer in answers] == [None] * 500
        assert ledger.counts()["in doubt"] == 500
        # The first may have been written while the others were still called.
        assert store.commits < 50


def test_whoever_cannot_write_sends_nothing(path):
    class Full(SQLiteStore):
        def apply(self, groups, now):
            raise sqlite3.OperationalError("database or disk is full")

    with Ledger(Full(path)) as ledger:
        claim = ledger.claim("hello", ["a@x.org"])
        assert str(gate(claim)) == "database or disk is full"
        answer = Answer()
        claim.settle(later(), None, answer)
        assert str(answer.wait()) == "database or disk is full"


def test_a_callback_that_raises_stops_nobody_else(ledger, monkeypatch):
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_type))
    claim = ledger.claim("hello", ["a@x.org"])
    claim.before_commit(envelope("a@x.org"), lambda error: 1 / 0)
    settle(claim, info=accepted("a@x.org"))
    assert raised == [ZeroDivisionError]


def test_what_waits_counts_already(path):
    held = threading.Event()

    class Slow(SQLiteStore):
        def apply(self, groups, now):
            assert held.wait(20)
            return super().apply(groups, now)

    with Ledger(Slow(path)) as ledger:
        ledger.claim("hello", ["a@x.org"]).settle(None, accepted("a@x.org"))
        held.set()
        assert ledger.claim("hello", ["a@x.org"]).recipients == []
        assert ledger.counts()["sent"] == 1


def test_close_writes_what_waits(path):
    ledger = Ledger(path)
    claim = ledger.claim("hello", ["a@x.org"])
    claim.settle(None, accepted("a@x.org"))
    ledger.close()
    with Ledger(path) as ledger:
        assert states(ledger) == {"a@x.org": "sent"}


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (lambda ledger: ledger.claim("", ["a@x.org"]), TypeError, "a message in a ledger takes a"),
        (lambda ledger: ledger.claim("m", [5]), TypeError, "not empty; got 5"),
        (
            lambda ledger: next(ledger.entries("lost")),
            ValueError,
            "'sent' or 'refused'; got 'lost'",
        ),
        (lambda ledger: ledger.decide("m", "a", "maybe"), ValueError, "or 'sent'; got 'maybe'"),
        (lambda ledger: Ledger("mysql://x"), ValueError, "or postgresql://; got mysql://"),
        (lambda ledger: Ledger("x.db", in_doubt="?"), ValueError, "'ask', 'resend' or 'drop'"),
    ],
)
def test_what_is_wrong_is_said(ledger, use, error, text):
    with pytest.raises(error, match=text.replace("?", r"\?")):
        use(ledger)


def test_the_gate_wants_recipients_of_the_claim(ledger):
    claim = ledger.claim("hello", ["a@x.org"])
    with pytest.raises(ValueError, match=r"'b@x.org' is no recipient of this claim, which has"):
        claim.before_commit(envelope("b@x.org"), lambda error: None)


@pytest.mark.parametrize("seed", range(20))
def test_any_number_of_workers_sends_each_message_once(path, seed):
    """Workers take turns step by step, and die between any two of them."""
    chance = random.Random(seed)
    dots: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()

    def worker(ledger, name):
        claim = ledger.claim(name, ["a@x.org"])
        if not claim.recipients:
            return
        yield
        if gate(claim) is not None:
            return
        yield
        dots[name] += 1
        yield
        if chance.random() < 0.3:
            settle(claim, err=later())
            dots[name] -= 1  # refused: nobody has got it
        else:
            verdicts[name] += 1
            yield
            settle(claim, info=accepted("a@x.org"))

    with Ledger(path) as ledger:
        names = [f"message {n}" for n in range(10)]
        workers: list[Any] = []
        for _ in range(400):
            if len(workers) < 6:
                workers.append(worker(ledger, chance.choice(names)))
            one = chance.choice(workers)
            if chance.random() < 0.1 or next(one, "done") == "done":
                workers.remove(one)
        del workers
        states = {entry.message: entry.state for entry in ledger.entries()}
    assert set(dots.values()) <= {0, 1}
    assert all(states[name] in ("sent", "in doubt") for name, sent in dots.items() if sent)
    assert all(dots[name] == 1 for name, state in states.items() if state == "sent")


def test_changes_of_one_group_are_made_all_or_none(path):
    store = SQLiteStore(path)
    store.claim([("m", ["a", "b"])], 1.0)
    good = Change("m", "a", 1, ("sending",), "in doubt", "")
    bad = Change("m", "b", 2, ("sending",), "in doubt", "")
    other = Change("m", "b", 1, ("sending",), "refused", "no")
    assert store.apply([[good, bad], [other]], 2.0) == [False, True]
    assert [each.state for each in store.entries(None, None)] == ["sending", "refused"]
    store.close()
