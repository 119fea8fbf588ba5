"""A thousand workers in virtual time, with one ledger and one limit, of which many are killed.

``python -m tests.promises.fleet`` simulates them: each has a pool (the real one) on the simulated
network, takes batches from a queue, claims their messages, passes the gate and settles.  The server
has room for some of them alone, and says 421 to the others; it refuses some messages for now.
Workers are killed at any moment; what they held comes back to the queue.  Then nobody may have got
a message twice, and the limit must have held in each second, however one lays it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from smtp_connection import SMTPPool
from smtp_connection.celery.outcomes import Backoff, outcome_of
from smtp_connection.ledger import Claim, Entry
from smtp_connection.ledger.entries import IN_DOUBT, SENDING, Change
from smtp_connection.pool.permits import PERMIT_LASTS
from tests.support.site import Session, Site, site

__all__ = ["Fleet", "MemoryStore"]

BATCH = 5
LIMIT = 200  # messages a second, of all workers together
ROOM = 300  # connections that the server has room for
REFUSED_EVERY = 50
VISIBILITY_TIMEOUT = 30.0
LATENCY = 0.01
WRITING = 0.004  # seconds until the ledger has written something


class MemoryStore:
    """A store that lives as long as its process."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Entry] = {}

    def claim(self, wanted: Sequence[tuple[str, Sequence[str]]], now: float) -> list[list[Entry]]:
        return [[self._claimed(name, each, now) for each in to] for name, to in wanted]

    def _claimed(self, message: str, recipient: str, now: float) -> Entry:
        entry = self.kept.get((message, recipient))
        if entry is None:
            entry = Entry(message, recipient, SENDING, 1, now, "")
        elif entry.state == SENDING:
            entry = entry._replace(attempt=entry.attempt + 1, updated=now)
        self.kept[message, recipient] = entry
        return entry

    def apply(self, groups: Sequence[Sequence[Change]], now: float) -> list[bool]:
        return [self._applied(group, now) for group in groups]

    def _applied(self, group: Sequence[Change], now: float) -> bool:
        for each in group:
            entry = self.kept.get(each[:2])
            if entry is None or entry.attempt != each.attempt or entry.state not in each.before:
                return False
        for each in group:
            new = Entry(*each[:2], each.after, each.attempt, now, each.response)
            self.kept[each[:2]] = new
        return True

    def decide(self, message: str, recipient: str, state: str, now: float) -> bool:
        entry = self.kept.get((message, recipient))
        if entry is None or entry.state != IN_DOUBT:
            return False
        new = entry._replace(state=state, attempt=entry.attempt + 1, updated=now)
        self.kept[message, recipient] = new
        return True

    def entries(self, state: str | None, message: str | None) -> Iterator[Entry]:
        for entry in self.kept.values():
            if state in (None, entry.state) and message in (None, entry.message):
                yield entry

    def counts(self) -> Mapping[str, int]:
        return Counter(entry.state for entry in self.kept.values())

    def close(self) -> None:
        self.kept.clear()


