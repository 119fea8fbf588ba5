"""``SMTPConnection`` against scripted servers: the usual course of things, replies in any shape,
and how a session is opened."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPConnection, __version__
from smtp_connection.text import escaped
from tests.support.sessions import ENVELOPE


def test_a_message_from_connect_to_quit(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet()
        assert peer.take_message() == b"Subject: hi\r\n\r\n..dots\r\n"
        peer.take_quit()

    connection = connect_to(serve(script))

    def sent(err, info):
        diary.entries.append(("sent", err, info))
        connection.quit()

    connection.connect(lambda: connection.send(ENVELOPE, "Subject: hi\n\n.dots", sent))
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.accepted == ["b@example.com"]
    assert info["rejected"] == []
    assert info.response == "250 2.0.0 queued"
    assert info.messageSize == len(b"Subject: hi\r\n\r\n..dots\r\n.\r\n")


# -- replies in any shape --------------------------------------------------------------------------

# What the server says, and what the client says to that.
SESSION = [
    ("220-scripted\r\n220 ready\r\n", "EHLO me\r\n"),
    ("250-scripted\r\n250-SIZE 1000\r\n250 8BITMIME\r\n", "MAIL FROM:<a@example.com> SIZE=4\r\n"),
    ("250 2.1.0 ok\r\n", "RCPT TO:<b@example.com>\r\n"),
    ("250-2.1.5 very\r\n250 2.1.5 ok\r\n", "DATA\r\n"),
    ("354 go\r\n", "hi\r\n.\r\n"),
    ("250-2.0.0 queued\r\n250 as 1\r\n", "QUIT\r\n"),
    ("221-bye\r\n221 bye\r\n", ""),
]


@pytest.fixture
def hold_session(by_hand, diary):
    """Hold the session above with a server that sends each reply by ``feed(peer, reply)``."""

    def hold(feed):
        diary.entries.clear()
        connection, peer = by_hand()
        connection.connect(diary.callback("connected"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))
        connection.quit()
        for reply, command in SESSION:
            feed(peer, reply)
            assert peer.heard() == command.encode()
        peer.hang_up()
        assert diary.names() == ["connect", "connected", "sent", "end"]
        ((err, info),) = diary.of("sent")
        assert err is None
        assert info.response == "250-2.0.0 queued\n250 as 1"
        assert connection.capabilities.size == 1000

    return hold


def byte_by_byte(peer, reply):
    for byte in reply.encode():
        peer.feed(bytes([byte]))


@pytest.mark.parametrize("line_end", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("blank", ["", "\r\n", "\n\n", " \r\n\r\n"], ids=repr)
def test_replies_byte_by_byte_with_blank_lines_between_them(hold_session, line_end, blank):
    hold_session(
        lambda peer, reply: byte_by_byte(peer, blank + reply.replace("\r\n", line_end + blank))
    )


@pytest.mark.parametrize("line_end", ["\r\n", "\n"], ids=["CRLF", "LF"])
def test_replies_cut_in_two_anywhere(hold_session, line_end):
    for cut in range(1, max(len(reply) for reply, _ in SESSION)):

        def in_two(peer, reply, cut=cut):
            reply = reply.replace("\r\n", line_end)
            cut = min(cut, len(reply) - 1)
            peer.feed(reply[:cut])
            assert peer.heard() == b""
            peer.feed(reply[cut:])

        hold_session(in_two)


PIPELINED = b"250-2.1.0 one\r\n250 ok\r\n550 2.1.5 no\r\n\r\n250 ok\n354-go\r\n354 on\r\n"


@pytest.mark.parametrize("cut", range(len(PIPELINED)))
def test_pipelined_replies_in_one_piece_and_cut_anywhere(by_hand, diary, cut):
    connection, peer = by_hand()
    connection.connect()
    connection.send({**ENVELOPE, "to": ["b@b", "c@c"]}, "hi", diary.callback("sent"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 PIPELINING\r\n")
    assert peer.heard().endswith(b"DATA\r\n")
    for piece in filter(None, [PIPELINED[:cut], PIPELINED[cut:]]):
        peer.feed(piece)
    assert peer.heard() == b"hi\r\n.\r\n"
    peer.feed("250 queued\r\n")

    ((err, info),) = diary.of("sent")
    assert err is None
    assert (info.accepted, info.rejected) == (["c@c"], ["b@b"])
    assert [reply for type, reply in diary.log if type == "server"][2:] == [
        "250-2.1.0 one\n250 ok",
        "550 2.1.5 no",
        "250 ok",
        "354-go\n354 on",
        "250 queued",
    ]


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("250 grüße, 猫".encode(), "250 grüße, 猫"),
        ("250 grüße".encode("latin-1"), "250 grüße"),
        (b"250 \xff\xfe\x80", "250 \xff\xfe\x80"),
        (b"250-na\xefve\r\n250 caf\xc3\xa9", "250-na\xefve\n250 caf\xc3\xa9"),
        (b"250\tnul \0 and escape \x1b", "250\tnul \0 and escape \x1b"),
    ],
    ids=["UTF-8", "Latin-1", "neither", "both", "control characters"],
)
def test_the_text_of_replies(by_hand, diary, wire, text):
    """UTF-8, or Latin-1 where that is not valid; each byte may arrive on its own."""
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    for reply in ("220 ready", "250 scripted", "250 ok", "250 ok", "354 go"):
        peer.feed(f"{reply}\r\n")
    for byte in wire + b"\r\n":
        peer.feed(bytes([byte]))

    assert diary.of("sent")[0][1].response == text
    assert connection.lastServerResponse == text
    assert diary.log[-1] == ("server", escaped(text))


@pytest.mark.parametrize("size", [1, 7, 1000], ids=["bytes", "bits", "large pieces"])
@pytest.mark.parametrize(
    "endless", [b"2" * 3000, b"250-more\r\n" * 300, b"x" * 3000], ids=["line", "lines", "garbage"]
)
def test_a_reply_may_be_no_larger_than_max_response_size(by_hand, diary, endless, size):
    connection, peer = by_hand(maxResponseSize=1000)
    connection.connect()
    peer.feed("220 ready\r\n")
    fed = 0
    while not diary.of("error"):
        peer.feed(endless[fed : fed + size])
        fed += size
        assert fed <= 1000 + 200 + size  # the line breaks do not count

    assert diary.names() == ["error", "end"]
    assert diary.error().code == "EPROTOCOL"
    assert fed > 1000


def test_a_reply_as_large_as_max_response_size_its_line_break_included(by_hand, diary):
    connection, peer = by_hand(maxResponseSize=1000)
    connection.connect()
    peer.feed("220 ready\r\n")
    peer.feed("250 ".ljust(998, "x") + "\r\n")

    assert diary.names() == ["connect"]
    assert len(connection.lastServerResponse) == 998
    connection.close()


# -- opening a session -----------------------------------------------------------------------------


def play_opening(serve, connect_to, reactor, diary, transcript, **options):
    """Connect and quit against ``transcript``; return the connection."""

    def script(peer):
        peer.play(transcript)
        assert peer.expect_end() == b""  # nothing more is said

    connection = connect_to(serve(script), name="me", **options)
    connection.connect(diary.callback("connected"))
    connection.quit()
    reactor.run()
    return connection


@pytest.fixture
def opened(serve, connect_to, reactor, diary):
    """Open a session that succeeds."""

    def run(transcript, **options):
        connection = play_opening(
            serve, connect_to, reactor, diary, transcript + "\nC: QUIT\nS: 221 bye", **options
        )
        assert diary.names() == ["connect", "connected", "end"]
        return connection

    return run


@pytest.fixture
def not_opened(serve, connect_to, reactor, diary):
    """Try to open a session, and return the error."""

    def run(transcript, **options):
        play_opening(serve, connect_to, reactor, diary, transcript, **options)
        assert diary.names() == ["error", "connected", "end"]
        assert diary.error("connected") is diary.error()
        return diary.error()

    return run


def test_ehlo_tells_what_the_server_can_do(opened):
    connection = opened(
        "S: 220 ready\nC: EHLO me\nS: 250-scripted\nS: 250-size 500\nS: 250-AUTH PLAIN login\n"
        "S: 250 Pipelining"
    )
    assert dict(connection.capabilities) == {"SIZE": "500", "AUTH": "PLAIN LOGIN", "PIPELINING": ""}
    assert connection.capabilities.auth == ("PLAIN", "LOGIN")
    assert connection.capabilities.size == 500


@pytest.mark.parametrize("refusal", ["500 what?", "502 no", "550 no", "454 later", "nonsense"])
def test_helo_is_for_servers_that_refuse_ehlo(opened, refusal):
    connection = opened(f"S: 220 ready\nC: EHLO me\nS: {refusal}\nC: HELO me\nS: 250 STARTTLS")
    assert dict(connection.capabilities) == {}


def test_helo_refused(not_opened):
    err = not_opened("S: 220 ready\nC: EHLO\nS: 502 no\nC: HELO\nS: 550 you?")
    assert (err.code, err.command, err.response) == ("EPROTOCOL", "HELO", "550 you?")


def test_ehlo_refused_where_tls_is_required(not_opened):
    err = not_opened("S: 220 ready\nC: EHLO me\nS: 502 5.5.1 no", requireTLS=True)
    assert (err.code, err.command) == ("ECONNECTION", "EHLO")
    assert (err.response, err.responseCode) == ("502 5.5.1 no", 502)


def test_lhlo_is_how_lmtp_begins(opened):
    connection = opened("S: 220 ready\nC: LHLO me\nS: 250-lmtp\nS: 250 PIPELINING", lmtp=True)
    assert "PIPELINING" in connection.capabilities


def test_lhlo_has_no_fallback(not_opened):
    err = not_opened("S: 220 ready\nC: LHLO me\nS: 500 what?", lmtp=True)
    assert (err.command, err.response) == ("LHLO", "500 what?")


@pytest.mark.parametrize(
    "greeting", ["421 busy", "554 5.7.1 no service", "250 ok", "nonsense", "22"]
)
def test_a_greeting_that_is_none(not_opened, greeting):
    err = not_opened(f"S: {greeting}")
    code = "ECONNECTION" if greeting == "421 busy" else "EPROTOCOL"
    assert (err.code, err.command, err.response) == (code, "CONN", greeting)
    assert err.responseCode == (int(greeting[:3]) if greeting[:3].isdigit() else None)


TLS_OFFERED = "S: 220 ready\nC: EHLO\nS: 250-scripted\nS: 250-STARTTLS\nS: 250 AUTH PLAIN"


def test_starttls_refused(not_opened):
    err = not_opened(f"{TLS_OFFERED}\nC: STARTTLS\nS: 454 4.7.0 not now")
    assert (err.code, err.command, err.response) == ("ETLS", "STARTTLS", "454 4.7.0 not now")


def test_starttls_refused_and_clear_text_will_do(opened):
    connection = opened(f"{TLS_OFFERED}\nC: STARTTLS\nS: 454 no", opportunisticTLS=True)
    assert not connection.secure
    assert connection.capabilities.auth == ("PLAIN",)


def test_starttls_ignored(opened):
    assert not opened(TLS_OFFERED, ignoreTLS=True).secure


def test_require_tls_wins_over_clear_text(not_opened):
    err = not_opened(
        f"{TLS_OFFERED}\nC: STARTTLS\nS: 454 no",
        requireTLS=True,
        opportunisticTLS=True,
        ignoreTLS=True,
    )
    assert err.code == "ETLS"


def test_tls_required_and_not_offered(not_opened):
    err = not_opened("S: 220 ready\nC: EHLO\nS: 250 scripted", requireTLS=True)
    assert (err.code, err.command, err.response) == ("ETLS", "STARTTLS", None)


# -- what may be read at any time ------------------------------------------------------------------


def test_the_attributes_follow_the_session(by_hand):
    connection, peer = by_hand(host="mx.example.com", port="2525")
    assert (connection.host, connection.port, connection.name) == ("mx.example.com", 2525, "me")
    assert connection.version == __version__
    assert len({connection.id, by_hand()[0].id}) == 2

    def state():
        return (
            connection.stage,
            connection.lastServerResponse,
            connection.authenticated,
            connection.secure,
            connection.destroyed,
        )

    assert state() == ("init", None, False, False, False)
    connection.connect()
    connection.login({"user": "me", "pass": "s3cr3t"})
    connection.quit()
    peer.settle()
    assert state() == ("connected", None, False, False, False)
    peer.feed("220 ready\r\n")
    assert state() == ("connected", "220 ready", False, False, False)
    assert dict(connection.capabilities) == {}
    peer.feed("250-scripted\r\n250 AUTH PLAIN\r\n")
    assert dict(connection.capabilities) == {"AUTH": "PLAIN"}
    peer.feed("235 welcome\r\n")
    assert state() == ("connected", "235 welcome", True, False, False)
    peer.feed("221 bye\r\n")
    assert state() == ("connected", "221 bye", True, False, True)


# -- the log ---------------------------------------------------------------------------------------

SMALL_SESSION = ["220-a\r\n220 b", "250 c", "250 d", "250 e", "354 f", "250 g", "221 h"]


@pytest.fixture
def log_of(by_hand, diary):
    """Return what a session with one message of two lines logs, without the socket's doings."""

    def run(**options):
        connection, peer = by_hand(**options)
        connection.connect()
        connection.send(ENVELOPE, "one\n.two")
        connection.quit()
        for reply in SMALL_SESSION:
            peer.feed(f"{reply}\r\n")
        assert diary.names() == ["connect", "end"]
        return [entry for entry in diary.log if entry[0] != "socket"]

    return run


