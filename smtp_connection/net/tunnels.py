"""The handshakes that open a tunnel through a proxy, as generators without I/O.

Each yields what is to be done with the stream, and is sent what came of it:

- ``bytes``: send them
- an ``int``: read so many bytes, not one more; the result is these bytes
- :data:`LOOK`: wait until there is something to read; the result is what there is (``bytes``), of
  which nothing has been read yet

So no byte beyond the proxy's answer is read: it would be the first word of the server.  A generator
that returns has opened the tunnel; one that raises :class:`NoTunnel` has not.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias

from ..options.proxy import ProxyURL

__all__ = ["LOOK", "NoTunnel", "Tunnelling", "open_tunnel"]

# Bytes; larger than the head of any answer to CONNECT.
_MAX_HEAD = 64 * 1024
_HEAD_END = b"\r\n\r\n"

# RFC 1928 sections 3 and 6, RFC 1929.
_NO_LOGIN, _BY_PASSWORD, _NO_METHOD = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SOCKS5_REFUSALS = {
    1: "General SOCKS server failure",
    2: "Connection not allowed by ruleset",
    3: "Network unreachable",
    4: "Host unreachable",
    5: "Connection refused by destination host",
    6: "TTL expired",
    7: "Command not supported",
    8: "Address type not supported",
}

_SOCKS4_GRANTED = 90
_SOCKS4_REFUSALS = {
    91: "Request rejected or failed",
    92: "Request rejected because the proxy cannot reach identd on the client",
    93: "Request rejected because the client program and identd report different user-ids",
}


class _Look(Enum):
    LOOK = "look"


LOOK: Final = _Look.LOOK

Tunnelling: TypeAlias = Generator[bytes | int | Literal[_Look.LOOK], bytes, None]
"""A handshake with a proxy."""


class NoTunnel(Exception):
    """The proxy has not opened the tunnel; the text says why, perhaps in the proxy's own words."""


def open_tunnel(proxy: ProxyURL, host: str, port: int) -> Tunnelling:
    """Ask ``proxy`` for a tunnel to ``host``, an IP address or a name in ASCII.

    ``host`` is a result of :meth:`ProxyURL.spelling`, so it cannot change the request.
    """
    if proxy.scheme == "http":
        return _connect(proxy, host, port)
    if proxy.scheme.startswith("socks5"):
        return _socks5(proxy, host, port)
    return _socks4(proxy, host, port)


# -- HTTP ------------------------------------------------------------------------------------------


def _connect(proxy: ProxyURL, host: str, port: int) -> Tunnelling:
    """CONNECT (RFC 9110 section 9.3.6), with Basic authentication (RFC 7617) if there is a user."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if proxy.user:
        request += f"Proxy-Authorization: Basic {proxy.login}\r\n"
    yield f"{request}\r\n".encode()
    interim = True
    while interim:
        line = (yield from _read_head()).partition(b"\r\n")[0]
        words = line.decode("utf-8", "replace").replace("\ufffd", "?").split()
        status = " ".join(words[1:])
        if not (status[:3].isdecimal() and len(status) >= 3 and status[3:4] in ("", " ")):
            raise NoTunnel(f"its answer has no status code: {status}")
        interim = status[0] == "1"  # RFC 9110 section 15.2: the final answer is still to come
    if status[0] != "2":
        raise NoTunnel(status)


def _read_head() -> Generator[int | Literal[_Look.LOOK], bytes, bytes]:
    head = b""
    while not head.endswith(_HEAD_END):
        seen = yield LOOK
        tail = head[-3:]
        end = (tail + seen).find(_HEAD_END)
        head += yield (len(seen) if end < 0 else end + len(_HEAD_END) - len(tail))
        if not head.startswith(b"HTTP/"[: len(head)]):
            said = head[:60].decode("latin-1")
            raise NoTunnel(f"it is not an HTTP proxy, it says {said!r}")
        if len(head) > _MAX_HEAD:
            raise NoTunnel(f"its answer is longer than {_MAX_HEAD} bytes")
    return head


# -- SOCKS -----------------------------------------------------------------------------------------


def _socks5(proxy: ProxyURL, host: str, port: int) -> Tunnelling:
    """SOCKS5 (RFC 1928), with user and password (RFC 1929) if there are any."""
    methods = [_NO_LOGIN, _BY_PASSWORD] if proxy.user else [_NO_LOGIN]
    yield bytes([5, len(methods), *methods])
    version, method = yield 2
    _check_version(version, 5)
    if method == _NO_METHOD:
        raise NoTunnel("No acceptable authentication methods were offered")
    if method not in methods:
        raise NoTunnel(f"Unexpected authentication method: {method}")
    if method == _BY_PASSWORD:
        user, password = proxy.user.encode(), proxy.password.encode()
        yield bytes([1, len(user)]) + user + bytes([len(password)]) + password
        version, status = yield 2
        if status != 0:
            raise NoTunnel("Username and password authentication failure")
    yield b"\5\1\0" + _socks5_address(host) + port.to_bytes(2, "big")
    version, reply, _ = yield 3
    _check_version(version, 5)
    if reply != 0:
        raise NoTunnel(_SOCKS5_REFUSALS.get(reply, f"Unknown reply: {reply}"))
    # The address that the proxy connects from, and its port.
    (kind,) = yield 1
    if kind == _NAME:
        (length,) = yield 1
    elif kind in (_IPV4, _IPV6):
        length = 4 if kind == _IPV4 else 16
    else:
        raise NoTunnel(f"Unknown address type: {kind}")
    yield length + 2


def _socks5_address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode()
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


def _socks4(proxy: ProxyURL, host: str, port: int) -> Tunnelling:
    """SOCKS4, and for a name its extension SOCKS4a: an address that no host has stands for the
    name at the end of the request."""
    try:
        address, name = ip_address(host).packed, b""
    except ValueError:
        address, name = b"\0\0\0\1", host.encode() + b"\0"
    yield b"\4\1" + port.to_bytes(2, "big") + address + proxy.user.encode() + b"\0" + name
    version, reply, *_ = yield 8
    _check_version(version, 0)
    if reply != _SOCKS4_GRANTED:
        raise NoTunnel(_SOCKS4_REFUSALS.get(reply, f"Unknown reply: {reply}"))


def _check_version(version: int, expected: int) -> None:
    if version != expected:
        raise NoTunnel(f"Unexpected SOCKS version number: {version}")