class _SharedLimiter:
    """A moving window for all pools."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.given: deque[float] = deque()

    def acquire(self) -> float:
        now = self._fleet.site.now
        if len(self.given) >= LIMIT:
            wait = self.given[-LIMIT] + 1.0 - now
            if wait > 0:
                return wait
        self.given.append(now)
        return 0.0


class _Worker:
    """One worker: a pool, and the batch that it has got."""

    def __init__(self, fleet: Fleet) -> None:
        self.batch: list[int] = []
        self._fleet = fleet
        self._dead = False
        self._left = 0
        self._again: list[int] = []
        self._retries = 0
        self._pool: SMTPPool = fleet.site.pool(
            maxConnections=2, rateLimiter=fleet.limiter, maxRequeues=20
        )

    def take(self) -> None:
        """Take a batch from the queue, if there is one."""
        if self._dead or self.batch:
            return
        given = self._fleet.next_batch()
        if given is None:
            return
        self.batch, self._retries = given
        self._again = []
        fleet = self._fleet
        wanted = [(str(number), [fleet.recipient(number)]) for number in self.batch]
        found = fleet.store.claim(wanted, fleet.site.now)
        self._left = len(self.batch)
        for number, entries in zip(self.batch, found, strict=True):
            claim = Claim(self._write, str(number), entries)
            if claim.recipients:
                self._send(number, claim)
            else:
                self._settled(number, claim, None, None)

    def _send(self, number: int, claim: Claim) -> None:
        envelope = {
            "from": "me@x.org",
            "to": claim.recipients,
            "beforeCommit": claim.before_commit,
        }
        self._pool.send(envelope, f"Subject: {number}", partial(self._sent, number, claim))

    def _write(self, groups: Any, callback: Any) -> None:
        def written() -> None:
            # It was on its way to the disk when the worker was killed, or it was not.
            if self._dead and self._fleet.chance.random() < 0.5:
                return
            made = self._fleet.store.apply(groups, self._fleet.site.now)
            if not self._dead:
                callback(made, None)

        if not self._dead:
            self._fleet.site.reactor.call_later(WRITING, written)

    def _sent(self, number: int, claim: Claim, err: Any, info: Any) -> None:
        if not self._dead:
            claim.settle(err, info, lambda error: self._settled(number, claim, err, info))

    def _settled(self, number: int, claim: Claim, err: Any, info: Any) -> None:
        if outcome_of(claim, err, info).again:
            self._again.append(number)
        self._left -= 1
        if self._left:
            return
        if self._again:
            wait = self._fleet.backoff.wait(self._retries, None)
            self._fleet.put_later(wait, self._again, self._retries + 1)
        self.batch = []
        self._fleet.acknowledged()

    def kill(self) -> None:
        """SIGKILL: the connections are gone, and nothing is written down any more."""
        self._dead = True
        if self.batch:
            self._fleet.put_later(VISIBILITY_TIMEOUT, self.batch, self._retries)
        self.end()

    def end(self) -> None:
        """Close the pool."""
        self._pool.close({"force": True})


class Fleet:
    """All workers, and what has become of the messages.

    - ``delivered`` (Counter): how often the server has accepted each message
    - ``turned_away`` (int): how many connections were told 421
    """

    def __init__(self, site: Site, workers: int, messages: int, kills: int, seed: int = 1) -> None:
        self.site = site
        self.chance = chance = random.Random(seed)
        self.store = MemoryStore()
        self.limiter = _SharedLimiter(self)
        self.backoff = Backoff(1.0, 20.0, VISIBILITY_TIMEOUT)
        self.delivered: Counter[str] = Counter()
        self.turned_away = 0
        self.killed = 0
        self._messages = messages
        numbers = range(messages)
        self._queue = deque((list(numbers[at : at + BATCH]), 0) for at in range(0, messages, BATCH))
        site.answer("CONNECT", self._greet)
        site.answer("RCPT", self._judge_recipient)
        site.answer(".", self._judge_message)
        self._workers = [_Worker(self) for _ in range(workers)]
        for worker in self._workers:
            worker.take()
        for _ in range(kills):
            site.reactor.call_later(chance.uniform(0, messages / LIMIT), self._kill_one)

    # -- the server -------------------------------------------------------------------------------

    def _greet(self, session: Session) -> str | None:
        if self.site.open_sessions <= ROOM:
            return None
        self.turned_away += 1
        return "421 4.7.0 too many connections"

    def _judge_recipient(self, session: Session) -> str | None:
        nobody = session.commands[-1].startswith("RCPT TO:<nobody@")
        return "550 5.1.1 no such user" if nobody else None

    def _judge_message(self, session: Session) -> str | None:
        if self.chance.random() < 0.02:
            return "451 4.3.0 later"
        self.delivered[session.messages[-1].split()[1]] += 1
        return None

    def recipient(self, number: int) -> str:
        """Return whom a message is for."""
        return "nobody@x.org" if number % REFUSED_EVERY == 0 else "a@x.org"

    # -- the queue --------------------------------------------------------------------------------

    def next_batch(self) -> tuple[list[int], int] | None:
        """Return a batch and how often it has been tried, if there is one."""
        return self._queue.popleft() if self._queue else None

    def put_later(self, seconds: float, batch: list[int], retries: int) -> None:
        """Put a batch back after a while."""

        def put() -> None:
            self._queue.append((batch, retries))
            self.acknowledged()

        self.site.reactor.call_later(seconds, put)

    def acknowledged(self) -> None:
        """Somebody has nothing to do, or there is something: give it out."""
        if self._queue:
            for worker in self._workers:
                if not worker.batch:
                    self.site.reactor.call_soon(worker.take)
                    break

    def _kill_one(self) -> None:
        busy = [worker for worker in self._workers if worker.batch]
        if not busy:
            return
        worker = self.chance.choice(busy)
        self._workers.remove(worker)
        worker.kill()
        self.killed += 1
        other = _Worker(self)
        self._workers.append(other)
        self.site.reactor.call_later(1.0, other.take)

    # -- the whole --------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until everything is settled."""

        def settled() -> bool:
            counts = self.store.counts()
            return not counts[SENDING] and sum(counts.values()) == self._messages

        while not settled():
            self.site.run_for(1.0)
        # What is in doubt just now may be on its way.
        self.site.run_for(5.0)
        for worker in self._workers:
            worker.end()
        self.site.run()

    def wrong(self) -> list[str]:
        """Return what must not be."""
        found = []
        for (name, _), entry in self.store.kept.items():
            times = self.delivered[name]
            expected = {"sent": (1,), IN_DOUBT: (0, 1), "refused": (0,)}.get(entry.state, ())
            if times not in expected:
                found.append(f"{name} is {entry.state} and was delivered {times} times")
        begun = sorted(self.site.begun)
        for first, last in zip(begun, begun[LIMIT:], strict=False):
            # A permit may be used a little later than it was given.
            if last - first < 1.0 - PERMIT_LASTS - 2 * LATENCY:
                found.append(f"{LIMIT + 1} messages in {last - first:.3f} s")
        return found


def main() -> int:
    """Simulate what the command line asks for; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.process_time()
    with site(latency=LATENCY) as where:
        fleet = Fleet(where, arguments.workers, arguments.messages, arguments.kills, arguments.seed)
        fleet.run()
        counts = dict(fleet.store.counts())
        wrong = fleet.wrong()
        print(
            f"{arguments.workers:,} workers, {fleet.killed:,} killed, {fleet.turned_away:,} times"
            f" 421, {where.now:.0f} s of virtual time"
            f" ({time.process_time() - started:.0f} s of CPU):"
            f" {counts}; delivered twice"
            f" {sum(times > 1 for times in fleet.delivered.values())}; wrong {len(wrong)}"
        )
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
