"""What a pool does after which error: the table of the manual, line by line, and its limits.

Everything happens in virtual time, against a server that the test decides about.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from smtp_connection import AbortController, AbortSignal, SMTPError
from tests.support.site import DROP, RESET, SILENCE, finish

LOGIN = {"user": "me", "pass": "right"}


def close_when_done(site, pool, count):
    """Close ``pool`` as soon as ``count`` messages have an outcome."""
    site.run_until(lambda: len(site.outcomes) == count)
    pool.close()
    site.run()


def first_only(reply, sessions=1):
    """Say ``reply`` in the first ``sessions`` connections."""
    return lambda session: reply if session.number < sessions else None


def break_within_the_message(session):
    """Let the client's system take no more, and then break the connection."""
    session.stream.blocked = True
    session._site.network.later(1, session.stream.reset)


# -- close() --------------------------------------------------------------------------------------


def test_close_lets_idle_connections_say_quit(site):
    pool = site.pool()
    site.send(pool)
    site.run_until(lambda: site.outcomes)
    assert site.sessions[0].commands[-1] == "DATA"
    closed = []
    pool.close(lambda *args: closed.append((args, site.open_sessions)))
    assert not closed
    site.run()
    assert site.sessions[0].commands[-1] == "QUIT"
    assert closed == [((None,), 0)]


def test_close_finishes_what_is_being_sent_and_fails_what_is_queued(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=2)
    site.send(pool, 5)
    site.run_until(lambda: len(site.commands("DATA")) == 2)
    pool.close()
    site.run()
    errors = site.errors()
    assert errors[0] is errors[1] is None
    assert [(errors[n].code, str(errors[n])) for n in (2, 3, 4)] == [
        ("ECONNECTION", "The pool is closed")
    ] * 3
    assert len({id(errors[n]) for n in (2, 3, 4)}) == 3
    assert [session.commands[-1] for session in site.sessions] == ["QUIT", "QUIT"]
    assert len(site.messages) == 2


def test_close_with_drain_sends_everything_first(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=2)
    site.send(pool, 9)
    closed = []
    pool.close({"drain": True}, lambda: closed.append(len(site.outcomes)))
    site.send(pool)  # too late
    site.run()
    errors = site.errors()
    assert errors.pop(9).code == "ECONNECTION"
    assert set(errors.values()) == {None}
    assert len(site.messages) == 9
    assert closed == [10]


def test_close_with_force_fails_what_is_being_sent(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=2)
    site.answer(".", SILENCE, times=1)
    site.answer("DATA", lambda session: SILENCE if session.number == 1 else None)
    site.send(pool, 3)
    site.run_until(lambda: site.messages)
    pool.close({"force": True})
    site.run()
    errors = site.errors()
    assert [errors[n].code for n in range(3)] == ["ECONNECTION"] * 3
    assert [errors[n].inDoubt for n in range(3)] == [True, False, False]
    assert site.commands("QUIT") == []


def test_close_with_force_ends_what_drain_has_begun(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1)
    site.answer("MAIL", SILENCE)
    site.send(pool, 2)
    closed = []
    pool.close({"drain": True}, lambda: closed.append("drained"))
    site.run_for(5)
    assert closed == []
    pool.close({"force": True}, lambda: closed.append("forced"))
    site.run()
    assert closed == ["drained", "forced"]
    assert [err.code for err in site.errors().values()] == ["ECONNECTION"] * 2


def test_close_of_a_pool_that_has_done_nothing(site):
    pool = site.pool()
    closed = []
    pool.close(lambda: closed.append(1))
    site.run()
    pool.close(lambda: closed.append(2))
    assert closed == [1]
    site.run()
    assert closed == [1, 2]


def test_a_connection_that_is_being_opened_is_closed_at_once(slow_site):
    site = slow_site
    site.answer("CONNECT", SILENCE)
    pool = site.pool()
    site.send(pool)
    site.run_until(lambda: site.sessions)
    pool.close()
    site.run()
    assert [err.code for err in site.errors().values()] == ["ECONNECTION"]
    assert site.now < 1


def test_a_server_that_does_not_answer_quit_is_left_alone_after_ten_seconds(site):
    site.answer("QUIT", SILENCE)
    pool = site.pool()
    site.send(pool)
    site.run_until(lambda: site.outcomes)
    pool.close()
    site.run()
    assert 10 <= site.now < 11


