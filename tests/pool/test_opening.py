"""How connections of a pool come about: sockets of the caller's, and one generator of tokens."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from tests.support.site import finish
from tests.world.sockets import VirtualSocket

# -- getSocket -------------------------------------------------------------------------------------


@pytest.fixture
def new_socket(site):
    """Return a connected socket of the world."""

    def make():
        return VirtualSocket(site.network, site._accept().stream)

    return make


@pytest.fixture(autouse=True)
def plain_sockets(monkeypatch):
    """The sockets of the world are no TLS sockets."""
    from smtp_connection.options import smtp

    monkeypatch.setattr(
        smtp,
        "is_instance",
        lambda value, module, name: name == "socket" and isinstance(value, VirtualSocket),
    )


def test_get_socket_is_asked_for_each_connection(site, new_socket):
    asked = []

    def get_socket(options, callback):
        asked.append((options["host"], options["port"]))
        site.reactor.call_later(0.1, callback, None, {"connection": new_socket()})

    pool = site.pool(getSocket=get_socket, maxConnections=2, maxMessages=1)
    site.send(pool, 3)
    assert set(finish(site, pool).values()) == {None}
    assert asked == [("127.0.0.1", 587)] * 3
    assert len(site.sessions) == 3


@pytest.mark.parametrize("nothing", [None, False])
def test_get_socket_may_leave_it_to_the_pool(site, nothing):
    pool = site.pool(getSocket=lambda options, callback: callback(None, nothing))
    site.send(pool)
    assert finish(site, pool) == {0: None}


def test_get_socket_that_fails_is_a_connection_that_cannot_be_opened(site):
    failure = LookupError("no tunnel")
    asked = []

    def get_socket(options, callback):
        asked.append(site.now)
        callback(failure)

    pool = site.pool(getSocket=get_socket)
    site.send(pool, 2)
    errors = finish(site, pool)
    assert {(err.code, str(err)) for err in errors.values()} == {
        ("ECONNECTION", "No socket: no tunnel")
    }
    assert {err.__cause__.__cause__ for err in errors.values()} == {failure}
    assert asked[-1] == pytest.approx(1.55, abs=0.01)


def test_get_socket_may_fail_with_an_error_of_the_package(site):
    error = SMTPError("proxy says no", code="ETIMEDOUT")
    pool = site.pool(getSocket=lambda options, callback: callback(error), maxRequeues=0)
    site.send(pool)
    assert finish(site, pool)[0].code == "ETIMEDOUT"


def test_get_socket_that_raises(site):
    def get_socket(options, callback):
        raise LookupError("no tunnel")

    pool = site.pool(getSocket=get_socket, maxRequeues=0)
    site.send(pool)
    assert str(finish(site, pool)[0]) == "No socket: no tunnel"


@pytest.mark.parametrize("given", [{"connection": "sock"}, {"conection": 1}])
def test_get_socket_that_gives_something_else(site, given):
    pool = site.pool(getSocket=lambda options, callback: callback(None, given), maxRequeues=0)
    site.send(pool)
    error = finish(site, pool)[0]
    assert error.code == "ECONNECTION"
    assert str(error).startswith("No socket: ")


def test_get_socket_that_does_not_answer_has_the_time_for_connecting(site):
    pool = site.pool(
        getSocket=lambda options, callback: None, connectionTimeout=3000, maxRequeues=0
    )
    site.send(pool)
    error = finish(site, pool)[0]
    assert str(error) == "getSocket has given no socket within 3000 ms"
    assert site.now == pytest.approx(3)


def test_a_socket_that_comes_too_late_is_closed(site, new_socket):
    answers = []
    pool = site.pool(getSocket=lambda options, callback: answers.append(callback))
    site.send(pool)
    site.run_until(lambda: answers)
    pool.close()
    site.run()
    answers[0](None, {"connection": new_socket()})
    site.run()
    assert not site.judge.open
    assert len(site.errors()) == 1


def test_a_second_answer_of_get_socket_is_closed(site, new_socket):
    def get_socket(options, callback):
        callback(None, {"connection": new_socket()})
        callback(None, {"connection": new_socket()})

    pool = site.pool(getSocket=get_socket)
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert not site.judge.open


# -- logging in with tokens ------------------------------------------------------------------------

TOKEN = {"user": "me@x.org", "type": "OAuth2", "accessToken": "one"}


def test_one_generator_for_all_connections(site):
    made = []

    def provision(user, renew, callback):
        made.append(user)
        callback(None, f"token{len(made)}")

    site.answer("EHLO", "250-site\r\n250 AUTH XOAUTH2")
    auth = {"user": "me@x.org", "type": "OAuth2", "provisionCallback": provision}
    pool = site.pool(auth=auth, maxConnections=3, maxMessages=1)
    tokens = []
    pool.on("token", lambda token: tokens.append(token.accessToken))
    site.send(pool, 6)
    assert set(finish(site, pool).values()) == {None}
    assert made == ["me@x.org"]
    assert tokens == ["token1"]
    assert len(site.commands("AUTH")) == 6


def test_a_token_that_is_given_is_used(site):
    site.answer("EHLO", "250-site\r\n250 AUTH XOAUTH2")
    pool = site.pool(auth=TOKEN)
    site.send(pool)
    assert finish(site, pool) == {0: None}
    assert len(site.commands("AUTH XOAUTH2 ")) == 1


def test_options_that_a_generator_does_not_take_are_told_at_once(site):
    with pytest.raises(TypeError, match="unknown"):
        site.pool(auth={**TOKEN, "clientIdd": "x"})
