"""What waits for its turn."""

from __future__ import annotations

import pytest

from smtp_connection.pool.entry import Entry
from smtp_connection.pool.queue import Queue


@pytest.fixture
def entries(reactor):
    return [Entry({}, f"message {number}", None, reactor) for number in range(5)]


def take(queue):
    taken = []
    while queue:
        taken.append(queue.popleft())
    return taken


def settle(queue, entry):
    entry.settle(None)
    queue.take_out(entry)


def test_first_in_first_out(entries):
    queue = Queue()
    for entry in entries[:3]:
        queue.append(entry)
    queue.appendleft(entries[3])
    assert (len(queue), queue.first) == (4, entries[3])
    assert take(queue) == [entries[3], *entries[:3]]
    assert (len(queue), queue.first) == (0, None)


@pytest.mark.parametrize("which", range(5))
def test_any_may_be_taken_out(entries, which):
    queue = Queue()
    for entry in entries:
        queue.append(entry)
    settle(queue, entries[which])
    rest = [entry for number, entry in enumerate(entries) if number != which]
    assert (len(queue), queue.first) == (4, rest[0])
    assert take(queue) == rest


def test_all_may_be_taken_out(entries):
    queue = Queue()
    for entry in entries:
        queue.append(entry)
    for entry in entries:
        settle(queue, entry)
    assert not queue
    assert queue.first is None
    queue.append(entries[0])


def test_what_does_not_wait_cannot_be_taken_out(entries):
    queue = Queue()
    queue.append(entries[0])
    settle(queue, queue.popleft())
    settle(queue, entries[1])
    assert len(queue) == 0


def test_clear(entries):
    queue = Queue()
    for entry in entries:
        queue.append(entry)
    settle(queue, entries[2])
    assert queue.clear() == [entries[0], entries[1], entries[3], entries[4]]
    assert len(queue) == 0


def test_an_interrupt_may_keep_it_from_counting(entries):
    queue = Queue()
    for entry in entries[:3]:
        queue.append(entry)
    entries[0].settle(None)  # and nobody takes it out
    entries[1].queued = False  # and nobody counts it
    assert queue.popleft() is entries[2]
    assert queue.popleft() is None
    assert len(queue) == 0