def test_a_message_that_waits_for_another_attempt_fails_with_close(slow_site):
    site = slow_site
    site.answer("MAIL", DROP, times=1)
    pool = site.pool()
    site.send(pool)
    site.run_until(lambda: pool.stats().requeued)
    pool.close()
    site.run()
    (error,) = site.errors().values()
    assert str(error) == "The pool is closed"
    assert "Connection closed unexpectedly" in str(error.__cause__)


# -- in doubt --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [DROP, RESET])
def test_in_doubt_is_never_sent_again(site, ending):
    site.answer(".", ending, times=1)
    pool = site.pool(maxConnections=1)
    site.send(pool, 3)
    errors = finish(site, pool)
    assert errors[0].inDoubt
    assert errors[1] is errors[2] is None
    assert [message.split()[1] for message in site.messages] == ["0", "1", "2"]
    stats = pool.stats()
    assert (stats.sent, stats.failed, stats.inDoubt, stats.requeued) == (2, 0, 1, 0)


def test_silence_after_the_end_is_in_doubt_and_never_sent_again(site):
    site.answer(".", SILENCE, times=1)
    pool = site.pool(socketTimeout=30_000)
    site.send(pool)
    (error,) = finish(site, pool).values()
    assert (error.code, error.inDoubt) == ("ETIMEDOUT", True)
    assert len(site.messages) == 1


# -- dropped before the last byte ------------------------------------------------------------------


@pytest.mark.parametrize("ending", [DROP, RESET])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_dropped_before_the_last_byte_is_sent_again_on_another_connection(site, verb, ending):
    site.answer(verb, ending, times=1)
    pool = site.pool()
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert len(site.sessions) == 2
    assert site.messages == ["message 0"]
    assert pool.stats().requeued == 1


