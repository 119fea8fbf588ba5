"""The envelope of the next message rides behind the one before, without any promise being broken.

Everything happens in virtual time, against a server that the test decides about.
"""

from __future__ import annotations

import pytest

from smtp_connection import AbortController
from tests.support.signatures import RSA
from tests.support.site import DROP, RESET, SILENCE, finish


def rode(session):
    """Return how often MAIL came in the same piece as the end of the message before."""
    return sum(b"\r\n.\r\nMAIL" in piece for piece in session.pieces)


class Generous:
    """A limiter that gives a permit to everybody."""

    def acquire(self):
        return 0.0


@pytest.fixture
def site(site):
    """The same, with sessions that keep the pieces that they get."""
    accept = site._accept

    def keep():
        session = accept()
        feed = session.feed
        session.pieces = []
        session.feed = lambda data: (session.pieces.append(bytes(data)), feed(data))
        return session

    site.network.accept = keep
    return site


def test_an_envelope_rides_while_more_waits_than_there_are_connections(site):
    pool = site.pool(maxConnections=1)
    site.send(pool, 8)
    assert set(finish(site, pool).values()) == {None}
    assert site.messages == [f"message {number}" for number in range(8)]
    # Not behind the first one, by which the server is known, and not the last one.
    assert rode(site.sessions[0]) == 5


def test_the_outcomes_are_told_in_order(site):
    site.answer(".", "550 no", times=3)
    pool = site.pool(maxConnections=1)
    site.send(pool, 9)
    finish(site, pool)
    assert [number for number, _ in site.outcomes] == [*range(9)]


def test_the_last_messages_go_to_whoever_is_free_first(site):
    pool = site.pool(maxConnections=2)
    site.send(pool, 12)
    finish(site, pool)
    assert sum(map(rode, site.sessions)) == 12 - 2 - 2 - 2


def test_nothing_rides_that_somebody_may_take_back(site):
    pool = site.pool(maxConnections=1)
    site.send(pool, 5, signal=AbortController().signal)
    assert set(finish(site, pool).values()) == {None}
    assert rode(site.sessions[0]) == 0


def test_nothing_rides_that_is_not_there_yet(site):
    pool = site.pool(maxConnections=1)
    for _ in range(5):
        site.send(pool, message=iter([b"hello"]))
    assert set(finish(site, pool).values()) == {None}
    assert rode(site.sessions[0]) == 0


def test_nothing_is_handed_over_early_that_is_to_be_signed(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1, dkim=RSA)
    site.send(pool, 5, "From: a@x.org\n\nhello")
    site.run_until(lambda: len(site.commands("DATA")) == 2)
    site.run_for(0.04)  # the second one is on its way, its end included
    assert pool.queued == 3
    assert set(finish(site, pool).values()) == {None}
    assert all(message.startswith("DKIM-Signature:") for message in site.messages)


def test_nothing_rides_if_the_caller_does_not_want_it(site):
    pool = site.pool(maxConnections=1, pipelineMessages=False)
    site.send(pool, 5)
    finish(site, pool)
    assert rode(site.sessions[0]) == 0


def test_max_messages_is_exact(site):
    pool = site.pool(maxConnections=1, maxMessages=3)
    site.send(pool, 9)
    assert set(finish(site, pool).values()) == {None}
    assert [len(session.messages) for session in site.sessions] == [3, 3, 3]
    assert sum(map(rode, site.sessions)) == 2


@pytest.mark.parametrize("limit", [{"rateLimit": 100}, {"rateLimiter": Generous()}])
def test_nothing_rides_under_a_limit(site, limit):
    pool = site.pool(maxConnections=1, **limit)
    site.send(pool, 5)
    assert set(finish(site, pool).values()) == {None}
    assert rode(site.sessions[0]) == 0


def test_close_sends_what_rides_and_nothing_else(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1)
    site.send(pool, 9)
    # The envelope of the third one is under way behind the second one.
    site.run_until(lambda: len(site.commands("MAIL")) == 3)
    pool.close()
    site.run()
    errors = site.errors()
    assert [number for number in errors if errors[number] is None] == [0, 1, 2]
    assert {errors[number].code for number in range(3, 9)} == {"ECONNECTION"}
    assert site.sessions[0].commands[-1] == "QUIT"


@pytest.mark.parametrize("ending", [DROP, RESET])
def test_what_rides_behind_a_message_in_doubt_is_sent_again_alone(site, ending):
    site.answer(".", lambda session: ending if len(session.messages) == 3 else None, times=3)
    pool = site.pool(maxConnections=1)
    site.send(pool, 8)
    errors = finish(site, pool)
    assert [number for number in errors if errors[number] is not None] == [2]
    assert errors[2].inDoubt
    assert sorted(site.messages) == [f"message {number}" for number in range(8)]


def test_what_rides_behind_silence_is_sent_again_alone(site):
    site.answer(".", lambda session: SILENCE if len(session.messages) == 3 else None, times=3)
    pool = site.pool(maxConnections=1, socketTimeout=1000)
    site.send(pool, 8)
    errors = finish(site, pool)
    assert [number for number in errors if errors[number] is not None] == [2]
    assert sorted(site.messages) == [f"message {number}" for number in range(8)]


def test_421_to_a_message_sends_it_and_what_rides_again(site):
    def refuse(session):
        return "421 no more" if len(session.messages) == 3 and session.number < 3 else None

    site.answer(".", refuse)
    pool = site.pool(maxConnections=4)
    site.send(pool, 12)
    assert set(finish(site, pool).values()) == {None}


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
def test_after_a_refusal_nothing_is_handed_over_before_a_message_is_accepted(site, verb):
    refused = []

    def refuse(session):
        if len(session.messages) != 3 or refused:
            return None
        refused.append(len(session.commands))
        return "550 no"

    site.answer(verb, refuse)
    pool = site.pool(maxConnections=1)
    site.send(pool, 9)
    errors = finish(site, pool)
    assert len([number for number in errors if errors[number] is not None]) == 1
    (session,) = site.sessions
    assert len(session.messages) == (9 if verb == "." else 8)
    assert session.commands[-1] == "QUIT"


def test_454_pauses_although_an_envelope_rides(site):
    told = []

    def throttle(session):
        if len(session.messages) != 3 or told:
            return None
        told.append(site.now)
        return "454 slower"

    site.answer("MAIL", throttle)
    pool = site.pool(maxConnections=1)
    site.send(pool, 9)
    assert set(finish(site, pool).values()) == {None}
    assert max(b - a for a, b in zip(site.begun, site.begun[1:], strict=False)) >= 1


def test_a_message_that_this_side_refuses_does_not_take_the_place_of_another(site):
    pool = site.pool(maxConnections=1)
    site.send(pool, 3)
    pool.send({"from": "a@x.org", "to": []}, "hi", lambda err: site.outcomes.append(("bad", err)))
    site.send(pool, 5)
    errors = finish(site, pool)
    assert errors.pop("bad").code == "EENVELOPE"
    assert set(errors.values()) == {None}
    assert len(site.messages) == 8


def test_what_is_too_large_for_the_server_fails_alone(site):
    site.answer("EHLO", "250-site\r\n250-PIPELINING\r\n250 SIZE 100")
    pool = site.pool(maxConnections=1)
    site.send(pool, 3)
    (large,) = site.send(pool, message="x" * 200)
    site.send(pool, 5)
    errors = finish(site, pool)
    assert [number for number in errors if errors[number] is not None] == [large]
    assert errors[large].code == "EMESSAGE"
