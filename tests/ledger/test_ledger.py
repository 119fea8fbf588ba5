"""Claims, the gate and verdicts, on a ledger in a file."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
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


def gate(ledger, claim, *recipients):
    """Pass the gate for ``recipients``, by default all; return the error that it gives."""
    errors = []
    claim.before_commit(envelope(*(recipients or claim.recipients)), errors.append)
    ledger._reactor.run()
    (error,) = errors
    return error


def settle(ledger, claim, err=None, info=None):
    errors = []
    claim.settle(err, info, errors.append)
    ledger._reactor.run()
    assert errors == [None]


def test_a_message_is_claimed_sent_and_settled(ledger):
    claim = ledger.claim("hello", ["a@x.org", "b@x.org"])
    assert (claim.message, claim.recipients) == ("hello", ["a@x.org", "b@x.org"])
    assert ledger.counts() == {"sending": 2, "in doubt": 0, "sent": 0, "refused": 0}
    assert gate(ledger, claim) is None
    assert ledger.counts() == {"sending": 0, "in doubt": 2, "sent": 0, "refused": 0}
    settle(ledger, claim, info=accepted("a@x.org", "b@x.org"))
    assert ledger.counts() == {"sending": 0, "in doubt": 0, "sent": 2, "refused": 0}
    (entry, _) = ledger.entries()
    assert (entry.recipient, entry.attempt, entry.response) == ("a@x.org", 1, "250 ok")

    again = ledger.claim("hello", ["a@x.org", "b@x.org", "c@x.org"])
    assert again.recipients == ["c@x.org"]
    assert [each.recipient for each in again.settled] == ["a@x.org", "b@x.org"]
    assert again.in_doubt == []


def test_each_message_has_entries_of_its_own(ledger):
    settle(ledger, ledger.claim("one", ["a@x.org"]), info=accepted("a@x.org"))
    assert ledger.claim("two", ["a@x.org"]).recipients == ["a@x.org"]
    assert [each.message for each in ledger.entries()] == ["one", "two"]
    assert [each.message for each in ledger.entries("sent")] == ["one"]
    assert [each.state for each in ledger.entries(message="two")] == ["sending"]


def test_what_was_refused_for_now_is_claimed_again(ledger):
    claim = ledger.claim("hello", ["a@x.org"])
    assert gate(ledger, claim) is None
    settle(ledger, claim, err=later())
    assert states(ledger) == {"a@x.org": "sending"}
    assert ledger.claim("hello", ["a@x.org"]).recipients == ["a@x.org"]


def test_whoever_is_in_doubt_is_not_sent_to_again(ledger):
    assert gate(ledger, ledger.claim("hello", ["a@x.org", "b@x.org"]), "a@x.org") is None
    # The worker dies here.
    claim = ledger.claim("hello", ["a@x.org", "b@x.org"])
    assert claim.recipients == ["b@x.org"]
    assert [each.recipient for each in claim.in_doubt] == ["a@x.org"]


def test_before_the_gate_whoever_claims_last_has_it(ledger):
    first = ledger.claim("hello", ["a@x.org", "b@x.org"])
    second = ledger.claim("hello", ["a@x.org"])
    error = gate(ledger, first)
    assert (error.code, error.command) == ("EABORT", "DATA")
    assert str(error) == "The message 'hello' was claimed again: whoever did so sends it"
    # Nothing of the first is in doubt, not even what it alone had claimed.
    assert states(ledger) == {"a@x.org": "sending", "b@x.org": "sending"}
    settle(ledger, first, err=error)
    assert gate(ledger, second) is None


def test_a_late_verdict_does_not_touch_a_new_claim(ledger):
    first = ledger.claim("hello", ["a@x.org"])
    ledger.claim("hello", ["a@x.org"])
    settle(ledger, first, info=accepted("a@x.org"))
    assert states(ledger) == {"a@x.org": "sending"}


@pytest.mark.parametrize(
    ("decision", "state", "claimed"),
    [("sent", "sent", []), ("drop", "refused", []), ("resend", "sending", ["a@x.org"])],
)
def test_a_person_decides(ledger, decision, state, claimed):
    claim = ledger.claim("hello", ["a@x.org"])
    assert not ledger.decide("hello", "a@x.org", decision)
    assert gate(ledger, claim) is None
    assert ledger.decide("hello", "a@x.org", decision)
    assert states(ledger) == {"a@x.org": state}
    # Whoever was in doubt has nothing to say any more.
    settle(ledger, claim, info=accepted("a@x.org"))
    assert states(ledger) == {"a@x.org": state}
    assert ledger.claim("hello", ["a@x.org"]).recipients == claimed


@pytest.mark.parametrize(
    ("policy", "claimed", "state"),
    [("ask", [], "in doubt"), ("resend", ["a@x.org"], "sending"), ("drop", [], "refused")],
)
def test_a_policy_decides(path, reactor, policy, claimed, state):
    with Ledger(path, reactor=reactor, in_doubt=policy) as ledger:
        assert gate(ledger, ledger.claim("hello", ["a@x.org"])) is None
        assert ledger.claim("hello", ["a@x.org"]).recipients == claimed
        assert states(ledger) == {"a@x.org": state}


def test_what_waits_is_written_together(path, reactor):
    class Counting(SQLiteStore):
        commits = 0

        def apply(self, groups, now):
            self.commits += 1
            return super().apply(groups, now)

    store = Counting(path)
    with Ledger(store, reactor=reactor) as ledger:
        claims = ledger.claim_all((f"message {n}", ["a@x.org"]) for n in range(500))
        errors: list[Any] = []
        for claim in claims:
            claim.before_commit(envelope("a@x.org"), errors.append)
        reactor.run()
        assert errors == [None] * 500
        assert ledger.counts()["in doubt"] == 500
        # The first may have been written while the others were still called.
        assert store.commits < 50


def test_whoever_cannot_write_sends_nothing(path, reactor):
    class Full(SQLiteStore):
        def apply(self, groups, now):
            raise sqlite3.OperationalError("database or disk is full")

    with Ledger(Full(path), reactor=reactor) as ledger:
        claim = ledger.claim("hello", ["a@x.org"])
        assert str(gate(ledger, claim)) == "database or disk is full"
        errors: list[Any] = []
        claim.settle(later(), None, errors.append)
        reactor.run()
        assert [str(error) for error in errors] == ["database or disk is full"]


def test_close_writes_what_waits(path, reactor):
    ledger = Ledger(path, reactor=reactor)
    claim = ledger.claim("hello", ["a@x.org"])
    claim.settle(None, accepted("a@x.org"))
    ledger.close()
    reactor.run()
    with Ledger(path, reactor=reactor) as ledger:
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
def test_any_number_of_workers_sends_each_message_once(path, reactor, seed):
    """Workers take turns step by step, and die between any two of them."""
    chance = random.Random(seed)
    dots: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()

    def worker(ledger, name):
        claim = ledger.claim(name, ["a@x.org"])
        if not claim.recipients:
            return
        yield
        if gate(ledger, claim) is not None:
            return
        yield
        dots[name] += 1
        yield
        if chance.random() < 0.3:
            settle(ledger, claim, err=later())
            dots[name] -= 1  # refused: nobody has got it
        else:
            verdicts[name] += 1
            yield
            settle(ledger, claim, info=accepted("a@x.org"))

    with Ledger(path, reactor=reactor) as ledger:
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
