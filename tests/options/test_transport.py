"""The options of a pool."""

from __future__ import annotations

import math
import socket

import pytest

from smtp_connection.options.smtp import Options
from smtp_connection.options.tls import TLSOptions
from smtp_connection.options.transport import ClosingOptions, PoolOptions, TransportOptions

DEFAULTS = {
    "maxConnections": 5,
    "maxMessages": 100,
    "maxRequeues": 5,
    "maxQueued": 0,
    "rateLimit": 0,
    "rateDelta": 1000,
    "rateLimiter": None,
    "idleTimeout": 240_000,
    "maxLifetime": 0,
    "getSocket": None,
    "forceAuth": True,
    "service": None,
    "url": None,
}


class Limiter:
    def acquire(self):
        return 0


def test_defaults_are_nodemailers():
    options = PoolOptions.parse(None)
    assert {name: options[name] for name in DEFAULTS} == DEFAULTS
    assert set(options) == {*Options.defaults, *DEFAULTS}
    assert options.port == 587
    assert PoolOptions.parse({"secure": True}).port == 465
    assert PoolOptions.parse({"port": 465}).secure is True
    assert PoolOptions.parse({"port": 25}).port == 25


def test_the_options_of_a_connection_are_the_same():
    options = PoolOptions.parse({"host": "mx", "max_connections": 3, "requireTLS": True})
    assert (options.host, options.requireTLS, options.maxConnections) == ("mx", True, 3)
    inner = options.for_connection()
    assert type(inner) is Options
    assert dict(inner) == {name: options[name] for name in Options.defaults}


def test_a_url_may_have_the_options_of_the_pool():
    options = PoolOptions.parse("smtp://me:pw@mx/?maxConnections=2&rateLimit=7&maxRequeues=0")
    assert (options.maxConnections, options.rateLimit, options.maxRequeues) == (2, 7, 0)
    assert (options.port, options.auth) == (587, {"user": "me", "pass": "pw"})
    assert "pw" not in repr(options)


@pytest.mark.parametrize("name", ["maxConnections", "maxMessages", "rateLimit", "maxQueued"])
def test_counts(name):
    assert PoolOptions.parse({name: 7})[name] == 7
    assert PoolOptions.parse({name: 7.0})[name] == 7
    assert PoolOptions.parse({name: math.inf})[name] > 10**15
    for falsy in (0, False, None, ""):
        assert PoolOptions.parse({name: falsy})[name] == DEFAULTS[name]
    for wrong in (-1, 1.5, math.nan):
        with pytest.raises(ValueError, match=f"option '{name}' takes a number of"):
            PoolOptions.parse({name: wrong})
    for wrong in ("7", True, [7]):
        with pytest.raises(TypeError, match=f"option '{name}' takes a number of"):
            PoolOptions.parse({name: wrong})


@pytest.mark.parametrize(
    ("name", "given", "is_"),
    [
        ("maxRequeues", 0, 0),
        ("maxRequeues", -1, -1),
        ("maxRequeues", -7, -1),
        ("maxRequeues", math.inf, -1),
        ("maxRequeues", 3.0, 3),
        ("idleTimeout", 0, 0),
        ("idleTimeout", -1, 0),
        ("idleTimeout", math.inf, 0),
        ("idleTimeout", 1.5, 1.5),
        ("maxLifetime", 60_000, 60_000),
        ("rateDelta", 0, 1000),
        ("rateDelta", 60_000, 60_000),
        ("forceAuth", False, False),
    ],
)
def test_values(name, given, is_):
    assert PoolOptions.parse({name: given})[name] == is_


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"maxRequeues": 1.5}, ValueError, "option 'maxRequeues' takes a number of times, or -1"),
        ({"maxRequeues": math.nan}, ValueError, "option 'maxRequeues' takes"),
        ({"maxRequeues": "5"}, TypeError, "option 'maxRequeues' takes a number of times, or -1"),
        ({"idleTimeout": "1"}, TypeError, "option 'idleTimeout' takes a number of milliseconds"),
        ({"idleTimeout": math.nan}, ValueError, "option 'idleTimeout' takes a number of"),
        ({"rateDelta": -5}, ValueError, "option 'rateDelta' takes a number of milliseconds"),
        ({"rateLimiter": object()}, TypeError, "'rateLimiter' takes an object with acquire()"),
        ({"getSocket": "x"}, TypeError, "option 'getSocket' takes a function; got 'x'"),
        ({"maxConnection": 5}, TypeError, "did you mean 'maxConnections'"),
    ],
)
def test_wrong_values(given, error, text):
    with pytest.raises(error) as caught:
        PoolOptions.parse(given)
    assert text in str(caught.value)


