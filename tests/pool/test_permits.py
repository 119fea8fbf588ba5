"""The rate limit as the server sees it, and limiters of the caller's own."""

from __future__ import annotations

import threading

import pytest

from smtp_connection import Reactor, SMTPPool
from smtp_connection.options.transport import PoolOptions
from smtp_connection.pool.permits import Permits
from tests.support.helpers import MovableClock
from tests.support.site import finish
from tests.support.smtp_server import BackgroundServer

from .test_limiter import worst_window


@pytest.mark.parametrize(("limit", "delta"), [(2, 1000), (7, 1000), (10, 250), (1, 100)])
def test_the_rate_limit_holds_over_ten_connections(slow_site, limit, delta):
    site = slow_site
    # Each takes so long that eight connections are needed.
    hold = max(0, 8 / limit * delta / 1000 - 0.1)
    site.answer(".", lambda session: session.stream.hold(hold))
    pool = site.pool(maxConnections=10, rateLimit=limit, rateDelta=delta)
    site.send(pool, 60)
    assert set(finish(site, pool).values()) == {None}
    assert worst_window(site.begun, delta / 1000) == limit
    # And all of it is used, once there are enough connections.
    assert site.begun[-1] - site.begun[29] <= 30 / limit * delta / 1000 * 1.02
    assert len(site.sessions) >= 7


def test_the_rate_limit_counts_from_the_beginning(slow_site):
    """Messages that take long do not bring the next ones together."""
    site = slow_site
    site.answer(".", lambda session: session.stream.hold(0.7))
    pool = site.pool(maxConnections=10, rateLimit=4)
    site.send(pool, 40)
    finish(site, pool)
    assert worst_window(site.begun, 1) == 4


def test_a_message_whose_source_is_slow_does_not_break_the_limit(slow_site):
    """MAIL is said when there is something to send."""
    from pyee import EventEmitter

    site = slow_site
    pool = site.pool(maxConnections=10, rateLimit=2)
    for number in range(12):
        faucet = EventEmitter()
        pool.send(
            {"from": "a@x.org", "to": "b@x.org"},
            faucet,
            lambda err, info, number=number: site.outcomes.append((number, err)),
        )
        begin = 0.9 * (1 + number // 2)
        site.reactor.call_later(begin, faucet.emit, "data", b"hi")
        site.reactor.call_later(begin, faucet.emit, "end")
    assert set(finish(site, pool).values()) == {None}
    assert worst_window(site.begun, 1) <= 2


def test_no_connection_is_opened_before_something_may_begin(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=10, rateLimit=1)
    site.send(pool, 10)
    finish(site, pool)
    assert len(site.sessions) == 1


def test_refused_messages_count(slow_site):
    site = slow_site
    site.answer("RCPT", "550 no")
    pool = site.pool(maxConnections=4, rateLimit=3)
    site.send(pool, 12)
    finish(site, pool)
    assert len(site.begun) == 12
    assert worst_window(site.begun, 1) == 3


def test_close_does_not_wait_for_the_limiter(slow_site):
    site = slow_site
    pool = site.pool(rateLimit=1, rateDelta=60_000)
    site.send(pool, 5)
    site.run_until(lambda: site.outcomes)
    pool.close()
    site.run()
    assert site.now < 1
    assert len(site.errors()) == 5


# -- a limiter of the caller's ---------------------------------------------------------------------


class Tokens:
    """Gives one permit after the other, each after a wait of some milliseconds."""

    def __init__(self, waits):
        self.waits = waits
        self.threads = []

    def acquire(self):
        self.threads.append(threading.current_thread())
        wait = self.waits.pop(0) if self.waits else 0
        if isinstance(wait, Exception):
            raise wait
        return wait


@pytest.fixture
def run_pool():
    """Send some messages with a limiter, and return the outcomes."""

    def run(limiter, count):
        outcomes = []
        with BackgroundServer() as server, Reactor() as reactor:
            options = {"host": server.host, "port": server.port, "rateLimiter": limiter}
            pool = SMTPPool(options, reactor=reactor)
            for _ in range(count):
                pool.send({"from": "a@x.org", "to": "b@x.org"}, "hi", outcomes.append)
            pool.close({"drain": True})
            reactor.run()
        return outcomes

    return run


def test_a_limiter_is_asked_for_each_message_on_a_thread(run_pool):
    limiter = Tokens([0, 0.01, 0, 0.02, 0.0, None])
    assert run_pool(limiter, 5) == [None] * 5
    assert len(limiter.threads) == 7
    assert threading.current_thread() not in limiter.threads


def test_a_permit_that_was_not_used_soon_is_none():
    # Kept, those of many pools would let all of them begin at once.
    with Reactor(clock=(clock := MovableClock())) as reactor:
        limiter = Tokens([])
        permits = Permits(
            reactor,
            PoolOptions.parse({"rateLimiter": limiter}, {}),
            lambda seconds: None,
            lambda error: None,
        )
        for waited, may_begin in [(0.05, True), (0.2, False)]:
            assert not permits.may_begin()  # asks for one
            reactor.run()
            clock.ahead += waited
            reactor.run_once(0)
            assert permits.may_begin() is may_begin
        reactor.run()
        permits.stop()


def test_a_limiter_that_fails_fails_the_message_whose_turn_it_is(run_pool):
    failure = ConnectionError("no Redis")
    first, *others = run_pool(Tokens([failure]), 3)
    assert (first.code, str(first)) == ("ECONNECTION", "The rate limiter failed: no Redis")
    assert first.__cause__ is failure
    assert others == [None, None]


def test_a_limiter_that_returns_something_else(run_pool):
    (error,) = run_pool(Tokens(["soon"]), 1)
    assert str(error) == ("The rate limiter failed: acquire() returns a number of seconds; got str")
