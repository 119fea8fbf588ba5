"""The XOAUTH2 generator, against a real token endpoint and a real mail server.

All secrets in this file have CANARY in them: whatever shows that, shows a secret.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smtp_connection import Reactor, SMTPError, run
from smtp_connection.reactor.default import current_reactor
from smtp_connection.xoauth2 import (
    Token,
    XOAuth2Generator,
    create_xoauth2_generator,
    createXOAuth2Generator,
)
from smtp_connection.xoauth2.token_request import TokenRequest, _system_error
from tests.support.oauth2_server import TokenEndpoint, waiting_for
from tests.support.scripted_server import Peer, ScriptedServer

USER = "someone@example.com"
SECRETS = {
    "clientSecret": "client-CANARY/secret",
    "refreshToken": "1//refresh-CANARY+token",
}
OLD, NEW, NEWER = "old-CANARY-token", "new-CANARY-token", "newer-CANARY-token"
ISSUED = {"access_token": NEW, "expires_in": 3599, "token_type": "Bearer"}
LATER = {"access_token": NEWER, "expires_in": 3599, "token_type": "Bearer"}
NOW = 1_800_000_000_000.0

PKCS8 = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


def response(access_token: str, user: str = USER) -> str:
    return base64.b64encode(f"user={user}\1auth=Bearer {access_token}\1\1".encode()).decode()


def check_discreet(error: BaseException) -> None:
    """Check that neither ``error`` nor what is chained to it holds a secret, however shown."""
    shown = traceback.format_exception(error)
    shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    exc: BaseException | None = error
    while exc is not None:
        assert not type(exc).__module__.startswith(("requests", "urllib3", "jwt"))
        shown += [str(exc), repr(exc), repr(exc.args), repr(vars(exc))]
        exc = exc.__cause__ or exc.__context__
    assert "CANARY" not in "".join(shown)


@pytest.fixture(autouse=True)
def discreet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nobody logs a secret, at any level."""
    caplog.set_level(logging.DEBUG)
    yield
    assert "CANARY" not in caplog.text
    assert response(OLD) not in caplog.text
    assert response(NEW) not in caplog.text


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def endpoint(context: ssl.SSLContext) -> Iterator[Callable[..., TokenEndpoint]]:
    """Start token endpoints: ``endpoint(answer, ...)``."""
    started: list[TokenEndpoint] = []

    def start(*answers: Any, context: ssl.SSLContext | None = context) -> TokenEndpoint:
        started.append(TokenEndpoint(answers, context))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def trust(authority: trustme.CA) -> dict[str, Any]:
    return {"ca": authority.cert_pem.bytes()}


@pytest.fixture
def generator_for(trust: dict[str, Any], reactor: Reactor) -> Callable[..., XOAuth2Generator]:
    """Make generators with a refresh token: ``generator_for(endpoint or URL, ...)``."""

    def make(asks: TokenEndpoint | str = "https://localhost:1/", **more: Any) -> XOAuth2Generator:
        url = asks if isinstance(asks, str) else asks.url
        options = {"user": USER, "clientId": "id", **SECRETS, "accessUrl": url, "tls": trust}
        return create_xoauth2_generator(options, reactor=reactor, **more)

    return make


@pytest.fixture
def outcome_of(reactor: Reactor) -> Callable[..., tuple[Any, ...]]:
    """Call a method of a generator, run the reactor, return what the callback got."""

    def run(method: Callable[..., None]) -> tuple[Any, ...]:
        outcomes: list[tuple[Any, ...]] = []
        method(lambda *outcome: outcomes.append(outcome))
        assert outcomes == [], "the callback ran inside the call"
        reactor.run()
        (outcome,) = outcomes
        return outcome

    return run