def test_the_pauses_between_attempts_double_up_to_two_seconds(site):
    site.answer("MAIL", DROP)
    pool = site.pool(maxRequeues=8)
    site.send(pool)
    finish(site, pool)
    times = site.begun
    assert len(times) == 9
    pauses = [round(b - a, 6) for a, b in pairwise(times)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_after_max_requeues_the_original_error_is_told(site):
    site.answer("MAIL", RESET)
    pool = site.pool()
    site.send(pool)
    (error,) = finish(site, pool).values()
    assert (error.code, error.inDoubt) == ("ECONNRESET", False)
    assert len(site.begun) == 6
    assert pool.stats().requeued == 5


@pytest.mark.parametrize(("most", "attempts"), [(0, 1), (1, 2), (-1, 40)])
def test_max_requeues(site, most, attempts):
    site.answer("MAIL", DROP, times=39)
    pool = site.pool(maxRequeues=most)
    site.send(pool)
    finish(site, pool)
    assert len(site.begun) == attempts


def test_a_message_that_is_sent_again_comes_before_the_others(site):
    site.answer("MAIL", DROP, times=1)
    pool = site.pool(maxConnections=1)
    site.send(pool, 1)
    site.run_until(lambda: pool.stats().requeued)
    site.answer("MAIL", lambda session: None)
    site.send(pool, 3)
    assert set(finish(site, pool).values()) == {None}
    order = [message.split()[1] for message in site.messages]
    assert order.index("0") < 3


def test_a_generator_that_nobody_has_asked_is_sent_again(site):
    ran = []

    def generate():
        ran.append(1)
        yield b"generated"

    site.answer("MAIL", DROP, times=1)
    pool = site.pool()
    site.send(pool, message=generate())
    assert finish(site, pool) == {0: None}
    assert site.messages == ["generated"]
    assert ran == [1]


def test_a_generator_that_has_run_is_not_sent_again(site):
    closed = []

    def generate():
        try:
            yield b"x" * 300
            yield b"y" * 300
        finally:
            closed.append(1)

    site.answer("DATA", break_within_the_message)
    pool = site.pool()
    site.send(pool, message=generate())
    (error,) = finish(site, pool).values()
    assert error.code in ("ECONNRESET", "ECONNECTION")
    assert not error.inDoubt
    assert closed == [1]
    assert len(site.sessions) == 1


def test_a_generator_that_never_gets_its_turn_is_closed(site):
    def generate():
        yield b"x"

    generator = generate()
    pool = site.pool()
    site.send(pool, message=generator)
    pool.close()
    site.run()
    assert generator.gi_frame is None


def test_a_file_is_read_again_from_where_it_stood(site, tmp_path):
    path = tmp_path / "message"
    path.write_bytes(b"not this\nthis")
    site.answer("DATA", DROP, times=1)
    pool = site.pool()
    with path.open("rb") as file:
        file.readline()
        site.send(pool, message=file)
        assert finish(site, pool) == {0: None}
    assert site.messages == ["this"]


# -- the server takes fewer connections ------------------------------------------------------------


def allowing(most, words="421 4.7.0 Too many connections"):
    """Greet only as long as there are no more than ``most`` connections."""

    def greet(session):
        others = sum(each.until is None for each in session._site.sessions[: session.number])
        return words if others >= most else None

    return greet


@pytest.mark.parametrize("words", ["421 4.7.0 Too many connections", "554 5.7.1 Go away"])
def test_refusal_at_the_greeting_halves_the_ceiling_and_no_message_fails(slow_site, words):
    site = slow_site
    site.answer("CONNECT", allowing(2, words))
    pool = site.pool(maxConnections=20)
    site.send(pool, 40)
    ceilings = []
    pool.on("log", lambda entry: ceilings.append(pool.stats().ceiling))
    errors = finish(site, pool)
    assert set(errors.values()) == {None}
    assert len(site.messages) == 40
    assert pool.stats().ceiling <= 2
    assert pool.stats().requeued == 0


@pytest.mark.parametrize("code", ["421 4.3.2 Too much", "432 4.3.2 Concurrent connections limit"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
def test_421_and_432_are_sent_again_and_halve_the_ceiling(site, verb, code):
    site.answer(verb, first_only(code))
    pool = site.pool(maxConnections=4)
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert pool.stats().ceiling == 2
    assert len(site.sessions) == 2


def test_the_ceiling_grows_by_one_for_each_quiet_minute(site):
    site.answer("CONNECT", "421 too many", times=1)
    pool = site.pool(maxConnections=5)
    site.send(pool)
    site.run_until(lambda: site.outcomes)
    seen = []
    for _ in range(5):
        seen.append(pool.stats().ceiling)
        site.run_for(60)
    assert seen == [2, 3, 4, 5, 5]
    finish(site, pool)


def test_one_complaint_about_many_connections_counts_once(slow_site):
    site = slow_site
    site.answer("CONNECT", "421 too many", times=8)
    pool = site.pool(maxConnections=8)
    site.send(pool, 8)
    site.run_until(lambda: len(site.sessions) == 8 and site.open_sessions == 0)
    site.run_for(0.04)
    assert pool.stats().ceiling == 4
    assert set(finish(site, pool).values()) == {None}


def test_there_is_always_one_connection(site):
    site.answer("CONNECT", "421 too many", times=4)
    pool = site.pool()
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert pool.stats().ceiling == 1


# -- the server takes fewer messages ---------------------------------------------------------------


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
def test_454_pauses_the_limiter_and_the_message_is_sent_again(site, verb):
    site.answer(verb, "454 4.7.0 Throttling failure: Maximum sending rate exceeded", times=3)
    pool = site.pool(maxConnections=1)
    site.send(pool, 3)
    assert finish(site, pool) == {0: None, 1: None, 2: None}
    begun = site.begun
    assert [round(b - a) for a, b in pairwise(begun)] == [1, 2, 4, 0, 0]
    assert [message.split()[1] for message in site.messages] == ["0", "1", "2"]
    assert len(site.sessions) == 1


def test_454_pauses_for_as_long_as_the_server_says(site):
    site.answer("MAIL", "454 4.7.0 Throttled, try again in 30 seconds", times=1)
    pool = site.pool()
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert 30 <= site.begun[1] < 31


def test_454_again_and_again_is_told(site):
    site.answer("MAIL", "454 4.7.0 Throttled")
    pool = site.pool(maxRequeues=2)
    site.send(pool)
    (error,) = finish(site, pool).values()
    assert error.responseCode == 454
    assert len(site.begun) == 3


# -- logging in ------------------------------------------------------------------------------------


def test_535_is_one_attempt_and_the_whole_queue_fails_with_it(slow_site):
    site = slow_site
    site.answer("AUTH", "535 5.7.8 Authentication failed")
    pool = site.pool(auth=LOGIN)
    site.send(pool, 20)
    site.run_until(lambda: len(site.outcomes) == 20)
    errors = site.errors().values()
    assert {(err.code, err.responseCode) for err in errors} == {("EAUTH", 535)}
    assert len({id(err) for err in errors}) == 20
    assert len(site.commands("AUTH")) == len(site.sessions) == 1
    pool.close()
    site.run()
    assert site.sessions[0].commands[-1] == "QUIT"


def test_the_next_send_after_535_tries_anew(site):
    site.answer("AUTH", "535 5.7.8 Authentication failed", times=2)
    pool = site.pool(auth=LOGIN)
    for count in (1, 2):
        site.send(pool, 3)
        site.run_until(lambda: not pool.pendingCount())
        assert len(site.commands("AUTH")) == count
    site.send(pool, 3)
    errors = finish(site, pool)
    assert [errors[n] for n in (6, 7, 8)] == [None] * 3


def test_a_login_without_an_answer_is_tried_by_one_connection(slow_site):
    """The others wait until it is known whether the password is right."""
    site = slow_site
    pool = site.pool(auth=LOGIN)
    site.send(pool, 20)
    site.run_until(lambda: site.commands("AUTH"))
    assert len(site.sessions) == 1
    site.run_until(lambda: len(site.sessions) == 5)
    assert set(finish(site, pool).values()) == {None}
    assert [session.login for session in site.sessions] == [["me", "right"]] * 5


def test_535_to_a_password_that_was_right_before(slow_site):
    site = slow_site
    pool = site.pool(auth=LOGIN, maxConnections=4, maxMessages=1)
    site.send(pool, 4)
    site.run_until(lambda: len(site.outcomes) == 4)
    site.answer("AUTH", "535 5.7.8 Authentication failed")
    site.send(pool, 4)
    site.run_until(lambda: len(site.outcomes) == 8)
    assert [err.responseCode for err in site.errors().values() if err] == [535] * 4
    finish(site, pool)


def test_a_temporary_refusal_of_auth_backs_off(site):
    site.answer("AUTH", "454 4.7.0 Temporary authentication failure", times=3)
    pool = site.pool(auth=LOGIN)
    site.send(pool, 8)
    errors = finish(site, pool)
    assert set(errors.values()) == {None}
    since = [session.since for session in site.sessions[:4]]
    assert [round(b - a, 6) for a, b in pairwise(since)] == [0.05, 0.1, 0.2]
    assert pool.stats().requeued == 0


def test_a_login_that_cannot_be_tried_fails_the_queue(site):
    site.answer("EHLO", "250-site\r\n250 AUTH KERBEROS_V4")
    pool = site.pool(auth=LOGIN)
    site.send(pool, 2)
    assert [err.code for err in finish(site, pool).values()] == ["EAUTH", "EAUTH"]
    assert site.commands("AUTH") == []


def test_auth_without_values_is_no_auth(site):
    pool = site.pool(auth={"user": None, "pass": None})
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert site.commands("AUTH") == []


def test_a_server_without_auth_gets_no_mail_from_somebody_who_logs_in(site):
    site.answer("EHLO", "250 site")
    pool = site.pool(auth=LOGIN)
    site.send(pool)
    (error,) = finish(site, pool).values()
    assert (error.code, site.messages) == ("EAUTH", [])


def test_force_auth_may_be_switched_off_as_in_nodemailer(site):
    site.answer("EHLO", "250 site")
    pool = site.pool(auth=LOGIN, forceAuth=False)
    site.send(pool)
    assert finish(site, pool) == {0: None}


# -- a message is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["550 5.1.1 Nobody", "451 4.7.1 Greylisted"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
def test_a_refusal_of_one_message_is_followed_by_rset_and_the_connection_stays(site, verb, reply):
    site.answer(verb, reply, times=1)
    pool = site.pool(maxConnections=1)
    site.send(pool, 2)
    errors = finish(site, pool)
    assert errors[0].responseCode == int(reply[:3])
    assert errors[1] is None
    (session,) = site.sessions
    assert session.commands.count("RSET") == 1
    assert session.commands[-1] == "QUIT"


def test_a_message_that_this_side_refuses_costs_nothing(site):
    pool = site.pool(maxConnections=1)
    pool.send({"from": "a@x.org", "to": []}, "hi", lambda err: site.outcomes.append(("bad", err)))
    site.send(pool)
    errors = finish(site, pool)
    assert (errors["bad"].code, errors[0]) == ("EENVELOPE", None)
    assert "RSET" not in site.sessions[0].commands


def test_a_message_that_cannot_be_looked_at(site):
    class Odd(dict):
        def __getitem__(self, key):
            raise LookupError("odd")

        def items(self):
            raise LookupError("odd")

    pool = site.pool(maxConnections=1)
    pool.send(None, [object()], lambda err: site.outcomes.append(("odd", err)))
    site.send(pool)
    errors = finish(site, pool)
    assert (errors["odd"].code, errors[0]) == ("EENVELOPE", None)


def test_a_source_that_fails_is_the_failure_of_its_message(site):
    def generate():
        yield b"x"
        raise OSError("gone")

    pool = site.pool(maxConnections=1)
    site.send(pool, message=generate())
    site.send(pool)
    errors = finish(site, pool)
    assert (errors[0].code, errors[1]) == ("ESTREAM", None)
    assert site.messages == ["message 1"]


def test_a_refused_rset_ends_the_connection(site):
    site.answer("MAIL", "550 no", times=1)
    site.answer("RSET", "500 what?", times=1)
    pool = site.pool(maxConnections=1)
    site.send(pool, 2)
    errors = finish(site, pool)
    assert errors[1] is None
    assert [session.commands[-1] for session in site.sessions] == ["QUIT", "QUIT"]


# -- the end of a connection -----------------------------------------------------------------------


def test_max_messages_ends_a_connection_with_quit(site):
    pool = site.pool(maxConnections=1, maxMessages=2)
    site.send(pool, 5)
    assert set(finish(site, pool).values()) == {None}
    assert [len(session.messages) for session in site.sessions] == [2, 2, 1]
    assert all(session.commands[-1] == "QUIT" for session in site.sessions)
    # The next one is opened when the last one is over.
    assert all(a.until <= b.since for a, b in pairwise(site.sessions))


def test_refused_messages_count_as_well(site):
    site.answer("MAIL", "550 no")
    pool = site.pool(maxConnections=1, maxMessages=2)
    site.send(pool, 4)
    finish(site, pool)
    assert len(site.sessions) == 2


def test_an_idle_connection_says_quit(site):
    pool = site.pool(idleTimeout=30_000)
    cleared = []
    pool.on("clear", lambda: cleared.append(site.now))
    site.send(pool)
    site.run()
    assert site.sessions[0].commands[-1] == "QUIT"
    assert cleared == [pytest.approx(30, abs=0.1)]


def test_a_connection_that_is_used_again_is_not_idle(site):
    pool = site.pool(idleTimeout=30_000)
    for _ in range(4):
        site.send(pool)
        site.run_for(20)
    site.run()
    assert len(site.sessions) == 1
    assert site.sessions[0].until == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize("idle", [0, -1, float("inf")])
def test_without_an_idle_timeout_connections_stay(site, idle):
    pool = site.pool(idleTimeout=idle)
    site.send(pool)
    site.run_for(500)
    assert site.open_sessions == 1
    finish(site, pool)


def test_max_lifetime_ends_a_connection_with_quit(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1, maxLifetime=1_000)
    site.send(pool, 40)
    assert set(finish(site, pool).values()) == {None}
    assert len(site.sessions) > 1
    for session in site.sessions:
        assert session.commands[-1] == "QUIT"
        assert session.until - session.since < 1.3


def test_max_lifetime_ends_an_idle_connection(site):
    pool = site.pool(maxLifetime=45_000)
    site.send(pool)
    site.run()
    assert site.sessions[0].until == pytest.approx(45, abs=0.1)


def test_an_idle_connection_that_the_server_ends_is_no_error(site):
    pool = site.pool()
    site.send(pool)
    site.run_until(lambda: site.outcomes)
    site.sessions[0].hang_up()
    site.run()
    assert pool.stats().ceiling == 5
    site.send(pool)
    assert finish(site, pool) == {0: None, 1: None}
    assert len(site.sessions) == 2


# -- LMTP ------------------------------------------------------------------------------------------


def test_lmtp_that_some_have_accepted_is_settled(site):
    site.answer(".", "250 first", times=1)
    site.answer(".", "421 second", times=1)
    pool = site.pool(lmtp=True, maxConnections=1)
    infos = []
    envelope = {"from": "a@x.org", "to": ["b@x.org", "c@x.org"]}
    pool.send(envelope, "hi", lambda err, info: infos.append((err, info)))
    site.send(pool)
    assert finish(site, pool) == {0: None}
    ((err, info),) = infos
    assert err is None
    assert (info.accepted, info.rejected) == (["b@x.org"], ["c@x.org"])
    assert site.messages == ["hi", "message 0"]


def test_lmtp_that_was_dropped_after_some_verdicts_is_settled(site):
    site.answer(".", "250 first", times=1)
    site.answer(".", DROP, times=1)
    pool = site.pool(lmtp=True, maxConnections=1)
    infos = []
    envelope = {"from": "a@x.org", "to": ["b@x.org", "c@x.org"]}
    pool.send(envelope, "hi", lambda err, info: infos.append((err, info)))
    site.send(pool)
    assert finish(site, pool) == {0: None}
    ((err, info),) = infos
    assert err is None
    assert (info.accepted, info.rejected) == (["b@x.org"], ["c@x.org"])
    assert info.rejectedErrors[0].inDoubt
    assert site.messages == ["hi", "message 0"]


# -- a server that is not there --------------------------------------------------------------------


def test_a_server_that_comes_back_in_time_gets_everything(site):
    site.accept = False
    pool = site.pool()
    site.send(pool, 20)
    site.reactor.call_later(0.5, setattr, site, "accept", True)
    assert set(finish(site, pool).values()) == {None}


def test_a_server_that_is_not_there_fails_the_queue_once(site):
    """Not each message after an attempt of its own, which would take hours."""
    dialled = []
    dial = site.network.dial
    site.accept = False
    site.network.dial = lambda: dialled.append(site.now) or dial()
    pool = site.pool()
    site.send(pool, 1000)
    errors = finish(site, pool)
    assert {err.code for err in errors.values()} == {"ECONNREFUSED"}
    assert len({id(err) for err in errors.values()}) == 1000
    # Five at once, then one after the other.
    assert len(dialled) == 10
    assert site.now == pytest.approx(0.05 + 0.1 + 0.2 + 0.4 + 0.8, abs=0.01)


def test_what_is_sent_later_has_attempts_of_its_own(site):
    site.accept = False
    pool = site.pool(maxConnections=1)
    site.send(pool)
    site.reactor.call_later(1.0, site.send, pool)
    site.run_until(lambda: len(site.outcomes) == 1)
    assert site.outcomes[0][0] == 0
    early = site.now
    site.run_until(lambda: len(site.outcomes) == 2)
    assert site.now - early > 1
    pool.close()
    site.run()


def test_a_server_whose_certificate_is_wrong_is_asked_once(site):
    site.answer("EHLO", "250 site")
    pool = site.pool(requireTLS=True)
    site.send(pool, 3)
    errors = finish(site, pool)
    assert {err.code for err in errors.values()} == {"ETLS"}
    assert len(site.sessions) <= 3


def test_connections_that_are_dropped_at_once_are_not_opened_like_mad(site):
    site.answer("MAIL", DROP)
    pool = site.pool(maxConnections=1)
    site.send(pool, 50)
    site.run_for(10)
    assert len(site.sessions) < 15
    pool.close({"force": True})
    site.run()


# -- order, and room in the queue ------------------------------------------------------------------


def test_first_in_first_out(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=3)
    site.send(pool, 30)
    assert list(finish(site, pool)) == list(range(30))
    begun = [message.split()[1] for message in site.messages]
    assert sorted(begun, key=int) == [str(n) for n in range(30)]


def test_idle_as_in_nodemailer(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=2)
    told = []
    pool.on("idle", lambda: told.append((pool.isIdle(), pool.stats().queued)))
    assert pool.isIdle()
    site.run_for(0.01)
    assert told == [(True, 0)]
    site.send(pool)
    assert pool.isIdle()
    site.send(pool)
    assert not pool.isIdle()
    site.send(pool, 3)
    finish(site, pool)
    assert pool.isIdle()
    assert told[1:] == [(True, 1)]


def test_feeding_the_pool_while_it_is_idle_queues_little(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=4)
    most = []

    def feed():
        while pool.isIdle() and site._numbered < 200:
            site.send(pool)
        most.append(pool.stats().queued)
        if site._numbered == 200:
            pool.close({"drain": True})

    pool.on("idle", feed)
    site.run()
    assert set(site.errors().values()) == {None}
    assert len(site.messages) == 200
    assert max(most) <= 4


def test_the_queue_may_have_a_bound(site):
    pool = site.pool(maxQueued=3, maxConnections=1)
    site.send(pool, 5)
    errors = finish(site, pool)
    assert [errors[n] and errors[n].code for n in range(5)] == [None] * 3 + ["EMAXLIMIT"] * 2
    assert str(errors[3]) == "The queue is full: 3 messages (maxQueued) wait in it"


def test_no_more_connections_than_messages(slow_site):
    site = slow_site
    pool = site.pool()
    site.send(pool, 2)
    finish(site, pool)
    assert len(site.sessions) == 2


def test_clear_is_told_when_the_last_connection_is_over(site):
    pool = site.pool(idleTimeout=1000)
    told = []
    pool.on("clear", lambda: told.append(site.open_sessions))
    site.send(pool, 3)
    site.run()
    assert told == [0]


# -- callbacks and events --------------------------------------------------------------------------


def test_nothing_is_called_from_within_a_method(site):
    pool = site.pool()
    site.send(pool)
    pool.close()
    assert site.outcomes == []
    site.run()
    assert len(site.outcomes) == 1


def test_a_failure_without_a_callback_is_an_error_event(site):
    site.answer("MAIL", "550 no")
    pool = site.pool()
    pool.send({"from": "a@x.org", "to": "b@x.org"}, "hi")
    ((name, error),) = finish(site, pool).items()
    assert (name, error.responseCode) == ("error", 550)


def test_an_error_that_nobody_hears_is_raised(site):
    site.answer("MAIL", "550 no")
    pool = site.pool()
    pool.removeAllListeners("error")
    pool.send({"from": "a@x.org", "to": "b@x.org"}, "hi")
    pool.close({"drain": True})
    with pytest.raises(SMTPError, match="550 no"):
        site.run()
    site.run()


def test_a_callback_that_raises_harms_nobody(site):
    pool = site.pool(maxConnections=1)

    def fail(err):
        raise LookupError("a callback's")

    pool.send({"from": "a@x.org", "to": "b@x.org"}, "hi", fail)
    site.send(pool, 2)
    pool.close({"drain": True})
    with pytest.raises(LookupError):
        site.run()
    site.run()
    assert site.errors() == {0: None, 1: None}


def test_callbacks_that_raise_keep_neither_outcomes_nor_the_order_of_the_end(site):
    pool = site.pool(maxConnections=3)
    told = []

    def fail(err):
        told.append("outcome")
        raise LookupError("a callback's")

    for _ in range(3):  # whose outcomes come in one turn
        pool.send({"from": "a@x.org", "to": "b@x.org"}, "hi", fail)
    pool.close({"drain": True}, lambda: told.append("closed"))
    for _ in range(3):
        with pytest.raises(LookupError):
            site.run()
    site.run()
    assert told == ["outcome"] * 3 + ["closed"]


def test_callbacks_take_what_they_declare(site):
    got = []
    pool = site.pool()
    envelope = {"from": "a@x.org", "to": "b@x.org"}
    pool.send(envelope, "hi", lambda: got.append(()))
    pool.send(envelope, "hi", lambda *args: got.append(args))
    finish(site, pool)
    assert got[0] == ()
    assert got[1][0] is None
    assert got[1][1].accepted == ["b@x.org"]
    with pytest.raises(TypeError, match="a callback is a callable or None"):
        pool.send(envelope, "hi", "callback")


def test_what_the_caller_changes_afterwards_changes_nothing(site):
    from email.message import EmailMessage

    pool = site.pool(maxConnections=1)
    envelope = {"from": "a@x.org", "to": ["one@x.org"]}
    mail = {"from": "a@x.org", "to": "two@x.org", "subject": "two", "text": "hi"}
    email = EmailMessage()
    email["From"], email["To"] = "a@x.org", "three@x.org"
    email.set_content("hi")
    data = bytearray(b"four")
    pool.send(envelope, "hi")
    pool.send(None, mail)
    pool.send(None, email)
    pool.send({"from": "a@x.org", "to": "four@x.org"}, data)
    envelope["to"][0] = mail["to"] = "wrong@x.org"
    del email["To"]
    email["To"] = "wrong@x.org"
    data[:] = b"nope"
    finish(site, pool)
    assert site.commands("RCPT") == [
        f"RCPT TO:<{name}@x.org>" for name in ("one", "two", "three", "four")
    ]
    assert site.messages[-1] == "four"


def test_log_entries_carry_the_id_of_the_connection(site):
    site.answer("CONNECT", "421 4.3.2 Too many", times=1)
    pool = site.pool(debug=True, maxConnections=2)
    log = []
    pool.on("log", log.append)
    site.send(pool)
    finish(site, pool)
    assert {entry.type for entry in log} == {"server", "client", "stream", "socket"}
    sids = {entry.sid for entry in log}
    assert len(sids) == 3
    own = [entry.message for entry in log if entry.sid == pool.id]
    assert own[0].startswith("At most 1 connections from now on: The server closed the connection")
    assert set(log[0]) == {"type", "message", "sid"}


def test_the_logger_hears_of_what_the_pool_decides(site):
    lines = []

    class Logger:
        def info(self, text):
            lines.append(text)

        debug = warning = error = info

    site.answer("MAIL", DROP, times=1)
    pool = site.pool(logger=Logger())
    site.send(pool)
    finish(site, pool)
    assert any(line.startswith("A message is sent again: Connection closed") for line in lines)


# -- statistics ------------------------------------------------------------------------------------


def test_stats(slow_site):
    site = slow_site
    site.answer("MAIL", "550 no", times=1)
    pool = site.pool(maxConnections=2)
    site.send(pool, 9)
    stats = pool.stats()
    assert (stats.queued, stats.sending, stats.sent) == (9, 0, 0)
    site.run_until(lambda: site.commands("DATA"))
    stats = pool.stats()
    assert (stats.queued, stats.sending) == (7, 2)
    assert stats.connections == {"opening": 0, "idle": 0, "sending": 2, "closing": 0}
    finish(site, pool)
    stats = pool.stats()
    assert (stats.queued, stats.sending, stats.sent, stats.failed) == (0, 0, 8, 1)
    assert stats.connections == dict.fromkeys(stats.connections, 0)
    assert stats.toJSON()["sent"] == stats["sent"] == 8


def test_pending_count(site):
    pool = site.pool()
    site.send(pool, 3)
    assert pool.pendingCount() == 3
    finish(site, pool)
    assert pool.pendingCount() == 0


# -- signals ---------------------------------------------------------------------------------------


def send_with(site, pool, signal):
    """Send a message that ``signal`` may abort, and return its number."""
    number = site._numbered
    site._numbered += 1
    pool.send(
        {"from": "a@x.org", "to": "b@x.org"},
        f"message {number}",
        lambda err, info: site.outcomes.append((number, err)),
        signal=signal,
    )
    return number


def test_a_message_in_the_queue_is_taken_back(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1)
    controller = AbortController()
    site.send(pool)
    send_with(site, pool, controller.signal)
    site.send(pool)
    site.run_until(lambda: site.messages)
    controller.abort("no longer needed")
    assert len(site.outcomes) == 0
    errors = finish(site, pool)
    assert errors[0] is errors[2] is None
    assert errors[1].code == "EABORT"
    assert "no longer needed" in str(errors[1])
    assert [message.split()[1] for message in site.messages] == ["0", "2"]


def test_what_is_taken_back_makes_room(slow_site):
    site = slow_site
    pool = site.pool(maxConnections=1, maxQueued=3)
    controller = AbortController()
    for _ in range(3):
        send_with(site, pool, controller.signal)
    assert not pool.isIdle()
    controller.abort()
    site.run()
    assert pool.isIdle()
    assert (pool.stats().queued, pool.pendingCount()) == (0, 0)
    site.send(pool, 3)
    errors = finish(site, pool)
    assert [errors[n] for n in (3, 4, 5)] == [None] * 3
    assert len(site.messages) == 3


def test_a_signal_that_is_aborted_already(site):
    pool = site.pool()
    send_with(site, pool, AbortSignal.abort("never"))
    assert site.outcomes == []
    assert finish(site, pool)[0].code == "EABORT"
    assert site.sessions == []


def test_a_message_that_is_being_sent_is_for_its_connection_to_abort(slow_site):
    site = slow_site
    site.answer("DATA", SILENCE, times=1)
    pool = site.pool(maxConnections=1)
    controller = AbortController()
    send_with(site, pool, controller.signal)
    site.send(pool)
    site.run_until(lambda: site.commands("DATA"))
    controller.abort()
    errors = finish(site, pool)
    assert (errors[0].code, errors[0].inDoubt, errors[1]) == ("EABORT", False, None)
    assert site.messages == ["message 1"]


def test_a_message_whose_end_is_out_is_in_doubt_or_accepted(slow_site):
    site = slow_site
    site.answer(".", SILENCE, times=1)
    pool = site.pool(maxConnections=1)
    controller = AbortController()
    send_with(site, pool, controller.signal)
    site.run_for(1)  # the client has nothing more to do until a time-out
    assert len(site.messages) == 1
    controller.abort()
    (error,) = finish(site, pool).values()
    assert (error.code, error.inDoubt) == ("EABORT", True)
    assert len(site.messages) == 1


def test_a_message_that_waits_for_another_attempt_is_taken_back(site):
    site.answer("MAIL", DROP, times=1)
    pool = site.pool()
    controller = AbortController()
    send_with(site, pool, controller.signal)
    site.run_until(lambda: pool.stats().requeued)
    controller.abort()
    assert finish(site, pool)[0].code == "EABORT"
    assert len(site.sessions) == 1


def test_a_signal_is_let_go_of(site):
    pool = site.pool()
    signal = AbortController().signal
    send_with(site, pool, signal)
    finish(site, pool)
    assert not signal._followers
    with pytest.raises(TypeError, match="signal takes an AbortSignal; got str"):
        send_with(site, pool, "signal")
