"""The thread and the sockets under the server for tests."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from smtp_connection.testing.loopback import LoopbackServer, Welcome


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def echo() -> Welcome:
    return Echo(), None


def heard(sock: socket.socket, said: bytes = b"") -> bytes:
    sock.sendall(said)
    return sock.recv(100)


def test_it_serves_and_closes():
    with LoopbackServer(echo, "127.0.0.1") as server:
        clients = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(3)]
        assert [heard(client, b"x") for client in clients] == [b"x"] * 3
        clients.pop().close()
    for client in clients:
        assert heard(client) == b""
        client.close()


def test_who_is_not_welcome_is_turned_away():
    with (
        LoopbackServer(lambda: None, "127.0.0.1") as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as client,
    ):
        assert heard(client) == b""


def test_a_welcome_that_fails_leaves_nothing_open(caplog):
    def fail() -> Welcome:
        raise ZeroDivisionError

    with (
        LoopbackServer(fail, "127.0.0.1") as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as client,
    ):
        assert heard(client) == b""
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("rounds", range(5))
def test_clients_that_have_just_come_are_closed(server_context: ssl.SSLContext, rounds: int):
    """Some are not accepted yet when the server stops, some have just begun the handshake."""
    with LoopbackServer(lambda: (Echo(), server_context), "127.0.0.1") as server:
        clients = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(20)]
    for client in clients:
        try:
            assert heard(client) == b""
        except ConnectionResetError:
            pass  # it had not been accepted
        client.close()


def test_an_address_of_another_machine():
    with pytest.raises(OSError, match=r"assign|address"):
        LoopbackServer(echo, "192.0.2.1").start()


def test_it_goes_on_when_there_are_descriptors_again(monkeypatch):
    """A process with too many open files accepts nobody, and does not spin."""
    monkeypatch.setattr("smtp_connection.testing.loopback._PAUSE", 0.01)
    refused = [2]
    accept = socket.socket.accept

    def accept_later(self):
        if refused[0]:
            refused[0] -= 1
            raise OSError(24, "Too many open files")
        return accept(self)

    with LoopbackServer(echo, "127.0.0.1") as server:
        monkeypatch.setattr(socket.socket, "accept", accept_later)
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            assert heard(client, b"x") == b"x"
    assert refused == [0]
