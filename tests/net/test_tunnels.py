"""Handshakes with proxies, by hand: what is said, and how much is read."""

from __future__ import annotations

import base64

import pytest

from smtp_connection.net.tunnels import LOOK, NoTunnel, open_tunnel
from smtp_connection.options.proxy import ProxyURL

GREETING = b"220 hi\r\n"
MX = "mx.example.org"


def proxy(scheme: str, user: str = "", password: str = "") -> ProxyURL:
    return ProxyURL(scheme, "proxy", 8080, user, password)


class Stream:
    """The proxy's side: it says ``pieces``, one after the other as they are read, and writes down
    what it is told."""

    def __init__(self, *pieces: bytes) -> None:
        self.told = b""
        self.pieces = [each for each in pieces if each]

    def have(self, dialogue) -> None:
        """Have ``dialogue``, to its end."""
        try:
            step = next(dialogue)
            while True:
                if isinstance(step, bytes):
                    self.told += step
                    step = dialogue.send(b"")
                else:
                    step = dialogue.send(self.pieces[0] if step is LOOK else self.read(step))
        except StopIteration:
            pass

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes of the pieces."""
        data = b""
        while len(data) < count:
            piece, missing = self.pieces[0], count - len(data)
            data += piece[:missing]
            self.pieces[:1] = [piece[missing:]] if piece[missing:] else []
        return data


HTTP = b"HTTP/1.1 200 OK\r\nAge: 1\r\n\r\n"
SOCKS5 = b"\5\0\5\0\0\1\x7f\0\0\1\0\x50"
SOCKS5_NAME = b"\5\0\5\0\0\3\4here\0\x50"
SOCKS5_IPV6 = b"\5\0\5\0\0\4" + bytes(16) + b"\0\x50"
SOCKS4 = b"\0\x5a" + bytes(6)
ANSWERS = [
    ("http", HTTP),
    ("http", b"HTTP/1.1 204 \r\n\r\n"),
    ("http", b"HTTP/1.0 200\r\n\r\n"),
    ("http", b"HTTP/1.1 100 Continue\r\n\r\n" + HTTP),
    ("socks5h", SOCKS5),
    ("socks5h", SOCKS5_NAME),
    ("socks5h", SOCKS5_IPV6),
    ("socks4a", SOCKS4),
]


@pytest.mark.parametrize(("scheme", "answer"), ANSWERS)
def test_an_answer_in_any_two_pieces(scheme, answer):
    """Also where the second piece begins within the answer and ends within the greeting."""
    whole = answer + GREETING
    for cut in range(1, len(whole)):
        stream = Stream(whole[:cut], whole[cut:])
        stream.have(open_tunnel(proxy(scheme), MX, 25))
        assert b"".join(stream.pieces) == GREETING, cut


@pytest.mark.parametrize(
    ("url", "host", "answer", "told"),
    [
        (
            proxy("http"),
            MX,
            HTTP,
            b"CONNECT mx.example.org:25 HTTP/1.1\r\nHost: mx.example.org:25\r\n\r\n",
        ),
        (proxy("http"), "::1", HTTP, b"CONNECT [::1]:25 HTTP/1.1\r\nHost: [::1]:25\r\n\r\n"),
        (
            proxy("http", "zoë", "p:w"),
            MX,
            HTTP,
            b"CONNECT mx.example.org:25 HTTP/1.1\r\nHost: mx.example.org:25\r\n"
            b"Proxy-Authorization: Basic " + base64.b64encode("zoë:p:w".encode()) + b"\r\n\r\n",
        ),
        (
            proxy("http", "token"),
            "192.0.2.1",
            HTTP,
            (
                b"CONNECT 192.0.2.1:25 HTTP/1.1\r\nHost: 192.0.2.1:25\r\n"
                b"Proxy-Authorization: Basic dG9rZW46\r\n\r\n"
            ),
        ),
        (proxy("socks5h"), MX, SOCKS5, b"\5\1\0\5\1\0\3\x0emx.example.org\0\x19"),
        (proxy("socks5"), "192.0.2.1", SOCKS5, b"\5\1\0\5\1\0\1\xc0\0\2\1\0\x19"),
        (proxy("socks5"), "::1", SOCKS5, b"\5\1\0\5\1\0\4" + bytes(15) + b"\1\0\x19"),
        (
            proxy("socks5h", "me", "pw"),
            "192.0.2.1",
            b"\5\2\1\0" + SOCKS5[2:],
            b"\5\2\0\2\1\2me\2pw\5\1\0\1\xc0\0\2\1\0\x19",
        ),
        (
            proxy("socks5h", "me", "pw"),  # who need not say so
            "192.0.2.1",
            SOCKS5,
            b"\5\2\0\2\5\1\0\1\xc0\0\2\1\0\x19",
        ),
        (proxy("socks4", "me"), "192.0.2.1", SOCKS4, b"\4\1\0\x19\xc0\0\2\1me\0"),
        (proxy("socks4a"), MX, SOCKS4, b"\4\1\0\x19\0\0\0\1\0mx.example.org\0"),
    ],
)
def test_what_the_proxy_is_told(url, host, answer, told):
    stream = Stream(answer)
    stream.have(open_tunnel(url, host, 25))
    assert stream.told == told
    assert stream.pieces == []


@pytest.mark.parametrize(
    ("scheme", "answer", "reason"),
    [
        ("http", b"HTTP/1.1 301 Elsewhere\r\n\r\n", "301 Elsewhere"),
        ("http", b"HTTP/1.1\r\n\r\n", "its answer has no status code: "),
        ("http", b"HTTP/1.1 2000 OK\r\n\r\n", "its answer has no status code: 2000 OK"),
        ("socks5h", b"\5\1", "Unexpected authentication method: 1"),
        ("socks5h", b"\5\2", "Unexpected authentication method: 2"),
        ("socks5h", b"\5\0\4\0\0", "Unexpected SOCKS version number: 4"),
        ("socks5h", b"\5\0\5\x63\0", "Unknown reply: 99"),
        ("socks5h", b"\5\0\5\0\0\2", "Unknown address type: 2"),
        ("socks4a", b"220 mx.e", "Unexpected SOCKS version number: 50"),
        ("socks4a", b"\0\x63" + bytes(6), "Unknown reply: 99"),
    ],
)
def test_answers_that_open_no_tunnel(scheme, answer, reason):
    with pytest.raises(NoTunnel) as caught:
        Stream(answer).have(open_tunnel(proxy(scheme), MX, 25))
    assert str(caught.value) == reason


def test_a_head_without_end_is_not_collected():
    stream = Stream(b"HTTP/1.1 200 OK\r\n", *[b"x" * 4096] * 100)
    with pytest.raises(NoTunnel, match="longer than 65536 bytes"):
        stream.have(open_tunnel(proxy("http"), MX, 25))
    assert len(stream.pieces) > 80
