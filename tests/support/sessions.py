"""Where a session may stand when something goes wrong: the points at which the client waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from smtp_connection import SMTPConnection

from .scripted_server import Peer, Script

ENVELOPE: dict[str, Any] = {"from": "a@example.com", "to": "b@example.com"}
TO_TWO: dict[str, Any] = {"from": "a@example.com", "to": ["b@example.com", "c@example.com"]}
PASSWORD = {"user": "me", "pass": "s3cr3t"}
TOKEN = {"user": "me", "xoauth2": "t0k3n"}

Call = Callable[[SMTPConnection, Callable[..., object]], None]


class Point(NamedTuple):
    """A point at which the client waits for the server.

    - ``approach``: what the server does until the client is there
    - ``connected``: whether the session is open by then
    - ``call``: what the client does after ``connect()``
    """

    approach: Script
    connected: bool
    call: Call
    options: Mapping[str, Any] = {}


def send_one(connection: SMTPConnection, callback: Callable[..., object]) -> None:
    connection.send(ENVELOPE, "hi", callback)


def send_two(connection: SMTPConnection, callback: Callable[..., object]) -> None:
    connection.send(TO_TWO, "hi", callback)


def log_in_with(auth: Mapping[str, Any]) -> Call:
    return lambda connection, callback: connection.login(auth, callback)


def _opening(transcript: str, **options: Any) -> Point:
    return Point(lambda peer: peer.play(transcript), False, send_one, options)


def _open(transcript: str, *extensions: str, call: Call = send_one, **options: Any) -> Point:
    def approach(peer: Peer) -> None:
        peer.greet(*extensions, verb="LHLO" if options.get("lmtp") else "EHLO")
        peer.play(transcript)

    return Point(approach, True, call, options)


POINTS = {
    "greeting": _opening(""),
    "EHLO": _opening("S: 220 ready\nC: EHLO"),
    "HELO": _opening("S: 220 ready\nC: EHLO\nS: 502 what?\nC: HELO"),
    "LHLO": _opening("S: 220 ready\nC: LHLO", lmtp=True),
    "STARTTLS": _opening("S: 220 ready\nC: EHLO\nS: 250-me\nS: 250 STARTTLS\nC: STARTTLS"),
    "AUTH PLAIN": _open("C: AUTH PLAIN", "AUTH PLAIN", call=log_in_with(PASSWORD)),
    "AUTH PLAIN, after a prompt": _open(
        "C: AUTH PLAIN\nS: 334\nC: ", "AUTH PLAIN", call=log_in_with(PASSWORD)
    ),
    "AUTH LOGIN, the first prompt": _open(
        "C: AUTH LOGIN", "AUTH LOGIN", call=log_in_with(PASSWORD)
    ),
    "AUTH LOGIN, the second prompt": _open(
        "C: AUTH LOGIN\nS: 334 VXNlcjo=\nC: ", "AUTH LOGIN", call=log_in_with(PASSWORD)
    ),
    "AUTH LOGIN, the end": _open(
        "C: AUTH LOGIN\nS: 334\nC: \nS: 334\nC: ", "AUTH LOGIN", call=log_in_with(PASSWORD)
    ),
    "CRAM-MD5, the challenge": _open(
        "C: AUTH CRAM-MD5", "AUTH CRAM-MD5", call=log_in_with(PASSWORD)
    ),
    "CRAM-MD5, the end": _open(
        "C: AUTH CRAM-MD5\nS: 334 PDFAeD4=\nC: ", "AUTH CRAM-MD5", call=log_in_with(PASSWORD)
    ),
    "XOAUTH2": _open("C: AUTH XOAUTH2", "AUTH XOAUTH2", call=log_in_with(TOKEN)),
    "XOAUTH2, after a refusal": _open(
        "C: AUTH XOAUTH2\nS: 334 e30=\nC: ", "AUTH XOAUTH2", call=log_in_with(TOKEN)
    ),
    "MAIL": _open("C: MAIL"),
    "RCPT": _open("C: MAIL\nS: 250 ok\nC: RCPT"),
    "the second RCPT": _open("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: RCPT", call=send_two),
    "DATA": _open("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA"),
    "the end of the message": _open(
        "C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354 go\nC: hi\nC: ."
    ),
    "a pipelined envelope": _open("C: MAIL\nC: RCPT\nC: DATA", "PIPELINING"),
    "a pipelined envelope, half of it": _open(
        "C: MAIL\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok", "PIPELINING", call=send_two
    ),
    "a message for nobody": _open(
        "C: MAIL\nC: RCPT\nC: DATA\nS: 250\nS: 550 no\nS: 354 go\nC: .", "PIPELINING"
    ),
    "LMTP, the second recipient's reply": _open(
        "C: MAIL\nC: RCPT\nC: RCPT\nC: DATA\nS: 250\nS: 250\nS: 250\nS: 354\nC: hi\nC: .\nS: 550",
        "PIPELINING",
        call=send_two,
        lmtp=True,
    ),
    "RSET": _open("C: RSET", call=lambda connection, callback: connection.reset(callback)),
}

at_every_point = pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
