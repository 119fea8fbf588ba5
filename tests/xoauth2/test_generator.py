"""The XOAUTH2 generator: the token that it has, where it gets another one, and whom it tells."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from smtp_connection import Reactor, SMTPError, run
from smtp_connection.reactor.default import current_reactor
from smtp_connection.xoauth2 import Token, create_xoauth2_generator
from tests.support.helpers import in_child
from tests.support.oauth2_server import waiting_for

from .samples import ISSUED, LATER, NEW, NEWER, NOW, OLD, SECRETS, USER, response

# -- a token that is there -------------------------------------------------------------------------


def test_a_ready_token_is_handed_over_as_it_is(generator_for, outcome_of):
    generator = generator_for(accessToken=OLD)

    assert outcome_of(generator.getToken) == (None, response(OLD), OLD)
    assert outcome_of(generator.get_token) == (None, response(OLD), OLD)
    assert generator.buildXOAuth2Token() == response(OLD)
    assert generator.build_xoauth2_token(NEW) == response(NEW)


def test_callbacks_take_what_they_declare(generator_for, reactor):
    generator = generator_for(accessToken=OLD)
    got: list[object] = []

    def first(err):
        got.append(err)

    def second(err, token):
        got.append(token)

    generator.getToken(lambda: got.append("none"))
    generator.getToken(first)
    generator.getToken(second)
    reactor.run()

    assert got == ["none", None, response(OLD)]


@pytest.mark.parametrize("method", ["getToken", "generateToken"])
def test_a_callback_that_cannot_be_called_is_refused_at_once(generator_for, method):
    with pytest.raises(TypeError, match="a callback is a callable or None"):
        getattr(generator_for(), method)("callback")


@pytest.mark.parametrize(
    ("options", "valid"),
    [
        ({}, True),
        ({"timeout": 0}, True),
        ({"timeout": 60}, True),
        ({"expires": NOW + 60_000}, True),
        ({"expires": NOW - 1}, False),
        ({"expires": NOW + 60_000, "timeout": 0.001}, True),
        ({"expires": NOW - 1, "timeout": 60}, False),
        ({"expires": 0, "timeout": 60}, True),
    ],
)
def test_when_a_token_has_expired(generator_for, endpoint, outcome_of, at, options, valid):
    at(NOW)
    generator = generator_for(endpoint(ISSUED), accessToken=OLD, **options)
    at(NOW + 2)
    token = OLD if valid else NEW
    assert outcome_of(generator.getToken) == (None, response(token), token)


def test_a_token_whose_time_to_live_is_over_is_renewed(generator_for, endpoint, outcome_of, at):
    at(NOW)
    generator = generator_for(endpoint(ISSUED, LATER), accessToken=OLD, timeout=60)
    at(NOW + 60_000)
    assert outcome_of(generator.getToken)[2] == NEW
    at(NOW + 60_000 + 3_598_000)
    assert outcome_of(generator.getToken)[2] == NEW
    at(NOW + 60_000 + 3_600_000)
    assert outcome_of(generator.getToken)[2] == NEWER


def test_a_token_that_is_handed_in_later(generator_for, outcome_of, reactor, at):
    at(NOW)
    generator = generator_for()
    told: list[Token] = []
    generator.on("token", told.append)

    generator.updateToken(OLD, 60)
    assert told == []
    assert outcome_of(generator.getToken) == (None, response(OLD), OLD)
    generator.update_token(NEW)
    assert outcome_of(generator.getToken) == (None, response(NEW), NEW)

    assert [dict(token) for token in told] == [
        {"user": USER, "accessToken": OLD, "timeout": 60, "expires": NOW + 60_000},
        {"user": USER, "accessToken": NEW, "timeout": 0, "expires": 0},
    ]


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("CANARY\r\nRSET", "control character"),
        ("CANARY\1auth=other", "control character"),
        ("CANARY\ud800", "control character"),
        ("", "no access token yet"),
        (b"CANARY", "is a string; got bytes"),
    ],
)
def test_what_cannot_be_an_access_token(generator_for, token, problem):
    generator = generator_for()
    for method in (generator.updateToken, generator.buildXOAuth2Token):
        with pytest.raises(SMTPError, match=problem) as caught:
            method(token)
        assert caught.value.code == "EAUTH"
        assert "CANARY" not in str(caught.value)
    assert generator.accessToken == ""


@pytest.mark.parametrize("timeout", ["60", True, float("nan"), 10**400])
def test_what_cannot_be_a_time_to_live(generator_for, timeout):
    with pytest.raises(TypeError, match="timeout is a number of seconds"):
        generator_for().updateToken(OLD, timeout)


def test_a_ready_token_with_a_line_break_fails_the_callback(generator_for, error_of):
    generator = generator_for(accessToken="CANARY\r\n")
    assert "control character" in str(error_of(generator.getToken))


def test_without_a_user_there_is_no_response(error_of, reactor):
    generator = create_xoauth2_generator({"accessToken": OLD}, reactor=reactor)
    assert "has no user" in str(error_of(generator.getToken))


def test_a_token_without_means_to_renew_it(error_of, outcome_of, reactor, at):
    at(NOW)
    generator = create_xoauth2_generator(user=USER, accessToken=OLD, timeout=60, reactor=reactor)

    assert outcome_of(generator.getToken)[0] is None
    assert "cannot renew the access token" in str(error_of(generator.generateToken))
    at(NOW + 60_000)
    assert "has expired, and the generator cannot renew it" in str(error_of(generator.getToken))


def test_no_token_and_no_means_to_get_one(error_of, reactor):
    generator = create_xoauth2_generator(user=USER, reactor=reactor)
    assert "no means to get one" in str(error_of(generator.getToken))


def test_without_a_callback_an_error_is_an_event(reactor):
    generator = create_xoauth2_generator(user=USER, reactor=reactor)
    generator.generateToken()
    with pytest.raises(SMTPError, match="no means to get one"):
        reactor.run()

    heard: list[SMTPError] = []
    generator.on("error", heard.append)
    generator.getToken()
    reactor.run()
    assert [error.code for error in heard] == ["EAUTH"]


def test_a_token_can_be_fetched_in_advance(generator_for, endpoint, reactor):
    generator = generator_for(endpoint(ISSUED))
    generator.getToken()
    reactor.run()
    assert generator.accessToken == NEW


# -- a token that is asked for ---------------------------------------------------------------------


def test_the_token_event(generator_for, endpoint, outcome_of, at):
    at(NOW)
    generator = generator_for(endpoint(ISSUED))
    happened: list[Any] = []
    generator.on("token", happened.append)

    assert outcome_of(generator.getToken)[0] is None
    (token,) = happened
    assert (token.user, token.accessToken, token.timeout) == (USER, NEW, 3599)
    assert (token["user"], token["accessToken"], token["timeout"]) == (USER, NEW, 3599)
    assert token.expires == NOW + 3_599_000
    assert "CANARY" not in repr(token)
    assert USER in repr(token)


def test_the_token_event_comes_before_the_callbacks(generator_for, endpoint, reactor):
    generator = generator_for(endpoint(ISSUED))
    happened: list[str] = []
    generator.getToken(lambda: happened.append("callback"))
    generator.generateToken(lambda: happened.append("callback"))
    generator.on("token", lambda token: happened.append("token"))
    reactor.run()
    assert happened == ["token", "callback", "callback"]


def test_many_who_ask_at_once_cause_one_request(generator_for, endpoint, reactor):
    asked = endpoint(ISSUED, LATER)
    generator = generator_for(asked, accessToken=OLD, expires=1)
    got: list[Any] = []
    for method in [generator.getToken, generator.generateToken] * 5:
        method(lambda *outcome: got.append(outcome))
    reactor.run()
    assert got == [(None, response(NEW), NEW)] * 10
    assert len(asked.requests) == 1

    generator.generateToken(lambda *outcome: got.append(outcome))
    reactor.run()
    assert got[-1] == (None, response(NEWER), NEWER)


def test_a_raising_callback_loses_no_other(generator_for, endpoint, reactor):
    generator = generator_for(endpoint(ISSUED))
    got: list[Any] = []
    generator.getToken(lambda: 1 / 0)
    generator.getToken(lambda err, token: got.append(token))
    with pytest.raises(ZeroDivisionError):
        reactor.run()
    reactor.run()
    assert got == [response(NEW)]


def test_who_asks_for_a_token_gets_the_old_one_if_a_needless_renewal_fails(
    generator_for, endpoint, reactor
):
    generator = generator_for(endpoint({"error": "temporarily_unavailable"}), accessToken=OLD)
    got: list[Any] = []
    generator.generateToken(lambda err: got.append(err.code))
    generator.getToken(lambda err, token: got.append(token))
    reactor.run()
    assert got == ["EAUTH", response(OLD)]


# -- a token that is not wanted any more -----------------------------------------------------------


def test_the_last_who_stops_waiting_ends_the_request(generator_for, endpoint, reactor):
    """run() returns at once, and the thread and the socket are free."""
    hung_up = threading.Event()

    def watch(handler: Any) -> None:
        reactor.call_soon_threadsafe(generator.forget_callback, pytest.fail)
        assert handler.rfile.read(1) == b""
        hung_up.set()

    generator = generator_for(endpoint(watch))
    generator.getToken(pytest.fail)
    generator.forget_callback(print)
    reactor.run()
    assert hung_up.wait(10)


def test_others_who_wait_get_their_token(generator_for, endpoint, reactor):
    generator = generator_for(endpoint(ISSUED))
    got: list[Any] = []
    generator.getToken(pytest.fail)
    generator.getToken(lambda err, token: got.append(token))
    generator.forget_callback(pytest.fail)
    reactor.run()
    assert got == [response(NEW)]


def test_after_an_end_without_a_token_the_next_request_is_a_new_one(
    generator_for, endpoint, outcome_of, reactor
):
    generator = generator_for(endpoint(ISSUED))
    generator.getToken(pytest.fail)
    generator.forget_callback(pytest.fail)
    assert outcome_of(generator.getToken)[2] == NEW


def test_nobody_stops_waiting_when_nobody_waits(generator_for, reactor):
    generator_for(accessToken=OLD).forget_callback(pytest.fail)
    reactor.run()


# -- fork() ----------------------------------------------------------------------------------------


def test_a_child_does_not_wait_for_the_token_of_its_parent(reactor):
    answers: list[Any] = []

    def provision(user: str, renew: bool, cb: Callable[..., None]) -> None:
        for answer in answers:
            cb(None, answer)

    generator = create_xoauth2_generator(user=USER, provisionCallback=provision)
    reactor.call_soon(generator.getToken, pytest.fail)
    for _ in range(3):
        reactor.run_once(0)
    assert generator._renewal is not None

    def ask() -> None:
        answers.append(NEW)
        got: list[Any] = []
        generator.getToken(lambda err, token: got.append(token))
        run()
        assert got == [response(NEW)]

    with generator._guard:  # as another thread might at this moment
        assert in_child(ask)
    reactor.call_soon(generator.forget_callback, pytest.fail)
    reactor.run()


# -- which reactor ---------------------------------------------------------------------------------


def test_the_reactor_that_is_running_is_the_one_to_use(reactor):
    generator = create_xoauth2_generator(user=USER, accessToken=OLD)
    used: list[Any] = []
    reactor.call_soon(generator.getToken, lambda: used.append(current_reactor()))
    reactor.run()
    assert used == [reactor]
    assert current_reactor() is None


def test_without_a_running_reactor_it_is_the_default_one(reactor, monkeypatch):
    monkeypatch.setattr("smtp_connection.reactor.default._default", reactor)
    generator = create_xoauth2_generator(user=USER, accessToken=OLD)
    used: list[Any] = []
    generator.getToken(lambda: used.append(current_reactor()))
    run()
    assert used == [reactor]


def test_the_current_reactor_inside_another(reactor):
    seen: list[Any] = []
    with Reactor() as inner:
        inner.call_soon(lambda: seen.append(current_reactor()))
        reactor.call_soon(inner.run_once)
        reactor.call_soon(lambda: seen.append(current_reactor()))
        reactor.run()
        assert seen == [inner, reactor]


def test_two_reactors_share_one_request(endpoint, trust):
    go = threading.Event()
    asked = endpoint(waiting_for(go, ISSUED))
    generator = create_xoauth2_generator(
        {"user": USER, **SECRETS, "accessUrl": asked.url, "tls": trust}
    )
    got: list[Any] = []
    with Reactor() as first, Reactor() as second:
        for reactor in (first, second):
            note = partial(lambda reactor: got.append(reactor is current_reactor()), reactor)
            reactor.call_soon(generator.getToken, note)
            reactor.run_once()  # getToken is called
            assert reactor.run_once()  # it waits
        go.set()
        second.run()  # although the first, which has asked, stands still
        assert got == [True]
        first.run()
        assert got == [True, True]
    assert len(asked.requests) == 1


# -- provisionCallback -----------------------------------------------------------------------------


def test_a_token_from_somewhere_else(outcome_of, reactor, at):
    at(NOW)
    asked: list[Any] = []

    def provision(user: str, renew: bool, cb: Callable[..., None]) -> None:
        asked.append((user, renew))
        cb(None, f"{NEW}-{len(asked)}", NOW + 60_000)

    generator = create_xoauth2_generator(
        user=USER, refreshToken="CANARY", provisionCallback=provision, reactor=reactor
    )
    told: list[Any] = []
    generator.on("token", told.append)
    assert outcome_of(generator.getToken) == (None, response(f"{NEW}-1"), f"{NEW}-1")
    assert outcome_of(generator.getToken)[2] == f"{NEW}-1"
    assert outcome_of(generator.generateToken)[2] == f"{NEW}-2"
    at(NOW + 60_000)
    assert outcome_of(generator.getToken)[2] == f"{NEW}-3"
    assert asked == [(USER, False), (USER, True), (USER, False)]
    assert [token.timeout for token in told] == [60, 60, 0]


def test_a_token_that_comes_later_from_the_reactor(outcome_of, reactor):
    generator = create_xoauth2_generator(
        user=USER,
        reactor=reactor,
        provisionCallback=lambda user, renew, cb: reactor.call_later(0.001, cb, None, NEW),
    )
    assert outcome_of(generator.getToken)[2] == NEW
    assert generator.expires == 0


def test_a_token_that_comes_from_a_thread(outcome_of, reactor):
    with ThreadPoolExecutor(1) as pool:
        generator = create_xoauth2_generator(
            user=USER,
            reactor=reactor,
            provisionCallback=lambda user, renew, cb: pool.submit(cb, None, NEW, "never") and None,
        )
        assert outcome_of(generator.getToken)[2] == NEW
        assert generator.expires == 0


def test_the_first_answer_counts(outcome_of, reactor):
    def provision(user: str, renew: bool, cb: Callable[..., None]) -> None:
        cb(None, NEW)
        cb(None, NEWER)
        cb("too late")
        raise RuntimeError("too late as well")

    generator = create_xoauth2_generator(user=USER, reactor=reactor, provisionCallback=provision)
    assert outcome_of(generator.getToken)[2] == NEW
    assert generator.accessToken == NEW


def test_a_provision_callback_takes_what_it_declares(error_of, reactor, movable_clock):
    asked: list[str] = []

    def provision(user: str) -> None:
        asked.append(user)
        movable_clock.ahead += 31

    generator = create_xoauth2_generator(user=USER, provisionCallback=provision, reactor=reactor)
    error = error_of(generator.getToken)
    assert str(error) == "provisionCallback has not answered in 30000 ms"
    assert asked == [USER]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (("no network",), "provisionCallback failed: no network"),
        ((ValueError("no network"),), "provisionCallback failed: no network"),
        ((TimeoutError(),), "provisionCallback failed: TimeoutError"),
        ((f"no luck with {OLD}\r\n",), "provisionCallback failed: no luck with /* secret */"),
        ((ValueError(f"what is {NEWER}?"), NEWER), "failed: what is /* secret */?"),
        ((), "provisionCallback gave no access token, but NoneType"),
        ((None, ""), "provisionCallback gave no access token, but str"),
        ((None, b"CANARY"), "provisionCallback gave no access token, but bytes"),
        ((None, "CANARY\n"), "An access token has no control character in it, but this one has"),
    ],
)
def test_provision_callbacks_that_fail(error_of, reactor, answer, text):
    generator = create_xoauth2_generator(
        user=USER,
        accessToken=OLD,
        reactor=reactor,
        provisionCallback=lambda user, renew, cb: cb(*answer),
    )
    error = error_of(generator.generateToken)
    assert str(error).endswith(text)
    assert generator.accessToken == OLD


def test_a_provision_callback_that_raises(error_of, reactor):
    def provision() -> None:
        raise LookupError("no account")

    generator = create_xoauth2_generator(user=USER, provisionCallback=provision, reactor=reactor)
    error = error_of(generator.getToken)
    assert str(error) == "provisionCallback failed: no account"
    assert isinstance(error.__cause__, LookupError)


# -- without the extra -----------------------------------------------------------------------------


@pytest.fixture
def no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    monkeypatch.delitem(sys.modules, "smtp_connection.xoauth2.token_request")


@pytest.mark.usefixtures("no_requests")
def test_without_requests_a_ready_token_still_works(generator_for, outcome_of, error_of):
    generator = generator_for(accessToken=OLD)
    assert outcome_of(generator.getToken) == (None, response(OLD), OLD)
    error = error_of(generator.generateToken)
    assert "pip install '.[oauth2]'" in str(error)
    assert isinstance(error.__cause__, ImportError)


def test_the_libraries_are_not_loaded_before_they_are_needed():
    program = (
        "import sys, smtp_connection.xoauth2 as x; x.create_xoauth2_generator(user='u')\n"
        "sys.exit(any(name in sys.modules for name in ('requests', 'jwt', 'urllib3')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_thread_that_cannot_be_started(generator_for, error_of, monkeypatch):
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert "can't start new thread" in str(error_of(generator_for().getToken))
