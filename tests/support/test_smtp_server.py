"""The server that behaves well: that it does, and that it tells when a client does not."""

from __future__ import annotations

import socket

import pytest

from .smtp_server import BackgroundServer, Session

SAID = (
    b"LHLO me\r\nAUTH LOGIN\r\nbWU=\r\nc2VjcmV0\r\n"
    b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nRCPT TO:<no@x.org>\r\nRCPT TO:<c@x.org>\r\n"
    b"DATA\r\n.\r\nRSET\r\n"
    b"MAIL FROM:<a@x.org>\r\nRCPT TO:<c@x.org>\r\nDATA\r\n..one\r\ntwo\r\n.\r\nQUIT\r\n"
)
REPLIES = (
    b"250-mx\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n334 user\r\n334 password\r\n235 in\r\n"
    b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"
    b"250 2.0.0 stored\r\n250 2.0.0 stored\r\n250 ok\r\n"
    b"250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 stored\r\n221 bye\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 7, len(SAID)])
def test_a_session_in_any_cutting(size: int) -> None:
    session = Session(
        *("PIPELINING", "AUTH LOGIN"),
        lmtp=True,
        logins={"LOGIN": ["334 user", "334 password", "235 in"]},
        refused={"no@x.org": "550 no"},
    )
    assert session.greet() == b"220 mx ready\r\n"
    pieces = [SAID[start : start + size] for start in range(0, len(SAID), size)]
    assert b"".join(map(session.take, pieces)) == REPLIES
    assert session.messages == [b"", b"..one\r\ntwo\r\n"]
    assert not session.pending


def test_no_message_follows_a_refusal_of_data() -> None:
    session = Session(replies={"DATA": "554 no"})
    assert session.take(b"DATA\r\nQUIT\r\n") == b"554 no\r\n221 bye\r\n"
    assert session.messages == []


def speak(line: str) -> None:
    """Say ``line`` to a server, and wait for it to hang up."""
    with BackgroundServer() as server:
        address = (server.host, server.port)
        with socket.create_connection(address, timeout=10) as sock:
            sock.sendall(f"{line}\r\n".encode())
            while sock.recv(100):
                pass


@pytest.mark.parametrize("line", ["NOOP", "LHLO me"])
def test_what_no_client_should_say_fails_the_test(line: str) -> None:
    with pytest.raises(AssertionError, match=line):
        speak(line)