def test_debug_logs_replies_commands_and_content(log_of, diary):
    assert log_of(debug=True) == [
        ("server", "220-a\n220 b"),
        ("client", "EHLO me"),
        ("server", "250 c"),
        ("client", "MAIL FROM:<a@example.com>"),
        ("server", "250 d"),
        ("client", "RCPT TO:<b@example.com>"),
        ("server", "250 e"),
        ("client", "DATA"),
        ("server", "354 f"),
        ("stream", "one\r\n..two\r\n."),
        ("server", "250 g"),
        ("client", "QUIT"),
        ("server", "221 h"),
    ]
    assert diary.log[0][0] == "socket"


def test_the_transaction_log_shows_no_content(log_of):
    entries = log_of(debug=False, transactionLog=True)
    assert len(entries) == 12
    assert "stream" not in dict(entries)


def test_without_debug_there_is_no_log(log_of, diary):
    assert log_of(debug=False) == []
    assert diary.log == []


def test_entries_are_read_as_a_dict_too(by_hand):
    connection, peer = by_hand()
    entries = []
    connection.on("log", entries.append)
    connection.connect()
    peer.feed("220 ready\r\n")

    assert [entry["type"] for entry in entries] == [entry.type for entry in entries]
    assert {"type": "server", "message": "220 ready"} in [dict(entry) for entry in entries]


def test_options_may_be_keywords(serve, reactor, diary):
    server = serve(lambda peer: (peer.greet(), peer.take_quit()))
    connection = SMTPConnection(host=server.host, port=server.port, reactor=reactor)
    diary.listen(connection)
    connection.connect()
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "end"]