@pytest.fixture
def error_of(outcome_of: Callable[..., tuple[Any, ...]]) -> Callable[..., SMTPError]:
    """Call a method of a generator, run the reactor, return the error, which tells no secret."""

    def run(method: Callable[..., None]) -> SMTPError:
        error, *others = outcome_of(method)
        assert isinstance(error, SMTPError)
        assert (error.code, error.command, others) == ("EAUTH", "API", [None, None])
        check_discreet(error)
        return error

    return run


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the generators' clock: ``at(ms)``."""
    return lambda ms: monkeypatch.setattr("smtp_connection.xoauth2.generator._now", lambda: ms)


# --- a token that is there ------------------------------------------------------------------------


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


# --- the request ----------------------------------------------------------------------------------


def test_what_a_token_endpoint_is_asked(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED)
    assert outcome_of(generator_for(asked).getToken) == (None, response(NEW), NEW)
    (request,) = asked.requests
    assert (request.method, request.path) == ("POST", "/token")
    assert request.form == {
        "client_id": "id",
        "client_secret": SECRETS["clientSecret"],
        "refresh_token": SECRETS["refreshToken"],
        "grant_type": "refresh_token",
    }
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Host"] == asked.host
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers


def test_headers_and_parameters_of_the_callers_own(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED)
    generator = generator_for(
        asked,
        customHeaders={"X-Key": "CANARY-key", "User-Agent": "mine", "X-Number": 7, "X-Not": None},
        customParams={"scope": "a b", "client_secret": None, "n": 1, "client_id": "other"},
    )
    assert outcome_of(generator.getToken)[0] is None
    (request,) = asked.requests
    sent = {name: request.headers.get(name) for name in ("X-Key", "User-Agent", "X-Number")}
    assert sent == {"X-Key": "CANARY-key", "User-Agent": "mine", "X-Number": "7"}
    assert "X-Not" not in request.headers
    assert request.form == {
        "client_id": "other",
        "client_secret": SECRETS["clientSecret"],
        "refresh_token": SECRETS["refreshToken"],
        "grant_type": "refresh_token",
        "scope": "a b",
        "n": "1",
    }


def test_a_grant_of_the_callers_own_and_no_empty_parameter(endpoint, outcome_of, trust, reactor):
    asked = endpoint(ISSUED)
    options = {"user": USER, "accessUrl": asked.url, "tls": trust}
    params = {"grant_type": "client_credentials", "scope": "s"}
    generator = create_xoauth2_generator(options, reactor=reactor, customParams=params)
    assert outcome_of(generator.getToken)[2] == NEW
    assert asked.requests[0].form == params


