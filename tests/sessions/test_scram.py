"""SCRAM in whole sessions: the derivation of the keys stops nobody else, and its end is waited for
by nobody who does not need it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from smtp_connection.auth import scram
from tests.support.helpers import worker_threads
from tests.support.scram_server import ScramServer

AUTH = {"user": "tim", "pass": "tanstaaftanstaaf"}
ANNOUNCED = "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    scram._keys.clear()
    yield
    scram._keys.clear()


def taking(peer):
    peer.greet(ANNOUNCED)
    ScramServer("SCRAM-SHA-256", "tim", AUTH["pass"]).serve(peer)
    peer.take_quit()


@pytest.fixture
def log_in(serve, connect_to, reactor, diary) -> Callable[..., None]:
    server = serve(taking)

    def run(**auth):
        connection = connect_to(server)
        connection.connect()
        connection.login({**AUTH, **auth}, diary.callback("login"))
        connection.quit()
        reactor.run()

    return run


def test_a_login(log_in, diary):
    log_in()
    assert diary.names() == ["connect", "login", "end"]
    assert diary.of("login") == [(None, True)]
    assert diary.commands()[1:] == ["AUTH SCRAM-SHA-256 /* secret */", "/* secret */", "", "QUIT"]


def test_the_next_login_derives_nothing(log_in, diary, monkeypatch):
    log_in()
    monkeypatch.setattr(scram, "hashlib", None)
    log_in()
    assert diary.of("login") == [(None, True)] * 2


@pytest.fixture
def held_up(monkeypatch) -> Iterator[threading.Event]:
    """The derivation takes as long as the test wants."""
    go_on = threading.Event()

    def derive(*args):
        assert go_on.wait(10)
        return hashlib.pbkdf2_hmac(*args)

    # The server derives as well.
    ours = SimpleNamespace(pbkdf2_hmac=derive, new=hashlib.new)
    monkeypatch.setattr(scram, "hashlib", ours)
    yield go_on
    go_on.set()


def test_the_reactor_goes_on_while_keys_are_derived(log_in, reactor, diary, held_up):
    """600,000 iterations take a third of a second."""

    def look():
        if worker_threads():
            diary.entries.append(("turn",))
            if len(diary.of("turn")) == 100:
                held_up.set()
                return
        reactor.call_later(0.001, look)

    look()
    log_in()
    assert diary.of("login") == [(None, True)]
    assert len(diary.of("turn")) == 100


def test_a_connection_that_ends_meanwhile(serve, connect_to, reactor, diary, held_up):
    def script(peer):
        peer.greet(ANNOUNCED)
        peer.send(ScramServer("SCRAM-SHA-256", "tim", AUTH["pass"]).first(peer.read_line()))
        peer.send("\r\n421 4.3.2 shutting down\r\n")
        peer.expect_end()

    connection = connect_to(serve(script))
    connection.connect()
    connection.login(AUTH, diary.callback("login"))
    reactor.run()
    assert diary.names() == ["connect", "error", "login", "end"]
    assert diary.error("login").code == "ECONNECTION"


@pytest.mark.parametrize("how", ["close", "time out"])
def test_the_end_of_the_derivation_is_not_waited_for(
    serve, connect_to, reactor, diary, held_up, movable_clock, how
):
    def script(peer):
        peer.greet(ANNOUNCED)
        peer.send(ScramServer("SCRAM-SHA-256", "tim", AUTH["pass"]).first(peer.read_line()))
        peer.send("\r\n")
        peer.expect_end()

    connection = connect_to(serve(script))
    connection.connect()
    connection.login(AUTH, diary.callback("login"))
    while not worker_threads():
        reactor.run_once(10)
    if how == "close":
        connection.close()
    else:
        movable_clock.ahead += 601
    reactor.run()  # returns, although the thread is still at work
    error = diary.error("login")
    if how == "close":
        assert error.message == "Connection closed by close()"
    else:
        assert error.message == "Timeout: silence for 600000 ms, waiting for the keys of the login"
    assert diary.names()[-1] == "end"


def test_a_server_that_proves_nothing_ends_the_connection(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet(ANNOUNCED)
        peer.send(ScramServer("SCRAM-SHA-256", "tim", AUTH["pass"]).first(peer.read_line()))
        peer.send("\r\n")
        peer.read_line()
        peer.send("235 2.7.0 welcome\r\n")
        peer.expect_end()

    connection = connect_to(serve(script))
    connection.connect()
    connection.login(AUTH, diary.callback("login"))
    connection.send({"from": "a@x.org", "to": "b@x.org"}, "hi", diary.callback("sent"))
    reactor.run()
    assert diary.names() == ["connect", "error", "login", "sent", "end"]
    assert diary.error("login").code == "EAUTH"
    assert diary.error("sent").code == "ECONNECTION"
    assert not connection.authenticated
