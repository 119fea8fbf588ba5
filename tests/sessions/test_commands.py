"""``command``, ``noop`` and ``probe`` in whole sessions: in their turn, logged, and in step."""

from __future__ import annotations

import base64

import pytest

from smtp_connection import SMTPConnection
from tests.support.sessions import ENVELOPE, PASSWORD, TO_TWO

SENT = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go on\nC: hi\nC= .\nS: 250 taken"
TOKEN = base64.b64encode(b"\0tim\0tanstaaf1").decode()


@pytest.fixture
def session(serve, connect_to, reactor, diary):
    """Run ``calls(connection)`` against ``transcript``, up to the end of the session."""

    def run(transcript, calls, *extensions, **options):
        def script(peer):
            peer.greet(*extensions)
            peer.play(transcript)
            peer.take_quit()

        connection = connect_to(serve(script), **options)
        connection.connect()
        calls(connection)
        connection.quit()
        reactor.run()
        assert diary.names()[-1] == "end"
        return connection

    return run


def test_they_are_carried_out_in_their_turn(session, diary):
    def calls(connection):
        connection.command("VRFY someone", diary.callback("vrfy"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))
        connection.noop(diary.callback("noop"))
        connection.probe(ENVELOPE, diary.callback("probe"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))

    probe = "C= MAIL FROM:<a@example.com>\nS: 250\nC= RCPT TO:<b@example.com>\nS: 250 b\nC= RSET"
    transcript = f"C= VRFY someone\nS: 252 2.1.5 try\n{SENT}\nC= NOOP\nS: 250 ok\n{probe}\nS: 250"
    session(f"{transcript}\n{SENT}", calls)

    assert diary.names() == ["connect", "vrfy", "sent", "noop", "probe", "sent", "end"]
    ((err, reply),) = diary.of("vrfy")
    assert err is None
    assert (reply.response, reply.status) == ("252 2.1.5 try", 252)
    assert (reply.code, reply["text"]) == ("2.1.5", "try")
    assert diary.of("noop") == [(None, True)]
    ((err, info),) = diary.of("probe")
    assert err is None
    assert (info.accepted, info.rejected, info.response) == (["b@example.com"], [], "250 b")


def test_a_pipelined_probe(session, diary):
    def calls(connection):
        connection.probe(TO_TWO, diary.callback("probe"))

    transcript = "C: MAIL\nC: RCPT\nC: RCPT\nC= RSET\nS: 250\nS: 550 no\nS: 451 later\nS: 250"
    session(transcript, calls, "PIPELINING")
    ((err, info),) = diary.of("probe")
    assert err is None
    assert (info.accepted, info.rejected) == ([], TO_TWO["to"])


def test_a_refusal_is_no_error_of_a_command_but_one_of_noop(session, diary):
    def calls(connection):
        connection.command("VRFY a", diary.callback("vrfy"))
        connection.noop(diary.callback("noop"))

    session("C: VRFY\nS: 550 no\nC: NOOP\nS: 500 what?", calls)
    ((err, reply),) = diary.of("vrfy")
    assert (err, reply.status) == (None, 550)
    err = diary.error("noop")
    assert (err.code, err.command, err.responseCode) == ("EPROTOCOL", "NOOP", 500)


def test_a_line_that_is_refused_harms_nobody(session, diary):
    def calls(connection):
        connection.command("NOOP\r\nQUIT", diary.callback("command"))
        connection.command(7, diary.callback("number"))
        connection.command("DATA", diary.callback("data"))
        connection.noop(diary.callback("noop"))

    session("C: NOOP\nS: 250 ok", calls)
    assert diary.names() == ["connect", "command", "number", "data", "noop", "end"]
    for name in ("command", "number", "data"):
        err = diary.error(name)
        assert (err.code, err.command, err.permanent) == ("EPROTOCOL", "API", True)


def test_a_transaction_of_the_callers_own_is_reset_before_the_next_message(session, diary):
    def calls(connection):
        connection.command("MAIL FROM:<>", diary.callback("mail"))
        connection.command("RCPT TO:<b@example.com>", diary.callback("rcpt"))
        connection.send(ENVELOPE, "hi", diary.callback("sent"))

    session(f"C: MAIL FROM:<>\nS: 250\nC: RCPT\nS: 250\nC= RSET\nS: 250\n{SENT}", calls)
    assert diary.of("sent")[0][0] is None


def test_ehlo_is_read(session, diary):
    def calls(connection):
        connection.command("EHLO again", diary.callback("ehlo"))

    connection = session("C= EHLO again\nS: 250-mx\nS: 250 SIZE 77", calls, "PIPELINING")
    assert dict(connection.capabilities) == {"SIZE": "77"}


