"""Exceptions that nobody has foreseen between ``connect()`` and the greeting, wherever they are
raised: the handler of a signal may do so at any line."""

from __future__ import annotations

import contextlib
import socket

import pytest

from smtp_connection import SMTPConnection
from tests.support.helpers import raising_once
from tests.support.proxy_servers import Tunnels
from tests.support.scripted_server import Peer


class Interrupt(BaseException):
    """What the handler of a signal raises."""


@pytest.fixture
def interrupt(reactor, diary):
    """Have an interrupt end a connection, and check that it leaves ``run()`` once and that all who
    wait are told at once: ``interrupt(place, **options)``."""

    def run(place, **options):
        connection = SMTPConnection(options, reactor=reactor)
        diary.listen(connection)
        connection.connect(diary.callback("connected"))
        connection.reset(diary.callback("reset"))
        with raising_once(place, Interrupt), pytest.raises(Interrupt) as caught:
            reactor.run()
        check_ended(connection, caught.value)

    def check_ended(connection, interrupt):
        assert connection.destroyed
        reactor.run()
        assert diary.names() == ["error", "connected", "reset", "end"]
        err = diary.error("connected")
        assert (err.code, err.command) == ("ECONNECTION", "CONN")
        assert err.message == (
            "Connection closed, because Interrupt was raised in the middle of a step"
        )
        assert err.__cause__ is interrupt

    return run


LOOK_UP = [
    "smtp_connection.net.resolver._Query._forget",
    "smtp_connection.net.resolver.Lookup._finish",
]
CONNECT = [
    "smtp_connection.net.connector.Connector._family",
    "smtp_connection.net.connector.Connector._stop",
    "smtp_connection.net.connector.prepare",
    "smtp_connection.reactor.handles.Handle.set_writer",
    "socket.socket.getsockopt",
]
STREAM = [
    "smtp_connection.driver.dialing.Transport",
    "smtp_connection.net.transport.Transport.start",
    "smtp_connection.driver.lifecycle.open_session",
    "smtp_connection.driver.timeouts.TimeOuts.watch_greeting",
]
PROXY = [
    "smtp_connection.options.proxy.ProxyURL.spelling",
    "smtp_connection.net.proxy.open_tunnel",
    "smtp_connection.net.proxy._Handshake._carry_out",
    "smtp_connection.net.proxy._Handshake._watch_nothing",
    "smtp_connection.net.proxy._heard",
]


@pytest.mark.parametrize("place", [*LOOK_UP, *CONNECT, *STREAM])
def test_by_name(serve, interrupt, place):
    interrupt(place, host="localhost", port=serve(Peer.expect_end).port)


@pytest.mark.parametrize("place", [*CONNECT, *STREAM])
def test_with_a_socket_of_the_caller_s(serve, interrupt, place):
    own = socket.socket()
    interrupt(place, host="127.0.0.1", port=serve(Peer.expect_end).port, socket=own)
    assert own.fileno() == -1


@pytest.mark.parametrize("place", [*CONNECT, *STREAM, *PROXY])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_through_a_proxy(serve, interrupt, place, scheme):
    def play(peer):
        with contextlib.suppress(Exception):  # the client may hang up at any time
            getattr(Tunnels(), scheme)(peer)

    proxy = serve(play)
    server = serve(Peer.expect_end)
    interrupt(
        place,
        host="127.0.0.1",
        port=server.port,
        proxy=f"{scheme}://localhost:{proxy.port}",
    )


@pytest.mark.parametrize("option", ["connectionTimeout", "greetingTimeout", "socketTimeout"])
def test_when_a_time_out_passes(full_port, serve, interrupt, option):
    port = full_port if option == "connectionTimeout" else serve(Peer.expect_end).port
    place = "smtp_connection.driver.timeouts.TimeOuts._fail"
    interrupt(place, host="127.0.0.1", port=port, **{option: 1})
