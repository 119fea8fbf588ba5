"""Whether the server can be reached and takes the login, and who no longer wants to know."""

from __future__ import annotations

import pytest

from smtp_connection import AbortController, AbortSignal
from tests.support.site import SILENCE


def test_it_says_quit_and_tells_of_success_once(site):
    told = []
    pool = site.pool()
    pool.verify(lambda err, ok: told.append((err, ok)))
    assert told == []
    site.run()
    assert told == [(None, True)]
    assert [session.commands for session in site.sessions] == [["EHLO c.test", "QUIT"]]
    assert pool.stats().connections["opening"] == 0  # it is none of the pool's


def test_a_signal_ends_it(site):
    site.answer("EHLO", SILENCE)
    told = []
    controller = AbortController()
    site.pool().verify(lambda err: told.append(err.code), signal=controller.signal)
    site.reactor.call_later(5, controller.abort)
    site.run()
    assert told == ["EABORT"]
    assert site.now == 5
    assert site.open_sessions == 0


def test_a_signal_before_it_connects(site):
    told = []
    controller = AbortController()
    site.pool().verify(lambda err: told.append(err.code), signal=controller.signal)
    controller.abort()
    site.pool().verify(lambda err: told.append(err.code), signal=AbortSignal.abort())
    assert told == []
    site.run()
    assert told == ["EABORT", "EABORT"]
    assert site.sessions == []


def test_a_signal_that_comes_too_late(site):
    told = []
    controller = AbortController()
    site.pool().verify(lambda err, ok: told.append((err, ok)), signal=controller.signal)
    site.run_until(lambda: told)
    controller.abort()
    site.run()
    assert told == [(None, True)]


def test_nothing_else_is_taken_for_a_signal(site):
    with pytest.raises(TypeError, match="signal takes an AbortSignal; got bool"):
        site.pool().verify(print, signal=True)
    site.run()