def test_a_login_is_logged_without_its_secret(session, diary):
    def calls(connection):
        connection.command(f"AUTH PLAIN {TOKEN}", diary.callback("auth"))

    connection = session(f"C= AUTH PLAIN {TOKEN}\nS: 535 not {TOKEN}", calls, "AUTH PLAIN")
    assert "AUTH PLAIN /* secret */" in diary.commands()
    ((err, reply),) = diary.of("auth")
    assert (err, reply.status) == (None, 535)
    told = f"{diary.log} {dict(reply)!r} {reply!r} {connection.lastServerResponse}"
    assert TOKEN not in told
    assert "tanstaaf1" not in told


def test_a_login_that_succeeds_is_one(session, diary):
    def calls(connection):
        connection.command(f"AUTH PLAIN {TOKEN}", diary.callback("auth"))

    assert session("C: AUTH PLAIN\nS: 235 ok", calls, "AUTH PLAIN").authenticated


@pytest.mark.parametrize("name", ["command", "probe"])
def test_behind_a_login_that_fails_they_are_not_sent(session, diary, name):
    """As a message is not: they were meant for a session that is logged in."""

    def calls(connection):
        connection.login(PASSWORD, diary.callback("login"))
        argument = "MAIL FROM:<a@example.com>" if name == "command" else ENVELOPE
        getattr(connection, name)(argument, diary.callback(name))
        connection.noop(diary.callback("noop"))

    session("C: AUTH PLAIN\nS: 535 no\nC= NOOP\nS: 250 ok", calls, "AUTH PLAIN")
    assert diary.names() == ["connect", "login", name, "noop", "end"]
    err = diary.error(name)
    assert (err.code, err.__cause__) == ("EAUTH", diary.error("login"))
    assert diary.of("noop") == [(None, True)]


@pytest.mark.parametrize("name", ["command", "probe"])
def test_behind_a_login_that_succeeds_they_are_sent(session, diary, name):
    def calls(connection):
        connection.login(PASSWORD, diary.callback("login"))
        getattr(connection, name)("HELP" if name == "command" else ENVELOPE, diary.callback(name))

    rest = (
        "C= HELP\nS: 214 no" if name == "command" else "C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: RSET"
    )
    session(
        f"C: AUTH PLAIN\nS: 235 ok\n{rest}" + "\nS: 250" * (name == "probe"), calls, "AUTH PLAIN"
    )
    assert diary.of(name)[0][0] is None


CALLS = {"command": ("HELP",), "noop": (), "probe": (ENVELOPE,)}


@pytest.mark.parametrize("name", CALLS)
def test_before_connect_and_after_the_end_they_fail(reactor, diary, name):
    connection = SMTPConnection(reactor=reactor)
    getattr(connection, name)(*CALLS[name], diary.callback("before"))
    connection.close()
    getattr(connection, name)(*CALLS[name], diary.callback("after"))
    reactor.run()
    assert diary.error("before").code == diary.error("after").code == "ECONNECTION"
    assert "call connect() first" in diary.error("before").message


@pytest.mark.parametrize("name", CALLS)
def test_a_421_ends_the_session(by_hand, diary, name):
    connection, peer = by_hand()
    connection.connect()
    getattr(connection, name)(*CALLS[name], diary.callback("under way"))
    peer.feed("220 ready\r\n")
    peer.feed("250 mx\r\n")
    peer.feed("421 4.3.2 bye\r\n")
    assert diary.names() == ["connect", "error", "under way", "end"]
    err = diary.error("under way")
    assert (err.code, err.responseCode) == ("ECONNECTION", 421)
    assert "waiting for the reply to" in err.message


def test_a_server_that_hangs_up_after_the_verdicts_of_a_probe(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.probe(ENVELOPE, diary.callback("probe"))
    for reply in ("220 ready", "250 mx", "250 ok", "550 unknown", "421 no more of that"):
        peer.feed(f"{reply}\r\n")
    ((err, info),) = diary.of("probe")
    assert (err, info.rejected) == (None, ["b@example.com"])
    assert diary.names()[-1] == "end"


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        (None, "probe() has no message to take the envelope from"),
        ({"from": "a@example.com"}, "No recipients defined"),
        ({"to": "b@example.com\r\nDATA"}, "Invalid recipient 'b@example.com\\r\\nDATA'"),
    ],
)
def test_a_malformed_envelope_is_not_probed(session, diary, envelope, text):
    session("", lambda connection: connection.probe(envelope, diary.callback("probe")))
    err = diary.error("probe")
    assert (err.code, err.command) == ("EENVELOPE", "API")
    assert text in err.message


def test_without_a_callback_a_failure_is_an_error_event(session, diary):
    session("C: NOOP\nS: 500 what?", lambda connection: connection.noop())
    assert diary.names() == ["connect", "error", "end"]


def test_a_server_that_waits_for_more_is_hung_up_on(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.command("XBLOB", diary.callback("command"))
    connection.noop(diary.callback("noop"))
    peer.feed("220 ready\r\n")
    peer.feed("250 mx\r\n")
    peer.feed("354 go\r\n")
    assert diary.error("command").code == "EPROTOCOL"
    assert diary.error("noop").code == "ECONNECTION"
    assert diary.names()[-1] == "end"
