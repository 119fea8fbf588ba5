"""Single lines, NOOP and probes, fed by hand: what is said, and what is made of the replies."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.commands import CommandReply, command, noop, probe
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.steps import Abandon, Unanswered
from tests.support.desk import Desk
from tests.support.helpers import Talk, failed, reply

STARTTLS = (
    "command() does not send STARTTLS: connect() does it where it is offered, and the option"
    " requireTLS requires it"
)


@pytest.fixture
def session():
    return Session("me")


# -- one line -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "code", "text"),
    [
        ("250 2.1.5 <a@x.org>", 250, "2.1.5", "<a@x.org>"),
        ("252 cannot say", 252, None, "cannot say"),
        ("450 4.2.1 later", 450, "4.2.1", "later"),
        ("550 5.1.1 unknown", 550, "5.1.1", "unknown"),
        ("what?", 0, None, "what?"),
        ("214-one\r\n214 two", 214, None, "one\n214 two"),
    ],
)
def test_any_reply_is_the_value(session, answer, status, code, text):
    talk = Talk(command("VRFY a@x.org", session), answer)
    assert talk.said == ["VRFY a@x.org"]
    assert isinstance(talk.value, CommandReply)
    assert dict(talk.value) == {
        "command": "VRFY a@x.org",
        "response": answer.replace("\r\n", "\n"),
        "status": status,
        "code": code,
        "text": text,
    }
    assert talk.value.status == talk.value["status"]


def test_blanks_around_a_line_are_left_out(session):
    assert Talk(command("  HELP me ", session), "214 no").said == ["HELP me"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("NOOP\r\nDATA", "a command has no line break or control character in it; found '\\r'"),
        ("NOOP\n", "a command has no line break or control character in it; found '\\n'"),
        ("NOOP\0", "a command has no line break or control character in it; found '\\x00'"),
        ("NO\u2028OP", "a command has no line break or control character in it; found '\\u2028'"),
        ("\tDATA", "a command has no line break or control character in it; found '\\t'"),
        ("", "a command begins with a verb of ASCII letters, digits and hyphens"),
        (".", "a command begins with a verb of ASCII letters, digits and hyphens"),
        ("*", "a command begins with a verb of ASCII letters, digits and hyphens"),
        ("DATA\u00a0", "a command begins with a verb of ASCII letters, digits and hyphens"),
        ("d\u0251ta", "a command begins with a verb of ASCII letters, digits and hyphens"),
        ("HELP " + "x" * 12282, "a command has at most 12288 bytes, CR and LF included"),
        ("HELP " + "\xe4" * 6141, "a command has at most 12288 bytes, CR and LF included"),
        (b"NOOP", "a command is a str; got bytes"),
        (None, "a command is a str; got NoneType"),
        ("data", "command() does not send DATA: send() sends a message"),
        (" BDAT 5 LAST", "command() does not send BDAT: send() sends a message"),
        ("Quit", "command() does not send QUIT: quit() says it, and ends the session"),
        (
            "STARTTLS",
            STARTTLS,
        ),
        ("TURN", "command() does not send TURN: a client cannot take the server's part"),
        ("ATRN x.org", "command() does not send ATRN: a client cannot take the server's part"),
    ],
)
def test_a_line_that_would_bring_the_session_out_of_step_is_not_said(session, line, text):
    talk = Talk(command(line, session))
    assert talk.said == []
    failed(talk, "EPROTOCOL", "API", text)
    assert talk.error.permanent


def test_the_longest_line(session):
    line = "HELP " + "x" * 12281
    assert Talk(command(line, session), "500 too long").said == [line]


def test_a_login_shows_no_secret(session):
    talk = Talk(command("auth plain AHRpbQBz", session), "535 no")
    assert talk.said == ["auth plain AHRpbQBz"]
    assert talk.shown == ["auth plain /* secret */"]
    assert talk.steps[0].reveals == "PLAIN"
    assert talk.value.command == "auth plain /* secret */"
    assert not session.authenticated


def test_a_login_without_a_secret_is_shown(session):
    talk = Talk(command("AUTH ANONYMOUS", session), "235 welcome")
    assert talk.shown == ["AUTH ANONYMOUS"]
    assert talk.steps[0].reveals is None
    assert session.authenticated


@pytest.mark.parametrize("line", ["AUTH LOGIN", "X-EXPS GSSAPI"])
def test_a_challenge_is_the_value_and_is_not_answered(session, line):
    """The server takes the next line for an answer; so it has to be told that none comes."""
    talk = Talk(command(line, session), "334 VXNlcm5hbWU6", "501 cancelled")
    assert talk.said == [line, "*"]
    assert talk.value.response == "334 VXNlcm5hbWU6"
    assert not session.authenticated


def test_a_login_is_not_sent_after_a_refused_starttls(session):
    session.upgrade_refused = True
    talk = Talk(command("AUTH PLAIN AHRpbQBz", session))
    assert talk.said == []
    text = "No login: the server refused STARTTLS, so this connection is in clear text"
    failed(talk, "EAUTH", "API", text)


@pytest.mark.parametrize("again", [True, False])
def test_ehlo_after_a_login_that_succeeds(session, again):
    session.ehlo_after_auth = again
    answers = ["235 welcome", *["250-mx\r\n250 DSN"] * again]
    talk = Talk(command("AUTH PLAIN AHRpbQBz", session), *answers)
    assert talk.said[1:] == ["EHLO me"] * again
    assert ("DSN" in session.capabilities) is again
    assert talk.value.response == "235 welcome"


def test_a_server_that_waits_for_more_cannot_be_talked_to_any_more(session):
    talk = Talk(command("XBLOB", session), "354 go")
    assert isinstance(talk.error, Abandon)
    error = talk.error.error
    assert (error.code, error.command, error.response) == ("EPROTOCOL", "XBLOB", "354 go")


@pytest.mark.parametrize("verb", ["EHLO", "LHLO", "ehlo"])
def test_what_the_server_can_do_is_read_anew(session, verb):
    session.capabilities = Capabilities(reply("250-mx\r\n250 SIZE 5"))
    Talk(command(f"{verb} you", session), "250-mx\r\n250 DSN")
    assert list(session.capabilities) == ["DSN"]
    Talk(command(f"{verb} you", session), "501 no")
    assert list(session.capabilities) == ["DSN"]


def test_after_helo_nothing_is_announced(session):
    session.capabilities = Capabilities(reply("250-mx\r\n250 PIPELINING"))
    Talk(command("HELO me", session), "250-mx\r\n250 PIPELINING")
    assert not session.capabilities.pipelining


@pytest.mark.parametrize(
    ("line", "before", "answer", "after"),
    [
        ("MAIL FROM:<>", False, "250 ok", True),
        ("MAIL FROM:<>", False, "550 no", False),
        ("saml from:<>", False, "250 ok", True),
        ("RCPT TO:<a@x.org>", True, "550 no", True),
        ("RSET", True, "250 ok", False),
        ("rset", True, "550 no", True),
        ("HELP", True, "214 no", True),
    ],
)
def test_whether_the_server_holds_a_transaction(session, line, before, answer, after):
    session.transaction_open = before
    Talk(command(line, session), answer)
    assert session.transaction_open is after


def test_what_a_line_waits_for():
    step = next(command("vrfy someone", Session("me")))
    assert step.waiting_for(0, sent=True) == "the reply to VRFY"


def test_noop(session):
    talk = Talk(noop(session), "250 ok")
    assert (talk.said, talk.value) == (["NOOP"], True)
    failed(Talk(noop(session), "500 no"), "EPROTOCOL", "NOOP", "NOOP refused: 500 no")


# -- a probe --------------------------------------------------------------------------------------

TWO = ("b@x.org", "c@x.org")
SAID = ["MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>", "RSET"]


class Prober:
    """Probes for two recipients, in both ways of saying it."""

    def __init__(self, pipelining, *extensions):
        self.pipelining = pipelining
        self.session = Desk(*["PIPELINING"] * pipelining, *extensions).session

    def probe(self, *answers, end=None, first=(), to=TWO, **more):
        """Answer the envelope with ``answers``; then the connection ends with ``end``, if given."""
        envelope = Envelope.parse({"from": "a@x.org", "to": to, **more})
        dialogue = probe(envelope, self.session)
        if not self.pipelining:
            ends = [] if end is None else [Unanswered(end, [])]
            return Talk(dialogue, *first, *answers, *ends)
        if end is None:
            return Talk(dialogue, *first, [*answers])
        return Talk(dialogue, *first, Unanswered(end, [reply(text) for text in answers]))


@pytest.fixture
def prober(pipelining):
    return Prober(pipelining)


def test_every_recipient_has_a_verdict(prober):
    talk = prober.probe("250 ok", "550 5.1.1 b", "250 c", "250 reset")
    assert talk.said == ([SAID] if prober.pipelining else SAID)
    info = talk.value
    assert (info.accepted, info.rejected) == (["c@x.org"], ["b@x.org"])
    (error,) = info.rejectedErrors
    assert (error.code, error.command, error.recipient) == ("EENVELOPE", "RCPT TO", "b@x.org")
    assert (error.response, error.permanent) == ("550 5.1.1 b", True)
    assert [dict(each) for each in info.recipients] == [
        {
            "address": "b@x.org",
            "accepted": False,
            "code": 550,
            "enhancedCode": "5.1.1",
            "text": "b",
        },
        {
            "address": "c@x.org",
            "accepted": True,
            "code": 250,
            "enhancedCode": None,
            "text": "c",
        },
    ]
    assert info.response == "250 c"
    assert not prober.session.transaction_open


def test_it_is_no_error_if_all_are_refused(prober):
    info = prober.probe("250 ok", "550 b", "451 c", "250 reset").value
    assert (info.accepted, info.rejected) == ([], [*TWO])
    assert [error.permanent for error in info.rejectedErrors] == [True, False]
    assert info["response"] == "451 c"


def test_the_sender_is_refused(prober):
    rest = ["503 no", "503 no", "250 reset"] * prober.pipelining
    talk = prober.probe("553 no", *rest)
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 553 no")
    assert not prober.session.transaction_open


def test_a_reset_that_is_refused_changes_no_verdict(prober):
    info = prober.probe("250 ok", "250 b", "250 c", "502 what?").value
    assert info.accepted == [*TWO]
    assert prober.session.transaction_open, "it is reset before the next message"


def test_what_is_left_of_a_transaction_is_reset_first(prober):
    prober.session.transaction_open = True
    talk = prober.probe("250 ok", "250 b", "250 c", "250 reset", first=["250 reset"])
    assert talk.said[0] == "RSET"
    assert talk.value.accepted == [*TWO]


def test_a_reset_before_the_probe_that_is_refused(prober):
    prober.session.transaction_open = True
    talk = Talk(probe(Envelope.parse({"to": "b@x.org"}), prober.session), "550 never")
    failed(talk, "EPROTOCOL", "RSET", "Could not reset the session: 550 never")


def lost():
    return SMTPError("lost", code="ECONNECTION")


def test_the_connection_ends_before_the_last_verdict(prober):
    end = lost()
    end.__cause__ = OSError("gone")
    talk = prober.probe("250 ok", "550 b", end=end)
    assert talk.error is end
    assert end.rejected == ["b@x.org"]
    assert [error.response for error in end.rejectedErrors] == ["550 b"]
    assert str(end.__cause__) == "gone"


def test_the_connection_ends_after_the_last_verdict(prober):
    """Some servers hang up on those who only ask."""
    info = prober.probe("250 ok", "550 b", "250 c", end=lost()).value
    assert (info.accepted, info.rejected) == (["c@x.org"], ["b@x.org"])


def test_the_connection_ends_before_anything_was_said(pipelining):
    session = Prober(pipelining).session
    end = Unanswered(lost(), [])
    dialogue = probe(Envelope.parse({"to": "b@x.org"}), session)
    next(dialogue)
    with pytest.raises(Unanswered) as caught:
        dialogue.throw(end)
    assert caught.value is end


def test_the_connection_ends_after_the_sender_was_refused():
    talk = Prober(True).probe("550 no", end=lost())
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")


def test_the_extensions_of_an_envelope_count(pipelining):
    prober = Prober(pipelining, "SIZE 9", "DSN")
    talk = prober.probe("550 no", *["503 no"] * 3 * pipelining, size=9, dsn={"notify": "NEVER"})
    assert (talk.said[0][0] if pipelining else talk.said[0]) == "MAIL FROM:<a@x.org> SIZE=9"
    too_large = (
        prober.probe
        if not pipelining
        else lambda **more: Talk(probe(Envelope.parse({"to": "b@x.org", **more}), prober.session))
    )
    talk = too_large(size=10)
    assert (talk.said, talk.error.code) == ([], "EMESSAGE")
