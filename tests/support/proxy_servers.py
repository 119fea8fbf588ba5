"""Proxies for the scripted server to play: HTTP CONNECT, SOCKS5, SOCKS4 and SOCKS4a.

proxy = ScriptedServer(Tunnels(user="someone", password="secret").http)
"""

from __future__ import annotations

import base64
import select
import socket
from dataclasses import dataclass, field

from .scripted_server import Peer


@dataclass
class Tunnels:
    """What a proxy asks of its clients, and how it answers; its methods are scripts."""

    user: str = ""
    password: str = ""
    names: dict[str, str] = field(default_factory=dict)
    """Hosts that only the proxy knows, and where they really are."""
    glued: bool = False
    """Whether the server's greeting is sent in one piece with the answer."""
    split: bool = False
    """Whether the answer is sent byte by byte."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """The hosts and ports asked for."""
    callers: list[str] = field(default_factory=list)
    """The addresses that the clients came from."""

    def http(self, peer: Peer) -> None:
        """Answer CONNECT (RFC 9110 section 9.3.6)."""
        first, fields = read_request(peer)
        method, target, version = first.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        assert fields["host"] == target
        if self.user:
            login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if fields.get("proxy-authorization") != f"Basic {login}":
                peer.send(
                    "HTTP/1.1 407 Proxy Authentication Required\r\n"
                    'Proxy-Authenticate: Basic realm="here"\r\nContent-Length: 4\r\n\r\nno!\n'
                )
                return
        host, _, port = target.rpartition(":")
        answer = b"HTTP/1.1 200 Connection established\r\nProxy-Agent: tests\r\n\r\n"
        self._open(peer, host.strip("[]"), int(port), answer)

    def socks5(self, peer: Peer) -> None:
        """Answer as RFC 1928 and RFC 1929 have it."""
        version, count = take(peer, 2)
        assert version == 5
        methods = take(peer, count)
        wanted = 2 if self.user else 0
        if wanted not in methods:
            peer.send(b"\5\xff")
            return
        peer.send(bytes([5, wanted]))
        if wanted:
            assert take(peer, 1) == b"\1"
            user = take(peer, *take(peer, 1)).decode()
            password = take(peer, *take(peer, 1)).decode()
            if (user, password) != (self.user, self.password):
                peer.send(b"\1\1")
                return
            peer.send(b"\1\0")
        assert take(peer, 3) == b"\5\1\0"
        (kind,) = take(peer, 1)
        if kind == 3:
            host = take(peer, *take(peer, 1)).decode()
        elif kind == 1:
            host = socket.inet_ntop(socket.AF_INET, take(peer, 4))
        else:
            host = socket.inet_ntop(socket.AF_INET6, take(peer, 16))
        port = int.from_bytes(take(peer, 2), "big")
        self._open(peer, host, port, b"\5\0\0\1\x7f\0\0\1\0\x50")

    def socks4(self, peer: Peer) -> None:
        """Answer SOCKS4 and SOCKS4a."""
        assert take(peer, 2) == b"\4\1"
        port = int.from_bytes(take(peer, 2), "big")
        address = take(peer, 4)
        user = take_text(peer)
        host = socket.inet_ntop(socket.AF_INET, address)
        if address[:3] == b"\0\0\0":
            host = take_text(peer)
        if user != self.user:
            peer.send(b"\0\x5d" + bytes(6))
            return
        self._open(peer, host, port, b"\0\x5a" + bytes(6))

    def _open(self, peer: Peer, host: str, port: int, answer: bytes) -> None:
        self.asked.append((host, port))
        self.callers.append(peer.sock.getpeername()[0])
        where = (self.names.get(host, host), port)
        with socket.create_connection(where, timeout=peer.sock.gettimeout()) as server:
            if self.glued:
                answer += server.recv(65536)
            if self.split:
                peer.send_split(answer)
            else:
                peer.send(answer)
            relay(peer.sock, server)


def read_request(peer: Peer) -> tuple[str, dict[str, str]]:
    """Read the head of a request; return its first line, and its fields by lower-case name."""
    first, fields = peer.read_line(), {}
    while line := peer.read_line():
        name, _, value = line.partition(": ")
        assert name.lower() not in fields
        fields[name.lower()] = value
    return first, fields


def take(peer: Peer, count: int) -> bytes:
    """Read exactly ``count`` bytes."""
    data = b""
    while len(data) < count:
        piece = peer.sock.recv(count - len(data))
        assert piece, f"the client hung up after {data!r}"
        data += piece
    return data


def take_text(peer: Peer) -> str:
    """Read up to a NUL."""
    text = b""
    while (byte := take(peer, 1)) != b"\0":
        text += byte
    return text.decode()


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass on what each says to the other, until both have closed, or one has hung up rudely."""
    partner = {one: other, other: one}
    talking = [one, other]
    try:
        while talking:
            readable, _, _ = select.select(talking, [], [], one.gettimeout())
            assert readable, "nothing is said through the tunnel any more"
            for sock in readable:
                data = sock.recv(65536)
                if data:
                    partner[sock].sendall(data)
                else:
                    talking.remove(sock)
                    partner[sock].shutdown(socket.SHUT_WR)
    except OSError:
        pass