def test_contradictions():
    with pytest.raises(ValueError, match="'rateLimit' and 'rateLimiter' exclude each other"):
        PoolOptions.parse({"rateLimit": 5, "rateLimiter": Limiter()})
    with socket.socket() as sock:
        for name in ("socket", "connection"):
            with pytest.raises(ValueError, match=f"option '{name}' is the socket of one"):
                PoolOptions.parse({name: sock})


def test_what_get_socket_gives():
    options = PoolOptions.parse({"host": "mx", "tls": {"servername": "mx.example"}})
    with socket.socket() as sock:
        inner = options.for_connection({"connection": sock, "secured": False})
        assert (inner.connection, inner.host, inner.servername) == (sock, "mx", "mx.example")
        assert inner.tls == TLSOptions.parse({"servername": "mx.example"})
        with pytest.raises(TypeError, match="unknown option 'conection'"):
            options.for_connection({"conection": sock})
    with pytest.raises(TypeError, match="'connection' takes a socket"):
        options.for_connection({"connection": "sock"})


def test_how_a_pool_is_closed():
    assert dict(ClosingOptions.parse(None)) == {"drain": False, "force": False}
    assert ClosingOptions.parse({"drain": True}).drain
    with pytest.raises(TypeError, match=r"unknown close\(\) option 'drian'"):
        ClosingOptions.parse({"drian": True})


# -- transports ------------------------------------------------------------------------------------


def test_transports_have_some_more():
    options = TransportOptions.parse(None)
    assert set(options) - set(PoolOptions.defaults) == {
        *("pool", "streamTransport", "jsonTransport", "buffer", "newline", "skipEncoding"),
        "maxRecipients",
    }
    assert [options.pool, options.streamTransport, options.jsonTransport] == [False] * 3
    assert TransportOptions.parse({"newline": "windows"}).newline == "\r\n"
    assert TransportOptions.parse({"newline": "unix"}).newline == "\n"
    assert TransportOptions.parse({"newline": ""}).newline is None
    assert options.maxRecipients == 100_000
    for none in (0, False, math.inf):
        assert TransportOptions.parse({"maxRecipients": none}).maxRecipients == 0
    for wrong in (True, "3", -1, 1.5, math.nan):
        with pytest.raises((TypeError, ValueError), match="takes a number of recipients, or 0"):
            TransportOptions.parse({"maxRecipients": wrong})


def test_the_option_url_wins_as_in_nodemailer():
    given = {"url": "smtps://me:pw@mx/?pool=true", "host": "other", "maxConnections": 2}
    options = TransportOptions.parse(given, {"port": 25})
    assert (options.host, options.secure, options.port, options.pool) == ("mx", True, 25, True)
    assert (options.maxConnections, options.auth) == (2, {"user": "me", "pass": "pw"})
    assert options.url is None
    for wrong in (7, b"smtp://mx"):
        with pytest.raises(TypeError, match="option 'url' takes a string"):
            TransportOptions.parse({"url": wrong})
    with pytest.raises(TypeError) as caught:
        TransportOptions.parse({"url": "smtp:geheim"})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"sendmail": True}, TypeError, "run the program with subprocess"),
        ({"SES": object()}, TypeError, "'service': 'SES-us-east-1'"),
        ({"direct": True}, TypeError, "look the MX records up"),
        ({"newline": "mac"}, ValueError, "option 'newline' takes 'windows' or 'unix'; got 'mac'"),
        ({"newline": 7}, TypeError, "option 'newline' takes 'windows' or 'unix'; got 7"),
        ({"pool": True, "streamTransport": True}, ValueError, "'pool' and 'streamTransport'"),
        ({"pool": "yes"}, TypeError, "option 'pool' takes True or False"),
    ],
)
def test_wrong_transports(given, error, text):
    with pytest.raises(error) as caught:
        TransportOptions.parse(given)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["pool", "streamTransport", "json_transport"])
def test_a_pool_is_no_other_transport(name):
    with pytest.raises(TypeError, match=r"belongs to createTransport\(\), and SMTPPool is a pool"):
        PoolOptions.parse({name: True})