def test_the_environment_has_no_say(generator_for, endpoint, outcome_of, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login who password CANARY\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:CANARY@127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    asked = endpoint(ISSUED)
    assert outcome_of(generator_for(asked, customHeaders={"Authorization": "mine"}).getToken)[2]
    assert asked.requests[0].headers["Authorization"] == "mine"


def test_a_password_in_the_url_is_sent_and_never_shown(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED)
    generator = generator_for(f"https://who:CANARY@{asked.host}/token?tenant=1")
    assert "CANARY" not in repr(generator.options)
    assert outcome_of(generator.getToken)[2] == NEW
    assert asked.requests[0].path == "/token?tenant=1"
    sent = base64.b64decode(asked.requests[0].headers["Authorization"].split()[1])
    assert sent == b"who:CANARY"


@pytest.mark.parametrize("lifetime", ["3599", 3599, 3599.5])
def test_lifetimes_that_endpoints_send(generator_for, endpoint, outcome_of, at, lifetime):
    at(NOW)
    generator = generator_for(endpoint({"access_token": NEW, "expires_in": lifetime}))
    assert outcome_of(generator.getToken)[2] == NEW
    assert generator.expires == NOW + float(lifetime) * 1000


@pytest.mark.parametrize("lifetime", [None, "", "soon", -1, 0, [], "1e999", 10**400])
def test_lifetimes_that_are_none(generator_for, endpoint, outcome_of, lifetime):
    generator = generator_for(endpoint({"access_token": NEW, "expires_in": lifetime}))
    assert outcome_of(generator.getToken)[2] == NEW
    assert generator.expires == 0


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


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_usual_port_is_not_named(
    generator_for, endpoint, outcome_of, monkeypatch, context, scheme
):
    asked = endpoint(ISSUED, context=context if scheme == "https" else None)
    real, usual = int(asked.host.partition(":")[2]), {"https": 443, "http": 80}[scheme]
    look_up = socket.getaddrinfo

    def look_up_there(host: str, port: int, *more: Any) -> Any:
        assert port == usual
        return look_up(host, real, *more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_there)
    assert outcome_of(generator_for(f"{scheme}://localhost/").getToken)[2] == NEW
    assert asked.requests[0].headers["Host"] == "localhost"


def test_a_connection_that_the_endpoint_keeps_is_closed(generator_for, serve, outcome_of, context):
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        while b"grant_type" not in peer.received:
            peer._more()
        body = json.dumps(ISSUED)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert peer.expect_end()

    server = serve(script)
    assert outcome_of(generator_for(f"https://localhost:{server.port}/").getToken)[2] == NEW
    server.wait()


def test_plain_http_to_this_machine(generator_for, endpoint, outcome_of):
    asked = endpoint(ISSUED, context=None)
    assert asked.url.startswith("http://localhost:")
    assert outcome_of(generator_for(asked).getToken)[2] == NEW


# --- which reactor --------------------------------------------------------------------------------


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


# --- what a token endpoint may do to us -----------------------------------------------------------


@pytest.fixture
def silence(let_pass: Callable[[float], None]) -> Callable[[float], Callable[[Any], None]]:
    """``silence(seconds)`` is no answer, while seconds pass."""

    def make(seconds: float) -> Callable[[Any], None]:
        def say_nothing(handler: Any) -> None:
            let_pass(seconds)
            handler.server.endpoint.silenced.wait(20)

        return say_nothing

    return make


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_an_endpoint_that_is_down(generator_for, error_of):
    error = error_of(generator_for(f"https://localhost:{closed_port()}/").getToken)
    assert str(error) == "The token endpoint localhost cannot be reached: Connection refused"
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_an_endpoint_whose_name_is_unknown(generator_for, error_of):
    error = error_of(generator_for("https://token.invalid/").getToken)
    assert str(error).startswith("The token endpoint token.invalid cannot be reached: ")
    assert isinstance(error.__cause__, socket.gaierror)


@pytest.mark.parametrize("host", ["a..b", "*.example"])
def test_an_endpoint_whose_name_is_none(generator_for, error_of, host):
    error = error_of(generator_for(f"https://{host}/").getToken)
    text = f"The token endpoint {host} cannot be asked; check option 'accessUrl'"
    assert str(error) == text


def test_an_endpoint_that_never_answers(generator_for, endpoint, error_of, silence):
    asked = endpoint(silence(30.1))
    error = error_of(generator_for(asked).getToken)
    assert str(error) == "The token endpoint localhost has not answered in 30000 ms"
    assert len(asked.requests) == 1


def test_an_endpoint_that_never_answers_in_real_time(generator_for, endpoint, error_of, silence):
    asked = endpoint(silence(0))
    error = error_of(generator_for(asked, requestTimeout=50).getToken)
    assert str(error) == "The token endpoint localhost has not answered in 50 ms"


def test_an_endpoint_that_trickles_is_left_in_time(
    generator_for, serve, error_of, context, let_pass
):
    # Each byte is a new start for the time-out of a read; the thread must end all the same.
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        peer.send("HTTP/1.1 200 OK\r\nX: ")
        for _ in range(3):
            peer.send("x")
            let_pass(10.1)
        peer.expect_end()

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert str(error) == "The token endpoint localhost has not answered in 30000 ms"


def test_an_endpoint_that_does_not_finish_the_handshake(generator_for, serve, error_of, let_pass):
    def script(peer: Peer) -> None:
        peer.sock.recv(1)
        let_pass(31)
        peer.expect_end()

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert "has not answered in 30000 ms" in str(error)


def test_all_who_wait_hear_of_the_time_out_and_the_next_may_try_again(
    generator_for, endpoint, reactor, silence
):
    asked = endpoint(silence(30.1), ISSUED)
    generator = generator_for(asked)
    got: list[Any] = []
    for _ in range(3):
        generator.getToken(lambda err, token: got.append(err and err.code))
    reactor.run()
    assert got == ["EAUTH"] * 3
    generator.getToken(lambda err, token: got.append(token))
    reactor.run()
    assert got[3:] == [response(NEW)]


def test_a_time_out_before_the_request_has_begun(
    generator_for, serve, error_of, let_pass, monkeypatch
):
    heard = threading.Event()
    make = TokenRequest.__init__

    def make_late(request: TokenRequest, options: Any) -> None:
        let_pass(30.1)
        assert heard.wait(10)
        make(request, options)

    monkeypatch.setattr(TokenRequest, "__init__", make_late)
    connected = threading.Event()

    def script(peer: Peer) -> None:
        connected.set()
        peer.expect_end()

    generator = generator_for(f"https://localhost:{serve(script).port}/")
    generator.getToken(heard.set)
    assert "has not answered in 30000 ms" in str(error_of(generator.getToken))
    assert connected.wait(10)


def test_what_the_system_said_comes_without_what_led_to_it():
    said = ConnectionResetError("reset")
    said.__context__ = ValueError("CANARY")
    outer = requests.ConnectionError("CANARY")
    outer.__cause__ = said
    assert _system_error(outer) is said
    check_discreet(said)


def test_a_request_that_is_given_up_before_it_has_a_socket(generator_for, serve):
    options = generator_for(f"https://localhost:{serve(Peer.expect_end).port}/").options
    request = TokenRequest(options)
    request.abort()
    with pytest.raises(SMTPError) as caught:
        request.run()
    check_discreet(caught.value)
    request.abort()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((200, "<html>CANARY</html>"), "sent HTML instead of JSON; check option 'accessUrl'"),
        ((200, " \n<!doctype html>"), "sent HTML instead of JSON; check option 'accessUrl'"),
        ((200, "CANARY"), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, b"\xff\xfe\xff CANARY"), "sent something instead of JSON; check"),
        ((200, ""), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, "[" * 100_000), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, ["CANARY"]), "sent something instead of JSON; check option 'accessUrl'"),
        ((200, {}), "sent an answer without access_token"),
        (
            (200, {"access_token": None, "id_token": "CANARY"}),
            "sent an answer without access_token",
        ),
        ((200, {"access_token": ["CANARY"]}), "sent an answer without access_token"),
        ((404, "<html>CANARY"), "failed: HTTP 404"),
        ((503, {"detail": "CANARY"}), "failed: HTTP 503"),
        ((500, {"access_token": NEW}), "failed: HTTP 500"),
    ],
)
def test_answers_that_are_no_token(generator_for, endpoint, error_of, answer, text):
    generator = generator_for(endpoint(answer))
    error = error_of(generator.getToken)
    assert str(error).startswith(f"The token endpoint localhost {text}")
    assert generator.accessToken == ""


