"""The operations that wait for their turn."""

from __future__ import annotations

import tracemalloc

from smtp_connection.driver.queue import Operations


def test_an_empty_queue_costs_next_to_nothing(reactor):
    """Most connections have one, and there may be thousands; a deque would take 600 bytes."""
    Operations(reactor, print)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [Operations(reactor, print) for _ in range(1000)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(kept) < 400
