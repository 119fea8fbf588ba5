"""Whom a value can reach: a mail server, the receiver of a message, a token endpoint, a proxy and a
TLS server, all played by the test itself, without threads.

Each of them checks that what it hears has the form that it should have, and returns it in parts.
"""

from __future__ import annotations

import base64
import email
import re
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from email.message import Message
from email.policy import default
from typing import Any
from urllib.parse import parse_qsl

import urllib3.util.connection

from smtp_connection import Reactor, SMTPConnection
from smtp_connection.net.tunnels import open_tunnel
from smtp_connection.options.proxy import ProxyURL
from smtp_connection.xoauth2.options import XOAuth2Options
from smtp_connection.xoauth2.token_request import TokenRequest
from tests.support.helpers import wire_of
from tests.support.smtp_server import Session

from .values import CONTROL

# -- SMTP -----------------------------------------------------------------------------------------

_EXTENSIONS = (
    "PIPELINING",
    "SIZE 1000000",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 NTLM X-OWN",
)


def _ntlm_challenge() -> str:
    flags = 0x00880205  # Unicode, target, NTLM, extended security, target info
    head = struct.pack("<8sIHHIIQQ", b"NTLMSSP\0", 2, 0, 0, 56, flags, 0x0123456789ABCDEF, 0)
    return base64.b64encode(head + struct.pack("<HHIQ", 4, 4, 56, 0) + bytes(4)).decode()


_ACCEPTED = "235 welcome"
_LOGINS = {
    "PLAIN": [_ACCEPTED],
    "LOGIN": ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", _ACCEPTED],
    "CRAM-MD5": ["334 PDFAeD4=", _ACCEPTED],
    "XOAUTH2": [_ACCEPTED],
    "EXTERNAL": [_ACCEPTED],
    "NTLM": [f"334 {_ntlm_challenge()}", _ACCEPTED],
    "X-OWN": [_ACCEPTED],
}


class _HearingSession(Session):
    """Takes everything; ``said`` are the lines that it has heard."""

    def __init__(self, lmtp: bool) -> None:
        super().__init__(*_EXTENSIONS, lmtp=lmtp, logins=_LOGINS)
        self.said: list[str] = []

    def obey(self, line: str) -> None:
        assert not CONTROL.search(line), line
        self.said.append(line)
        super().obey(line)

    def store(self, content: bytes) -> None:
        check_data(content + b".\r\n" + self.pending)
        super().store(content)


class MailServer:
    """Takes everything; it hears lines, and of a message the content up to the final dot."""

    def __init__(self, by_hand: Callable[..., Any], **options: Any) -> None:
        self.connection, self._peer = by_hand(debug=False, **options)
        self._session = _HearingSession(options.get("lmtp", False))
        self.connection.connect()
        self._peer.feed(self._session.greet())
        (self.introduction,) = self._converse()

    def hear(self, call: Callable[[SMTPConnection, Callable[..., None]], None]) -> list[str]:
        """Return the commands that ``call(connection, callback)`` leads to, and raise the error
        that the callback gets, once it is certain that then nothing was said."""
        ends: list[Any] = []
        call(self.connection, lambda error, _: ends.append(error))
        said = self._converse()
        (error,) = ends
        if error is not None:
            assert not said, f"{said} was said before {error!r}"
            raise error
        return said

    def _converse(self) -> list[str]:
        self._peer.settle()
        while heard := self._peer.heard():
            self._peer.feed(self._session.take(heard))
        assert not self._session.pending, self._session.pending
        said, self._session.said = self._session.said, []
        return said


def check_data(wire: bytes) -> None:
    """Check that ``wire``, a message with its end, has no other end, and no CR or LF alone."""
    assert not re.search(rb"[\r\n]", wire.replace(b"\r\n", b""))
    assert (b"\r\n" + wire).find(b"\r\n.\r\n") == len(wire) - 3


def undoubled(wire: bytes) -> bytes:
    """Return the message that the server gets, after a check of the wire."""
    check_data(wire)
    return re.sub(rb"(?m)^\.", b"", wire[:-3])


def received(content: Any, reactor: Reactor) -> Message:
    """Return what a receiver makes of ``content``, once all its headers have been looked at."""
    message = email.message_from_bytes(undoubled(wire_of(content, reactor)), policy=default)
    for part in message.walk():
        for _, value in part.raw_items():
            assert not CONTROL.search(re.sub("\r\n[ \t]|\t", "", str(value))), value
    return message


def shape(message: Message) -> list[tuple[str, list[str]]]:
    """Return the parts of a message and the headers of each."""
    return [(part.get_content_type(), part.keys()) for part in message.walk()]