def test_a_token_with_a_line_break_is_refused(generator_for, endpoint, error_of):
    generator = generator_for(endpoint({"access_token": "CANARY\r\nQUIT"}))
    assert "control character" in str(error_of(generator.getToken))
    assert generator.accessToken == ""


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"error": "invalid_grant"}, "invalid_grant"),
        (
            {
                "error": "invalid_grant",
                "error_description": "Token has been expired or revoked.",
                "error_uri": "https://example.com/why",
            },
            "invalid_grant: Token has been expired or revoked. (https://example.com/why)",
        ),
        (
            {"error": "invalid_client", "error_description": "AADSTS1: no\r\nTrace: 1\x1b[2J\x9b"},
            "invalid_client: AADSTS1: no Trace: 1 [2J",
        ),
        ({"error": {"code": 403, "message": "API off", "status": "DENIED"}}, "API off"),
        ({"error": {"code": 403, "status": "DENIED"}}, "DENIED"),
        ({"error": {"code": 403}}, "an error without a message"),
        ({"error": 7, "error_description": ["x"]}, "7: ['x']"),
        ({"error": "x" * 10_000}, "x" * 500 + "..."),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 302])
def test_an_error_document(generator_for, endpoint, error_of, answer, text, status):
    error = error_of(generator_for(endpoint((status, answer))).generateToken)
    assert str(error) == f"The token endpoint localhost refused: {text}"


