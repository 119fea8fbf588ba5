"""A server's words reach logs and terminals, where an escape sequence could clear the screen, set
the title or forge a line of the log.  They are shown escaped, and kept as they were sent where
programs read them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from smtp_connection.text import escaped
from tests.support.sessions import ENVELOPE, PASSWORD

NOISE = "\x1b[2J\x1b]0;owned\x07\rS: 250 forged\r\x00\x08\x7f\x9b31m\u2028\u202e grüße 日本"
RAW = [char for char in NOISE if escaped(char) != char]
EHLO = [f"250-{NOISE}", f"250-{NOISE}", f"250-AUTH PLAIN X-OWN X{NOISE.split()[0]}", f"250 {NOISE}"]
BEFORE_MAIL = [f"220 {NOISE}", *EHLO]
TO_TWO = {**ENVELOPE, "to": ["b@x.org", "c@x.org"]}


def reject(context: Any) -> None:
    """A handler that passes on what the server has said."""
    context.sendCommand("AUTH X-OWN", lambda err, reply: context.reject(reply.response))


def sending(connection: Any, callback: Callable[..., None]) -> None:
    connection.send(TO_TWO, "hi", callback)


def logging_in(method: str | None = None) -> Callable[..., None]:
    auth = PASSWORD if method is None else {**PASSWORD, "method": method}
    return lambda connection, callback: connection.login(auth, callback)


ENDINGS: dict[str, tuple[Callable[..., None], list[str]]] = {
    "no greeting": (sending, [f"554 {NOISE}"]),
    "another protocol": (sending, [NOISE]),
    "EHLO and HELO": (sending, [f"220 {NOISE}", f"502 {NOISE}", f"502 {NOISE}"]),
    "a login": (logging_in(), [*BEFORE_MAIL, f"535 {NOISE}"]),
    "a login in several lines": (logging_in(), [*BEFORE_MAIL, f"535-{NOISE}", f"535 {NOISE}"]),
    "a challenge": (logging_in("CRAM-MD5"), [*BEFORE_MAIL, f"334 {NOISE}", f"501 {NOISE}"]),
    "a handler": (logging_in("X-OWN"), [*BEFORE_MAIL, f"535 {NOISE}"]),
    "no mechanism": (
        logging_in(),
        [f"220 {NOISE}", f"250-{NOISE}", f"250 AUTH X{NOISE.split()[0]}"],
    ),
    "MAIL": (sending, [*BEFORE_MAIL, f"550 {NOISE}"]),
    "RCPT": (sending, [*BEFORE_MAIL, *[f"250 {NOISE}"] * 2, f"550 {NOISE}", f"554 {NOISE}"]),
    "all": (sending, [*BEFORE_MAIL, f"250 {NOISE}", *[f"550 {NOISE}"] * 2]),
    "the message": (
        sending,
        [*BEFORE_MAIL, *[f"250 {NOISE}"] * 3, f"354 {NOISE}", f"554 {NOISE}"],
    ),
    "421": (sending, [*BEFORE_MAIL, f"421 {NOISE}"]),
    "the end of an idle session": (
        lambda connection, callback: connection.reset(callback),
        [*BEFORE_MAIL, f"250 {NOISE}", f"421 {NOISE}"],
    ),
    "to nothing": (sending, [*BEFORE_MAIL, f"250 {NOISE}", f"250 {NOISE}", f"250 {NOISE}"]),
    "in a line that has no end": (sending, [*BEFORE_MAIL, f"451 {NOISE}\0"]),
}


@pytest.mark.parametrize(("operation", "replies"), ENDINGS.values(), ids=ENDINGS)
def test_nothing_raw_is_shown(by_hand, diary, caplog, operation, replies):
    caplog.set_level(logging.DEBUG)
    connection, peer = by_hand(logger=True, transactionLog=True, customAuth={"X-OWN": reject})
    connection.connect()
    operation(connection, diary.callback("done"))
    for reply in replies:
        peer.feed(reply + ("" if reply.endswith("\0") else "\r\n"))
        peer.heard()
    peer.hang_up()
    peer.settle()
    connection.close()
    peer.settle()

    assert len(diary.of("done")) == 1
    said = [text for kind, text in diary.log if kind == "server"]
    shown = [text for _, text in diary.log] + [record.getMessage() for record in caplog.records]
    errors = [entry[1] for entry in diary.entries if len(entry) > 1 and entry[1]]
    errors += [each for one in errors for each in one.rejectedErrors or []]
    shown += [text for each in errors for text in (str(each), each.message, repr(each))]
    assert [char for char in RAW if char in "".join(shown)] == []
    assert "\n".join(said) == "\n".join(map(escaped, replies))
    assert connection.lastServerResponse.endswith(replies[-1])
    assert all(each.response is None or NOISE in each.response for each in errors)


def test_what_programs_read_is_as_it_was_sent(by_hand, diary):
    heard: list[Any] = []

    def accept(context: Any) -> None:
        context.sendCommand("AUTH X-OWN", lambda err, reply: heard.append(reply))
        context.resolve()

    connection, peer = by_hand(customAuth={"X-OWN": accept})
    connection.connect()
    connection.login({**PASSWORD, "method": "X-OWN"}, diary.callback("login"))
    connection.send(TO_TWO, "hi", diary.callback("sent"))
    for reply in [*BEFORE_MAIL, f"235 {NOISE}", *[f"250 {NOISE}"] * 2, f"550 {NOISE}"]:
        peer.feed(f"{reply}\r\n")
        peer.heard()
    for reply in (f"354 {NOISE}", f"250-{NOISE}", f"250 {NOISE}"):
        peer.feed(f"{reply}\r\n")
        peer.heard()
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.response == connection.lastServerResponse == f"250-{NOISE}\n250 {NOISE}"
    assert [each.response for each in info.rejectedErrors] == [f"550 {NOISE}"]
    assert [str(each) for each in info.rejectedErrors] == [
        f"Recipient refused: 550 {escaped(NOISE)}"
    ]
    (reply,) = heard
    assert (reply.response, reply.text) == (f"235 {NOISE}", NOISE)
    connection.close()
