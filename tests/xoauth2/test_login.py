"""Logging in with a generator, at a scripted mail server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable

import pytest

from smtp_connection.xoauth2 import XOAuth2Generator, createXOAuth2Generator
from tests.support.scripted_server import Peer, ScriptedServer

from .samples import ISSUED, LATER, NEW, NEWER, OLD, check_discreet, closed_port, response


def attempt(peer: Peer, access_token: str) -> None:
    """Read a login with ``access_token``."""
    assert peer.read_line() == f"AUTH XOAUTH2 {response(access_token)}"


def refuse(peer: Peer) -> None:
    """Refuse a login as Gmail does."""
    document = base64.b64encode(json.dumps({"status": "400"}).encode()).decode()
    peer.send(f"334 {document}\r\n")
    assert peer.read_line() == ""
    peer.send("535 5.7.8 not accepted\r\n")


def accept(peer: Peer) -> None:
    peer.send("235 2.7.0 accepted\r\n")


@pytest.fixture
def login(serve, connect_to, reactor, diary, caplog) -> Callable[..., None]:
    """Log in with ``generator`` at a server that plays ``script`` once it has greeted."""

    def run(generator: XOAuth2Generator, script: Callable[[Peer], None], times: int = 1) -> None:
        def whole(peer: Peer) -> None:
            peer.greet("AUTH PLAIN XOAUTH2")
            script(peer)
            peer.take_quit()

        server: ScriptedServer = serve(whole)
        for _ in range(times):
            connection = connect_to(server, logger=True)
            connection.connect()
            connection.login({"xoauth2": generator}, diary.callback("login"))
            connection.quit()
        reactor.run()
        assert "CANARY" not in repr(diary.log)
        assert not any(response(token) in repr(diary.log) for token in (OLD, NEW, NEWER))
        assert caplog.records

    return run


def test_a_login_with_a_valid_token(generator_for, endpoint, login, diary):
    asked = endpoint(ISSUED)

    def script(peer: Peer) -> None:
        attempt(peer, OLD)
        accept(peer)

    login(generator_for(asked, accessToken=OLD), script)
    assert diary.of("login") == [(None, True)]
    assert asked.requests == []


def test_a_login_with_an_expired_token_asks_for_a_new_one_first(
    generator_for, endpoint, login, diary
):
    def script(peer: Peer) -> None:
        attempt(peer, NEW)
        accept(peer)

    login(generator_for(endpoint(ISSUED), accessToken=OLD, expires=1), script)
    assert diary.of("login") == [(None, True)]


def test_a_login_with_a_revoked_token_is_retried_once(generator_for, endpoint, login, diary):
    asked = endpoint(ISSUED, LATER)

    def script(peer: Peer) -> None:
        attempt(peer, OLD)
        refuse(peer)
        attempt(peer, NEW)
        accept(peer)

    login(generator_for(asked, accessToken=OLD), script)
    assert diary.of("login") == [(None, True)]
    assert len(asked.requests) == 1


def test_a_login_that_is_still_refused_fails(generator_for, endpoint, login, diary):
    asked = endpoint(ISSUED, LATER)

    def script(peer: Peer) -> None:
        attempt(peer, OLD)
        refuse(peer)
        attempt(peer, NEW)
        refuse(peer)

    login(generator_for(asked, accessToken=OLD), script)
    error = diary.error("login")
    assert (error.code, error.command, error.responseCode) == ("EAUTH", "AUTH XOAUTH2", 535)
    check_discreet(error)
    assert len(asked.requests) == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((400, {"error": "invalid_grant"}), "localhost refused: invalid_grant"),
        ((502, "<html>CANARY"), "localhost failed: HTTP 502"),
        ((200, "<html>CANARY"), "localhost sent HTML instead of JSON"),
    ],
)
def test_a_login_that_gets_no_token_fails(generator_for, endpoint, login, diary, answer, text):
    login(generator_for(endpoint(answer)), lambda peer: None)
    error = diary.error("login")
    assert (error.code, error.command) == ("EAUTH", "AUTH XOAUTH2")
    assert text in str(error)
    check_discreet(error)


def test_a_login_while_the_endpoint_is_down(generator_for, login, diary):
    login(generator_for(f"https://localhost:{closed_port()}/"), lambda peer: None)
    error = diary.error("login")
    assert error.code == "EAUTH"
    assert "localhost cannot be reached: Connection refused" in str(error)
    check_discreet(error)


def test_a_login_while_the_endpoint_is_slow(generator_for, endpoint, login, diary, silence):
    asked = endpoint(silence(30.1))
    login(generator_for(asked), lambda peer: None)
    error = diary.error("login")
    assert error.code == "EAUTH"
    assert "has not answered in 30000 ms" in str(error)
    check_discreet(error)


def test_a_connection_that_ends_releases_its_token_request(
    generator_for, endpoint, serve, connect_to, reactor, diary
):
    """Neither the time-out of the request, 30 s, nor its answer is waited for."""
    hung_up = threading.Event()

    def say_nothing(handler) -> None:
        reactor.call_soon_threadsafe(connection.close)
        assert handler.rfile.read(1) == b""
        hung_up.set()

    def script(peer: Peer) -> None:
        peer.greet("AUTH XOAUTH2")
        peer.expect_end()

    connection = connect_to(serve(script))
    connection.connect()
    connection.login({"xoauth2": generator_for(endpoint(say_nothing))}, diary.callback("login"))
    reactor.run()
    assert diary.names() == ["connect", "login", "end"]
    assert diary.error("login").code == "ECONNECTION"
    assert hung_up.wait(10)


def test_several_logins_at_once_cause_one_request(generator_for, endpoint, login, diary):
    asked = endpoint(ISSUED, LATER)

    def script(peer: Peer) -> None:
        attempt(peer, NEW)
        accept(peer)

    login(generator_for(asked), script, times=5)
    assert diary.of("login") == [(None, True)] * 5
    assert len(asked.requests) == 1


def test_the_example_of_the_readme(serve, connect_to, endpoint, trust, reactor, capsys):
    def script(peer: Peer) -> None:
        peer.greet("AUTH XOAUTH2")
        assert peer.read_line() == f"AUTH XOAUTH2 {response('fresh', '{username}')}"
        accept(peer)
        peer.take_quit()

    asked = endpoint({"access_token": "fresh", "expires_in": 3599})
    connection = connect_to(serve(script))
    connection.connect()

    def callback(err):
        print("err" if err else "Authenticated")
        connection.quit()

    generator = createXOAuth2Generator(
        {
            "user": "{username}",
            "clientId": "{Client ID}",
            "clientSecret": "{Client Secret}",
            "refreshToken": "{refresh-token}",
            "accessUrl": asked.url,
            "tls": trust,
        }
    )

    def new_token(token):
        print(f"New token for {token.user}: {token.accessToken}")

    generator.on("token", new_token)
    connection.login({"xoauth2": generator}, callback)
    reactor.run()
    assert capsys.readouterr().out == "New token for {username}: fresh\nAuthenticated\n"
    assert asked.requests[0].form["refresh_token"] == "{refresh-token}"