def test_an_error_document_that_repeats_our_secrets(generator_for, endpoint, error_of):
    parameter, header = "CANARY-param", "Bearer CANARY-of-header"
    secrets = [*SECRETS.values(), OLD, parameter, header, header.split()[1]]
    echo = " ".join(secrets + [quote_plus(secret) for secret in secrets])
    asked = endpoint((400, {"error": "bad", "error_description": echo + " scope one", "a": "b"}))
    generator = generator_for(
        asked,
        accessToken=OLD,
        customHeaders={"X-Key": header},
        customParams={"client_assertion": parameter, "scope": "scope one", "tiny": "bad"},
    )
    error = error_of(generator.generateToken)
    assert str(error).count("/* secret */") == 12
    assert str(error).startswith("The token endpoint localhost refused: bad: /* secret */")
    assert str(error).endswith(" scope one")


def test_a_secret_that_begins_with_another_one(generator_for, endpoint, error_of):
    asked = endpoint({"error": "no CANARY-and-more"})
    generator = generator_for(asked, clientSecret="CANARY", refreshToken="CANARY-and-more")
    assert str(error_of(generator.getToken)).endswith(" refused: no /* secret */")


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://elsewhere.example/token?x=CANARY", " to elsewhere.example"),
        ("https://who:CANARY@elsewhere.example:8443/", " to elsewhere.example"),
        ("/elsewhere/CANARY", ""),
        ("", ""),
        ("https://[CANARY", ""),
        ("https://CANARY\x1b[2J/", ""),
    ],
)
@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_is_not_followed(generator_for, endpoint, error_of, status, location, where):
    asked = endpoint((status, "", {"Location": location}))
    error = error_of(generator_for(asked).getToken)
    text = f"redirects{where}, which is not followed; check option 'accessUrl' (HTTP {status})"
    assert str(error) == f"The token endpoint localhost {text}"
    assert len(asked.requests) == 1


def test_a_redirect_to_this_very_endpoint_is_not_followed(generator_for, endpoint, error_of):
    asked = endpoint(lambda _: (307, "", {"Location": asked.url}))
    assert "redirects to localhost" in str(error_of(generator_for(asked).getToken))
    assert len(asked.requests) == 1


