"""What the tests of nodemailer's pool expect of it holds here."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPPool
from tests.support.site import DROP, SILENCE, finish

from .test_limiter import worst_window

LOGIN = {"user": "testuser", "pass": "testpass"}


def test_exposes_its_name_and_version(site):
    pool = site.pool()
    assert pool.name == "SMTP (pool)"
    assert pool.version
    finish(site, pool)


def test_detects_well_known_services(site):
    pool = SMTPPool({"service": "google mail"}, reactor=site.reactor)
    options = pool.options
    assert (options.host, options.port, options.secure) == ("smtp.gmail.com", 465, True)
    site.run()


def test_sends_mail(site):
    pool = site.pool(auth=LOGIN)
    site.send(pool, message="teretere, vana kere\n" * 1023)
    assert finish(site, pool) == {0: None}
    assert site.messages == ["teretere, vana kere\r\n" * 1022 + "teretere, vana kere"]
    assert site.sessions[0].login == ["testuser", "testpass"]


def test_sends_multiple_mails_over_all_connections(slow_site):
    site = slow_site
    pool = site.pool(auth=LOGIN)
    site.send(pool, 100)
    assert set(finish(site, pool).values()) == {None}
    assert len(site.sessions) == 5
    assert all(len(session.messages) > 1 for session in site.sessions)
    assert sum(len(session.messages) for session in site.sessions) == 100


def test_tolerates_refusals(slow_site):
    site = slow_site
    refused = iter(range(1000))
    site.answer("MAIL", lambda session: None if next(refused) % 2 else "550 not you")
    pool = site.pool(auth=LOGIN)
    site.send(pool, 100)
    errors = list(finish(site, pool).values())
    assert errors.count(None) == 50
    assert len(site.sessions) == 5


def test_tolerates_idle_connections_that_the_server_has_closed(slow_site):
    site = slow_site
    pool = site.pool()
    site.send(pool, 10)
    site.run_until(lambda: len(site.outcomes) == 10)
    for session in site.sessions:
        session.hang_up()
    site.send(pool, 10)
    assert set(finish(site, pool).values()) == {None}


def test_calls_back_with_connection_errors_to_senders_of_messages_in_flight(site):
    pool = site.pool(maxConnections=1, socketTimeout=200, maxRequeues=0)
    site.send(pool)
    site.run_until(lambda: site.outcomes)
    site.answer("RCPT", SILENCE)
    site.send(pool)
    errors = finish(site, pool)
    assert errors[0] is None
    assert errors[1].code == "ETIMEDOUT"


def test_sends_no_more_than_allowed_over_one_connection(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1, maxMessages=5)
    site.send(pool, 100)
    assert set(finish(site, pool).values()) == {None}
    assert [len(session.messages) for session in site.sessions] == [5] * 20


def test_sends_multiple_mails_with_a_rate_limit(slow_site):
    """200 a second: 5,000 take 24 seconds, and not a whole one more."""
    site = slow_site
    pool = site.pool(maxConnections=30, maxMessages=float("inf"), rateLimit=200)
    site.send(pool, 5000)
    assert set(finish(site, pool).values()) == {None}
    assert 24 <= site.begun[-1] - site.begun[0] < 25
    assert worst_window(site.begun[-1000:], 1) == 200


def test_keeps_a_rate_limit_with_a_large_rate_delta(site):
    pool = site.pool(rateLimit=1, rateDelta=6000)
    site.send(pool, 3)
    finish(site, pool)
    assert [round(time) for time in site.begun] == [0, 6, 12]


@pytest.mark.parametrize(("most", "attempts"), [(0, 1), (2, 3), (-1, 8)])
def test_queues_again_what_was_dropped_up_to_max_requeues(site, most, attempts):
    site.answer("DATA", DROP, times=7)
    pool = site.pool(maxRequeues=most)
    site.send(pool)
    (error,) = finish(site, pool).values()
    assert len(site.begun) == attempts
    assert (error is None) is (most == -1)


def test_reports_an_authentication_error(site):
    site.answer("AUTH", "535 5.7.8 wrong")
    pool = site.pool(auth={"user": "testuser", "pass": "zzz"})
    site.send(pool)
    (error,) = finish(site, pool).values()
    assert (error.code, error.responseCode) == ("EAUTH", 535)


def test_returns_what_is_pending_when_it_is_closed(slow_site):
    site = slow_site
    site.answer(".", SILENCE)
    pool = site.pool(maxConnections=1)
    site.send(pool, 3)
    site.run_until(lambda: site.messages)
    pool.close({"force": True})
    site.run()
    assert [err.code for err in site.errors().values()] == ["ECONNECTION"] * 3


def test_counts_what_is_pending(site):
    pool = site.pool()
    counts = []
    for _ in range(3):
        pool.send(
            {"from": "a@x.org", "to": "b@x.org"}, "hi", lambda: counts.append(pool.pendingCount())
        )
    assert pool.pendingCount() == 3
    finish(site, pool)
    assert counts[-1] == 0


def test_closes_connections_that_are_idle(site):
    pool = site.pool(idleTimeout=100)
    site.send(pool)
    site.run()
    assert site.sessions[0].until == pytest.approx(0.1, abs=0.01)
    site.send(pool)
    assert finish(site, pool)[1] is None


def test_is_idle_while_there_are_free_slots(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=2)
    site.send(pool)
    assert pool.isIdle()
    site.send(pool, 2)
    assert not pool.isIdle()
    finish(site, pool)
    assert pool.isIdle()


def test_takes_a_url(site):
    pool = SMTPPool(
        "smtp://testuser:testpass@127.0.0.1/?maxConnections=1&maxMessages=5&name=c.test",
        reactor=site.reactor,
    )
    site.send(pool, 6)
    assert set(finish(site, pool).values()) == {None}
    assert [len(session.messages) for session in site.sessions] == [5, 1]
    assert site.sessions[0].login == ["testuser", "testpass"]


def test_verifies_the_login(site):
    told = []
    pool = site.pool(auth=LOGIN)
    pool.verify(lambda err, ok: told.append((err, ok)))
    assert told == []
    site.run()
    assert told == [(None, True)]
    assert site.sessions[0].commands[-2:] == ["AUTH PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "QUIT"]
    site.answer("AUTH", "535 no")
    pool.verify(lambda err: told.append(err.responseCode))
    site.run()
    assert told[1:] == [535]
    site.accept = False
    pool.verify(lambda err: told.append(err.code))
    site.run()
    assert told[2:] == ["ECONNREFUSED"]
