"""Servers that mean harm: whatever they send, and however much of it, costs bounded memory and
linear time, and ends in a clear error.

Time is not measured here.  What would take quadratic time is done at a size at which it would not
be over before the time-out of the test; where the work is Python's own, its steps are counted.
"""

from __future__ import annotations

import base64
import sys
import tracemalloc

import pytest

from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.replies import ReplyParser, ReplyTooLong
from tests.support.sessions import ENVELOPE, PASSWORD

LIMIT = 128 * 1024
ENOUGH = 64 * 1024 * 1024  # more than the limit and all that the system may buffer
MILLION = 1_000_000

# -- more than anybody wants to read ---------------------------------------------------------------

FLOODS = {
    "a line": b"2" * 65536,
    "lines": b"250-a line of a reply that never comes to its end\r\n" * 1000,
    "the shortest lines": b"250-\n" * 10_000,
    "lines without a code": b"250-\n" + b"x\n" * 30_000,
    "blank lines": b"\r\n" * 30_000,
    "blanks": b" " * 65536,
    "replies of one byte": b"x\n" * 30_000,
    "replies": b"250 ok\r\n" * 8_000,
    "zeros": b"\0" * 65536,
}


@pytest.mark.parametrize("chunk", FLOODS.values(), ids=FLOODS)
def test_a_reply_of_any_size_is_read_up_to_the_limit(serve, connect_to, reactor, diary, chunk):
    """The server might as well have ten gigabytes to send: it is hung up on long before."""
    sent = []

    def script(peer):
        peer.play("S: 220 ready\nC: EHLO")
        try:
            while sum(sent) < ENOUGH:
                sent.append(peer.sock.send(chunk))
        except ConnectionError:
            pass

    connection = connect_to(serve(script), debug=False, maxResponseSize=LIMIT)
    connection.connect(diary.callback("connected"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    tracemalloc.start()
    reactor.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert diary.names()[-3:] in (["connected", "sent", "end"], ["error", "sent", "end"])
    assert diary.error().code == "EPROTOCOL"
    assert peak < 20 * LIMIT
    assert sum(sent) < ENOUGH


def test_nothing_is_read_after_the_limit(by_hand, monkeypatch, diary):
    read = []
    feed = ReplyParser.feed
    monkeypatch.setattr(
        ReplyParser, "feed", lambda parser, data: (read.append(len(data)), feed(parser, data))[1]
    )
    connection, peer = by_hand(debug=False)
    connection.connect()
    peer.feed("220 ready\r\n")
    while not connection.destroyed and sum(read) < ENOUGH:
        peer.feed(b"2" * 65536)

    assert diary.error().code == "EPROTOCOL"
    assert diary.error().message == (
        "The server's reply is larger than the 1048576 bytes of maxResponseSize"
    )
    assert 1 << 20 < sum(read) - len("220 ready\r\n") <= (1 << 20) + max(read)


def test_blank_lines_between_replies_are_forgotten(by_hand, diary):
    """It is the blank lines in front of one reply that are limited."""
    connection, peer = by_hand(maxResponseSize=200)
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    for ending in ("250 ok\r\n", "250-a\r\n250 b\r\n", "odd\r\n", "250 \xff\r\n") * 10:
        connection.reset(diary.callback("reset"))
        peer.settle()
        peer.feed("\r\n" * 20)
        peer.feed(ending)
        peer.feed("\r\n" * 20 + " " * 9)
        peer.feed("\r\n")
    assert diary.names() == ["connect", *["reset"] * 40]
    connection.close()


# -- many large replies ----------------------------------------------------------------------------

MANY = [f"r{number}@example.com" for number in range(500)]


def refusing(script):
    """``script``, up to the moment when the client hangs up."""

    def play(peer):
        try:
            script(peer)
        except (ConnectionError, EOFError):
            pass

    return play


def refuses_each(peer):
    """Step by step, a megabyte each."""
    peer.play("S: 220 ready\nC: EHLO\nS: 250 hi\nC: MAIL\nS: 250 ok")
    for _ in MANY:
        peer.play("C: RCPT")
        peer.sock.sendall(b"550 " + b"x" * MILLION + b"\r\n")
    peer.play("C: QUIT")


def refuses_all(peer):
    """All recipients of one write."""
    peer.play("S: 220 ready\nC: EHLO\nS: 250-hi\nS: 250 PIPELINING\nC: MAIL\nS: 250 ok")
    for _ in MANY:
        peer.sock.sendall(
            b"550-" + b"x" * (MILLION // 2) + b"\r\n550 " + b"x" * (MILLION // 2) + b"\r\n"
        )


def refuses_finally(peer):
    """Over LMTP, after the message."""
    peer.play("S: 220 ready\nC: LHLO\nS: 250-hi\nS: 250 PIPELINING\nC: MAIL\nS: 250 ok")
    peer.sock.sendall(b"250 ok\r\n" * len(MANY) + b"354 go\r\n")
    for _ in MANY:
        peer.sock.sendall(b"550 " + b"x" * MILLION + b"\r\n")


@pytest.mark.parametrize("script", [refuses_each, refuses_all, refuses_finally])
def test_the_replies_for_all_recipients_are_limited_together(
    serve, connect_to, reactor, diary, script
):
    """Each would be kept until the last one is there, and then in its error."""
    connection = connect_to(serve(refusing(script)), debug=False, lmtp=script is refuses_finally)
    connection.connect(diary.callback("connected"))
    connection.send({"from": "a@example.com", "to": MANY}, "hi", diary.callback("sent"))
    tracemalloc.start()
    reactor.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    error = diary.error("sent")
    assert error.code == "EPROTOCOL"
    assert error.message.startswith(
        "The server's replies to one operation are together larger than the 1048576 bytes"
    )
    assert peak < 8 * MILLION


def test_a_large_refusal_that_ends_the_connection_is_kept_once(by_hand, diary):
    """Every message in the queue hears of it."""
    connection, peer = by_hand(debug=False)
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("first"))
    for _ in range(500):
        connection.send(ENVELOPE, "hi", diary.callback("queued"))
    for reply in ("220 ready", "250-scripted\r\n250 PIPELINING"):
        peer.feed(f"{reply}\r\n")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    peer.feed(b"554 " + b"x" * 60_000 + b"\r\n503 no\r\n354 go\r\n")
    peer.settle()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert diary.error("first").code == "EENVELOPE"
    assert [len(err.message) > 60_000 for err, _ in diary.of("queued")] == [True] * 500
    assert after - before < 2 * MILLION


# -- in the smallest pieces ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"250 " + b"x" * MILLION, 250),
        (b"250-a\n" * (MILLION // 20) + b"250 b", 250),
    ],
    ids=["a line", "lines"],
)
def test_a_reply_in_as_many_pieces_as_it_has_bytes(reply, code):
    parser = ReplyParser(2 * MILLION)
    for byte in reply:
        assert parser.feed(b"%c" % byte) == []
    (parsed,) = parser.feed(b"\n")
    assert (parsed.code, len(parsed.text)) == (code, len(reply))


def test_a_million_replies_of_one_byte(by_hand, diary):
    """The first is taken for the answer, and the second for a breach of the protocol."""
    connection, peer = by_hand(debug=False)
    connection.connect()
    peer.feed("220 ready\r\n")
    fed = 0
    while not connection.destroyed:
        peer.feed(b"x\n" * 10_000)
        fed += 10_000

    assert fed < MILLION
    assert (diary.error().code, diary.error().response) == ("EPROTOCOL", "x")
    assert diary.names() == ["error", "end"]


# -- many extensions, long lists -------------------------------------------------------------------


def announced(*lines: bytes) -> Capabilities:
    parser = ReplyParser(100 * MILLION)
    (reply,) = parser.feed(b"".join(b"250-%s\r\n" % line for line in (b"hi", *lines)) + b"250 x\n")
    return Capabilities(reply)


def test_a_quarter_of_a_million_lines_of_ehlo():
    """With the limit raised; of the shortest lines, the default lets 200,000 pass."""
    assert len(announced(*[b"HELP"] * (MILLION // 4)).lines) == MILLION // 4 + 1


def test_a_million_mechanisms():
    line = b"AUTH" + b"".join(b" %x" % number for number in range(MILLION))
    assert len(announced(line).auth) == MILLION


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" =", b"\xc2\xa0"])
def test_a_list_of_mechanisms_padded_with_a_megabyte_of_blanks(blanks):
    """An expression that looks for a mechanism between any number of blanks takes hours."""
    padding = blanks * (MILLION // len(blanks))
    for line in (b"AUTH" + padding, b"AUTH" + padding + b"PLAIN" + padding + b"LOGIN" + padding):
        assert set(announced(line).auth) <= {"PLAIN", "LOGIN"}


def test_a_megabyte_of_blanks_in_a_session(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250-AUTH")
    for _ in range(15):
        peer.feed(b" " * 65536)
    peer.feed("PLAIN\r\n250 SIZE\r\n")
    peer.feed("235 welcome\r\n")
    assert diary.of("login") == [(None, True)]
    connection.close()


def steps_of(function, *args):
    """How many lines of the package are executed by ``function(*args)``."""
    steps = 0

    def trace(frame, event, arg):
        nonlocal steps
        steps += event == "line"
        return trace if "smtp_connection" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return steps


def read_in_pieces(data, size):
    parser = ReplyParser(LIMIT)
    try:
        for start in range(0, len(data), size):
            for reply in parser.feed(data[start : start + size]):
                Capabilities(reply)
    except ReplyTooLong:
        pass


@pytest.mark.parametrize("size", [1, 100, 16384])
@pytest.mark.parametrize("chunk", FLOODS.values(), ids=FLOODS)
def test_the_work_grows_with_the_data(chunk, size):
    data = chunk[:5] + chunk[5:100] * 40
    once = steps_of(read_in_pieces, data, size)
    twice = steps_of(read_in_pieces, data * 2, size)
    assert twice <= 2.2 * once + 100


# -- a challenge of a megabyte ---------------------------------------------------------------------

CHALLENGE = base64.b64encode(b"<" + b"x" * 750_000 + b">").decode()


def own_handler(context):
    context.sendCommand("AUTH X-OWN", lambda err, reply: context.resolve())


@pytest.mark.parametrize(
    ("mechanism", "before", "said", "after", "outcome"),
    [
        ("PLAIN", [], b"\r\n", ["235 ok"], None),
        ("LOGIN", [], b"bWU=\r\n", ["334", "235 ok"], None),
        ("LOGIN", ["334"], b"czNjcjN0\r\n", ["235 ok"], None),
        ("CRAM-MD5", [], b"bWUg", ["235 ok"], None),
        ("CRAM-MD5", ["334 PDFAeD4="], b"*\r\n", ["501 no"], "Invalid login"),
        ("XOAUTH2", [], b"\r\n", ["535 no"], "Invalid login"),
        ("NTLM", [], b"*\r\n", ["501 no"], "Invalid challenge"),
        ("X-OWN", [], b"", [], None),
    ],
)
def test_a_challenge_of_a_megabyte(by_hand, diary, mechanism, before, said, after, outcome):
    connection, peer = by_hand(debug=False, customAuth={"X-OWN": own_handler})
    connection.connect()
    auth = {**PASSWORD, "xoauth2": "t0k3n", "method": mechanism}
    connection.login(auth, diary.callback("login"))
    for reply in ("220 ready", f"250-scripted\r\n250 AUTH {mechanism}", *before):
        peer.feed(f"{reply}\r\n")
    peer.heard()
    challenge = f"334 {CHALLENGE}\r\n".encode()
    for start in range(0, len(challenge), 65536):
        peer.feed(challenge[start : start + 65536])
    assert peer.heard().startswith(said)
    for reply in after:
        peer.feed(f"{reply}\r\n")

    ((err, result),) = diary.of("login")
    assert (err is None and result) or err.message.startswith(outcome)
    connection.close()


# -- replies ahead of commands ---------------------------------------------------------------------

WHOLE_SESSION = (
    "220 ready\r\n250 scripted\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n221 bye\r\n"
)


def test_a_session_that_the_server_tells_from_end_to_end(by_hand, diary):
    """It would be a message accepted that nobody has sent."""
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    peer.feed(WHOLE_SESSION)

    assert diary.names() == ["error", "sent", "end"]
    assert diary.error().code == "EPROTOCOL"
    assert peer.heard() == b""


class Silent:
    """A stream, and a generator of tokens, that never have anything to give."""

    def on(self, event, listener):
        pass

    def getToken(self, callback):
        pass


@pytest.mark.parametrize(
    "call",
    [
        lambda connection, callback: connection.send(ENVELOPE, Silent(), callback),
        lambda connection, callback: connection.login({"xoauth2": Silent()}, callback),
    ],
    ids=["a message", "a token"],
)
def test_a_reply_while_the_client_waits_for_somebody_else(by_hand, diary, call):
    connection, peer = by_hand()
    connection.connect()
    call(connection, diary.callback("operation"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 AUTH XOAUTH2\r\n")
    peer.heard()
    peer.feed("250 ok\r\n")

    assert diary.names() == ["connect", "error", "operation", "end"]
    assert (diary.error().code, diary.error().response) == ("EPROTOCOL", "250 ok")
    assert peer.heard() == b""