@pytest.mark.parametrize("status", [200, 302])
def test_an_answer_without_end(generator_for, endpoint, error_of, status):
    def flood(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Location", "https://elsewhere.example/")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b'"' + b"CANARY" * 10_000)
        except OSError:
            pass

    error = error_of(generator_for(endpoint(flood)).getToken)
    assert str(error).endswith("sent an answer of more than 1048576 bytes")


@pytest.mark.parametrize(
    "said", ["", "CANARY\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{CANARY"]
)
def test_an_answer_that_is_not_http(generator_for, serve, error_of, context, said):
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        while b"grant_type" not in peer.received:
            peer._more()
        peer.send(said)
        peer.close()

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert str(error).startswith("The token endpoint localhost ")


# --- TLS ------------------------------------------------------------------------------------------


def test_a_certificate_of_a_stranger(generator_for, endpoint, error_of):
    asked = endpoint(ISSUED)
    error = error_of(generator_for(asked, tls={"ca": trustme.CA().cert_pem.bytes()}).getToken)
    assert "cannot be reached: TLS with localhost failed: the server's certificate" in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert asked.requests == []


def test_without_tls_options_the_systems_authorities_are_trusted(generator_for, endpoint, error_of):
    assert "TLS with localhost failed" in str(
        error_of(generator_for(endpoint(ISSUED), tls=None).getToken)
    )


def test_a_certificate_for_another_name(generator_for, authority, endpoint, error_of):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    error = error_of(generator_for(endpoint(ISSUED, context=context)).getToken)
    assert "TLS with localhost failed: the server's certificate is for another name" in str(error)


def test_a_certificate_for_the_name_that_is_expected(
    generator_for, authority, endpoint, outcome_of, trust
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    tls = {**trust, "servername": "other.example"}
    generator = generator_for(endpoint(ISSUED, context=context), tls=tls)
    assert outcome_of(generator.getToken)[2] == NEW


def test_no_verification_if_it_is_not_wanted(generator_for, endpoint, outcome_of):
    generator = generator_for(endpoint(ISSUED), tls={"rejectUnauthorized": False})
    assert outcome_of(generator.getToken)[2] == NEW


def test_a_context_of_the_callers_own_is_left_as_it_is(
    generator_for, authority, context, endpoint, outcome_of, error_of
):
    own = ssl.create_default_context()
    untouched = (own.verify_mode, own.check_hostname, own.cert_store_stats())
    asked = endpoint(ISSUED)
    assert "TLS with" in str(error_of(generator_for(asked, tls={"context": own}).getToken))
    # Had requests its way, the context would now trust its CAs, too.
    assert (own.verify_mode, own.check_hostname, own.cert_store_stats()) == untouched
    authority.configure_trust(own)
    offered: list[Any] = []
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(asking)
    asking.set_alpn_protocols(["http/1.1"])

    def note_protocol(handler: Any) -> Any:
        offered.append(handler.request.selected_alpn_protocol())
        return ISSUED

    asked = endpoint(note_protocol, context=asking)
    assert outcome_of(generator_for(asked, tls={"context": own}).getToken)[2] == NEW
    # Nor would urllib3's ALPN be offered to mail servers.
    assert offered == [None]


def test_tls_options_that_cannot_be_used(generator_for, endpoint, error_of):
    asked = endpoint(ISSUED)
    error = error_of(generator_for(asked, tls={"ca": "/no/such/file"}).getToken)
    assert "cannot be reached: tls option 'ca' (file '/no/such/file') cannot be used" in str(error)


def test_an_endpoint_that_hangs_up_during_the_handshake(generator_for, serve, error_of):
    def script(peer: Peer) -> None:
        peer.sock.recv(65536)

    error = error_of(generator_for(f"https://localhost:{serve(script).port}/").getToken)
    assert "TLS with localhost failed: the server closed the connection" in str(error)


def test_an_endpoint_that_hangs_up_before_the_handshake(
    generator_for, serve, error_of, monkeypatch
):
    there, gone = threading.Event(), threading.Event()
    connected = TokenRequest.connected

    def reset(peer: Peer) -> None:
        assert there.wait(10)
        peer.reset()
        gone.set()

    def wait(request: TokenRequest, sock: socket.socket) -> None:
        there.set()
        assert gone.wait(10)
        connected(request, sock)

    monkeypatch.setattr(TokenRequest, "connected", wait)
    error = error_of(generator_for(f"https://localhost:{serve(reset).port}/").getToken)
    text = "The token endpoint localhost cannot be reached: TLS with localhost failed"
    assert str(error).startswith(text)


def test_a_server_name_that_is_none(generator_for, endpoint, error_of, trust):
    generator = generator_for(endpoint(ISSUED), tls={**trust, "servername": "."})
    text = "The token endpoint localhost cannot be reached: TLS with . failed"
    assert str(error_of(generator.getToken)).startswith(text)


# --- service accounts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(key: Any) -> str:
    return key.private_bytes(*PKCS8).decode()


@pytest.mark.parametrize(
    ("name", "kind", "more", "scope", "lifetime"),
    [
        ("service", str, {}, "https://mail.google.com/", 300),
        ("serviceClient", str.encode, {"scope": "s", "serviceRequestTimeout": 60}, "s", 60),
        ("service_client", str, {"serviceRequestTimeout": 0}, "https://mail.google.com/", 300),
        ("service", str, {"serviceRequestTimeout": 9999}, "https://mail.google.com/", 3600),
    ],
)
def test_a_service_account_signs_for_its_token(
    generator_for, endpoint, outcome_of, service_key, name, kind, more, scope, lifetime
):
    asked = endpoint(ISSUED)
    options = {name: "bot@example.com", "privateKey": kind(pem(service_key)), **more}
    assert outcome_of(generator_for(asked, **options).getToken)[2] == NEW

    form = asked.requests[0].form
    assert form.keys() == {"grant_type", "assertion"}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.get_unverified_header(form["assertion"])["alg"] == "RS256"
    claims = jwt.decode(
        form["assertion"], service_key.public_key(), algorithms=["RS256"], audience=asked.url
    )
    assert claims["exp"] - claims["iat"] == lifetime
    assert (claims["iss"], claims["sub"], claims["scope"]) == ("bot@example.com", USER, scope)


def test_an_assertion_that_is_repeated_is_masked(generator_for, endpoint, error_of, service_key):
    def repeat(_: Any) -> Any:
        sent = asked.requests[0].form["assertion"]
        return 400, {"error": "invalid_grant", "error_description": f"bad JWT: {sent}."}

    asked = endpoint(repeat)
    generator = generator_for(asked, service="bot@example.com", privateKey=pem(service_key))
    error = error_of(generator.getToken)
    assert str(error).endswith("refused: invalid_grant: bad JWT: /* secret */.")


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP256R1())),
    ],
)
def test_a_key_that_cannot_sign(generator_for, error_of, key):
    error = error_of(generator_for(service="bot@example.com", privateKey=key).getToken)
    assert str(error).startswith("option 'privateKey' cannot sign")