# -- logins ---------------------------------------------------------------------------------------


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def _plain(said: list[str]) -> dict[str, str]:
    (line,) = said
    nobody, user, password = _decoded(line.removeprefix("AUTH PLAIN ")).split("\0")
    assert not nobody
    return {"user": user, "pass": password}


def _login(said: list[str]) -> dict[str, str]:
    command, user, password = said
    assert command == "AUTH LOGIN"
    return {"user": _decoded(user), "pass": _decoded(password)}


def _cram_md5(said: list[str]) -> dict[str, str]:
    command, answer = said
    assert command == "AUTH CRAM-MD5"
    user, _, digest = _decoded(answer).rpartition(" ")
    return {"user": user, "digest": digest}


def _xoauth2(said: list[str]) -> dict[str, str]:
    (line,) = said
    fields = _decoded(line.removeprefix("AUTH XOAUTH2 ")).split("\1")
    user, token, *rest = fields
    assert rest == ["", ""]
    return {"user": user.removeprefix("user="), "token": token.removeprefix("auth=Bearer ")}


def _oauthbearer(said: list[str]) -> dict[str, str]:
    (line,) = said
    header, token, *rest = _decoded(line.removeprefix("AUTH OAUTHBEARER ")).split("\1")
    assert rest == ["", ""]
    gs2, user, end = header.split(",")
    assert (gs2, end) == ("n", "")
    return {"user": user.removeprefix("a="), "xoauth2": token.removeprefix("auth=Bearer ")}


def _scram(said: list[str]) -> dict[str, str]:
    (line,) = said
    gs2, identity, user, nonce = _decoded(line.removeprefix("AUTH SCRAM-SHA-256 ")).split(",")
    assert (gs2, identity, nonce[:2]) == ("n", "", "r=")
    return {"user": user.removeprefix("n="), "pass": "unseen"}


def _external(said: list[str]) -> dict[str, str]:
    (line,) = said
    return {"user": _decoded(line.removeprefix("AUTH EXTERNAL "))}


def _ntlm(said: list[str]) -> dict[str, str]:
    command, answer = said
    assert command.startswith("AUTH NTLM ")
    token = base64.b64decode(answer, validate=True)
    names = {}
    for name, place in (("domain", 28), ("user", 36)):  # MS-NLMP 2.2.1.3
        length, _, start = struct.unpack_from("<HHI", token, place)
        names[name] = token[start : start + length].decode("utf-16-le")
    return names


READERS = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "XOAUTH2": _xoauth2,
    "OAUTHBEARER": _oauthbearer,
    "SCRAM-SHA-256": _scram,
    "EXTERNAL": _external,
    "NTLM": _ntlm,
}


# -- HTTP and TLS ---------------------------------------------------------------------------------


def _http_head(heard: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = heard.partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    assert not CONTROL.search("".join(lines).replace("\t", "")), lines
    first, *fields = lines
    return first, dict(field.split(": ", 1) for field in fields), body


def token_request(
    monkeypatch: Any, options: Mapping[str, Any], answer: str = '{"access_token": "new"}'
) -> dict[str, Any]:
    """Return what the token endpoint hears (``first``, ``headers``, ``form``), and the ``token``
    that the client finds in its answer."""
    checked = XOAuth2Options.parse({"accessUrl": "http://localhost/token", **options}, {})
    ours, theirs = socket.socketpair()
    with ours, theirs:
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(answer)}\r\n\r\n"
        theirs.sendall((head + answer).encode())
        monkeypatch.setattr(urllib3.util.connection, "create_connection", lambda *_, **__: ours)
        token, _ = TokenRequest(checked).run()
        first, headers, body = _http_head(theirs.recv(1 << 20))
    assert int(headers["Content-Length"]) == len(body)
    form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True))
    return {"first": first, "headers": headers, "form": form, "token": token}


def connect_request(proxy: ProxyURL, host: str) -> tuple[str, str]:
    """Return what an HTTP proxy is asked for: the target of CONNECT, and ``user:password``."""
    request = next(open_tunnel(proxy, proxy.spelling(host), 25))
    assert isinstance(request, bytes)
    first, headers, body = _http_head(request)
    method, target, version = first.split(" ")
    assert (method, version, body) == ("CONNECT", "HTTP/1.1", b"")
    assert headers.pop("Host") == target
    login = headers.pop("Proxy-Authorization", "Basic ").removeprefix("Basic ")
    return target, _decoded(login)


def client_hello(context: ssl.SSLContext, servername: str) -> bytes:
    """Return what a TLS client says first."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=servername)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
