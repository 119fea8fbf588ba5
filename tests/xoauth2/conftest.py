"""A real token endpoint, generators that ask it, and what becomes of that."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa

from smtp_connection import Reactor, SMTPError
from smtp_connection.xoauth2 import XOAuth2Generator, create_xoauth2_generator
from tests.support.oauth2_server import TokenEndpoint

from .samples import NEW, OLD, SECRETS, USER, check_discreet, response


@pytest.fixture(autouse=True)
def discreet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nobody logs a secret, at any level."""
    caplog.set_level(logging.DEBUG)
    yield
    assert "CANARY" not in caplog.text
    assert response(OLD) not in caplog.text
    assert response(NEW) not in caplog.text


@pytest.fixture(scope="session")
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


@pytest.fixture
def silence(let_pass: Callable[[float], None]) -> Callable[[float], Callable[[Any], None]]:
    """``silence(seconds)`` is no answer, while seconds pass."""

    def make(seconds: float) -> Callable[[Any], None]:
        def say_nothing(handler: Any) -> None:
            let_pass(seconds)
            handler.server.endpoint.silenced.wait(20)

        return say_nothing

    return make


@pytest.fixture(scope="session")
def service_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)