# --- provisionCallback ----------------------------------------------------------------------------


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


# --- without the extra ----------------------------------------------------------------------------


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


def test_without_pyjwt_there_are_no_service_accounts(
    generator_for, error_of, monkeypatch, service_key
):
    monkeypatch.setitem(sys.modules, "jwt", None)
    generator = generator_for(service="bot@example.com", privateKey=pem(service_key))
    assert "pip install '.[oauth2]'" in str(error_of(generator.getToken))


def test_without_cryptography_there_are_none_either(
    generator_for, error_of, monkeypatch, service_key
):
    def encode(*args: Any, **options: Any) -> str:
        raise NotImplementedError("Algorithm 'RS256' could not be found.")

    monkeypatch.setattr(jwt, "encode", encode)
    generator = generator_for(service="bot@example.com", privateKey=pem(service_key))
    assert "pip install '.[oauth2]'" in str(error_of(generator.getToken))


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


# --- options --------------------------------------------------------------------------------------


def test_the_names_of_options_are_matched_as_everywhere():
    generator = createXOAuth2Generator({"USER": USER, "access_token": OLD}, request_timeout=7)
    assert isinstance(generator, XOAuth2Generator)
    assert (generator.options.user, generator.options.requestTimeout) == (USER, 7)
    assert generator.options.accessUrl == "https://oauth2.googleapis.com/token"
    assert createXOAuth2Generator(requestTimeout=0, accessUrl="", scope="").options.scope
    with pytest.raises(TypeError, match="unknown option 'refreshTokn'; did you mean 'refreshTok"):
        createXOAuth2Generator(refreshTokn="CANARY")
    with pytest.raises(TypeError, match="'service' and 'serviceClient' are one option"):
        createXOAuth2Generator(service="a", serviceClient="b")
    with pytest.raises(TypeError, match="options are a dict; got str"):
        createXOAuth2Generator("CANARY")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"user": 7}, "option 'user' takes a string without control characters; got 7"),
        ({"user": "a\nb"}, "'user' takes a string without control characters; got 'a\\nb'"),
        ({"clientSecret": 7}, "takes a string without control characters; got int"),
        ({"refreshToken": "CANARY\n"}, "takes a string without control characters; got str"),
        ({"refreshToken": b"CANARY"}, "takes a string without control characters; got bytes"),
        ({"accessToken": b"CANARY"}, "option 'accessToken' takes a string; got bytes"),
        ({"accessUrl": 7}, "option 'accessUrl' takes a string without"),
        ({"accessUrl": "CANARY"}, "takes an https:// URL (or http:// to this very machine)"),
        ({"accessUrl": "http://example.com/CANARY"}, "takes an https:// URL"),
        ({"accessUrl": "http://192.0.2.1/CANARY"}, "takes an https:// URL"),
        ({"accessUrl": "https://example.com:CANARY/"}, "takes an https:// URL"),
        ({"accessUrl": "https://[CANARY/"}, "takes an https:// URL"),
        ({"timeout": "60"}, "option 'timeout' takes a number, 0 or more; got '60'"),
        ({"timeout": -1}, "option 'timeout' takes a number, 0 or more; got -1"),
        ({"timeout": True}, "option 'timeout' takes a number, 0 or more; got True"),
        ({"expires": float("nan")}, "option 'expires' takes a number, 0 or more; got nan"),
        ({"requestTimeout": 10**400}, "option 'requestTimeout' takes a number, 0 or more"),
        ({"customHeaders": "CANARY"}, "takes a dict of HTTP headers: printable ASCII, or numbers"),
        (
            {"customHeaders": {"X": "CANARY\r\nY: 1"}},
            "printable ASCII, or numbers; got str for 'X'",
        ),
        ({"customHeaders": {"X:": "CANARY"}}, "printable ASCII, or numbers; got str for 'X:'"),
        ({"customHeaders": {"X": "CANARY\xe9"}}, "printable ASCII, or numbers; got str for 'X'"),
        ({"customHeaders": {"X": " CANARY"}}, "printable ASCII, or numbers; got str for 'X'"),
        ({"customParams": {"x": b"CANARY"}}, "a dict of strings or numbers; got bytes for 'x'"),
        ({"customParams": {"x": True}}, "a dict of strings or numbers; got bool for 'x'"),
        ({"customParams": {7: "CANARY"}}, "a dict of strings or numbers; got str for 7"),
        ({"customParams": {"x": "CANARY\ud800"}}, "dict of strings or numbers; got str for 'x'"),
        ({"privateKey": "CANARY"}, "takes a private key in PEM, as text, with its BEGIN line"),
        ({"privateKey": b"-----BEGIN CANARY\xff"}, "takes a private key in PEM, as text"),
        ({"privateKey": 7}, "takes a private key in PEM, as text, with its BEGIN line; got int"),
        ({"service": "bot", "user": USER}, "'service' needs the options 'privateKey' and 'user'"),
        ({"provisionCallback": "CANARY"}, "option 'provisionCallback' takes a callable; got str"),
        ({"provisionCallback": lambda *, cb: None}, "needs the keyword argument 'cb'"),
        ({"tls": {"rejectUnauthorised": 1}}, "unknown tls option 'rejectUnauthorised'"),
    ],
)
def test_options_that_are_wrong(options, problem):
    with pytest.raises((TypeError, ValueError)) as caught:
        create_xoauth2_generator(options)
    assert problem in str(caught.value)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/token",
        "http://localhost:8080/",
        "http://127.0.0.2/",
        "http://[::1]:80/",
    ],
)
def test_urls_that_may_be_asked(url):
    assert create_xoauth2_generator(accessUrl=url).options.accessUrl == url


def test_no_repr_shows_a_secret(service_key):
    options = {
        **SECRETS,
        "user": USER,
        "accessToken": OLD,
        "customHeaders": {"X": "CANARY"},
        "customParams": {"x": "CANARY"},
        "accessUrl": "https://who:CANARY@example.com/CANARY",
        "privateKey": "-----BEGIN CANARY",
        "service": "bot",
        "provisionCallback": partial(print, "CANARY"),
        "tls": {"passphrase": "CANARY"},
    }
    given = {**options}
    generator = create_xoauth2_generator(options)
    assert options == given
    assert USER in repr(generator.options)
    assert "CANARY" not in repr(generator) + repr(generator.options) + str(generator.options)


# --- logging in -----------------------------------------------------------------------------------


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
