"""The conversations, fed by hand: what is said, and what is made of the answers."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.steps import Abandon, StartTLS, TooEarly
from smtp_connection.protocol.transaction import open_session, quit_session, reset, transaction
from tests.support.helpers import Clock, Talk, reply

EHLO = "250-mx\r\n250-PIPELINING\r\n250 SIZE 1000"
WITH_TLS = "250-mx\r\n250-PIPELINING\r\n250 STARTTLS"


def failed(talk, code, command, text):
    """Check the error that ``talk`` ended with."""
    assert isinstance(talk.error, SMTPError)
    assert (talk.error.code, talk.error.command) == (code, command)
    assert str(talk.error) == text


# -- opening --------------------------------------------------------------------------------------


def opened(*answers, **options):
    """Open a session; return the talk and the session."""
    session = Session("me", **options)
    talk = Talk(open_session(session), *answers)
    return talk, session


def test_greeting_and_ehlo():
    talk, session = opened("220 ready", EHLO)
    assert talk.said == ["AwaitGreeting", "EHLO me"]
    assert talk.error is None
    assert session.capabilities.size == 1000
    assert session.capabilities.pipelining
    assert not session.secure


@pytest.mark.parametrize(
    ("greeting", "code"),
    [("421 busy", 421), ("554 no", 554), ("250 ok", 250), ("221 bye", 221), ("354 go", 354)],
)
def test_another_greeting_than_220(greeting, code):
    talk, _ = opened(greeting)
    failed(talk, "EPROTOCOL", "CONN", f"Invalid greeting: {greeting}")
    assert (talk.error.response, talk.error.responseCode) == (greeting, code)


def test_a_greeting_of_another_protocol_is_explained():
    talk, _ = opened("HTTP/1.1 400 Bad Request")
    failed(
        talk,
        "EPROTOCOL",
        "CONN",
        "Invalid greeting (this looks like an HTTP server: check host and port):"
        " HTTP/1.1 400 Bad Request",
    )


def test_helo_for_servers_that_do_not_know_ehlo():
    session = Session("me")
    session.capabilities = Capabilities(reply(WITH_TLS))
    talk = Talk(open_session(session), "220 ready", "502 what?", "250-mx\r\n250 STARTTLS")
    assert talk.said == ["AwaitGreeting", "EHLO me", "HELO me"]
    assert talk.error is None
    assert dict(session.capabilities) == {}, "HELO announces nothing"


def test_helo_refused():
    talk, _ = opened("220 ready", "502 what?", "550 no")
    failed(talk, "EPROTOCOL", "HELO", "HELO refused: 550 no")


def test_no_helo_where_tls_is_required():
    talk, _ = opened("220 ready", "502 what?", require_tls=True)
    failed(
        talk,
        "ECONNECTION",
        "EHLO",
        "EHLO refused, and with HELO there is no STARTTLS, which is required: 502 what?",
    )


def test_helo_where_tls_is_required_and_there():
    talk, _ = opened("220 ready", "502 what?", "250 mx", require_tls=True, secure=True)
    assert talk.said == ["AwaitGreeting", "EHLO me", "HELO me"]
    assert talk.error is None


def test_lhlo():
    talk, session = opened("220 ready", EHLO, lmtp=True)
    assert talk.said == ["AwaitGreeting", "LHLO me"]
    assert session.capabilities.pipelining


def test_lhlo_refused():
    talk, _ = opened("220 ready", "502 what?", lmtp=True)
    failed(talk, "EPROTOCOL", "LHLO", "LHLO refused: 502 what?")


@pytest.mark.parametrize("options", [{}, {"require_tls": True}, {"opportunistic_tls": True}])
def test_starttls_where_it_is_announced(options):
    talk, session = opened("220 ready", WITH_TLS, "220 go", None, EHLO, **options)
    assert talk.said == ["AwaitGreeting", "EHLO me", "STARTTLS", "StartTLS", "EHLO me"]
    assert session.secure
    assert not session.upgrade_refused
    assert "STARTTLS" not in session.capabilities


def test_what_was_said_in_clear_text_is_forgotten():
    """Somebody in between could have added 'AUTH PLAIN', say."""
    session = Session("me")
    dialogue = open_session(session)
    answers = [None, reply("220 ready"), reply(WITH_TLS), reply("220 go")]
    steps = [dialogue.send(answer) for answer in answers]
    assert isinstance(steps[-1], StartTLS)
    assert not session.secure, "not before the handshake has succeeded"
    dialogue.send(None)
    assert session.secure
    assert dict(session.capabilities) == {}
    dialogue.close()


def test_lhlo_after_starttls():
    talk, _ = opened("220 ready", WITH_TLS, "220 go", None, EHLO, lmtp=True)
    assert talk.said[-1] == "LHLO me"


@pytest.mark.parametrize("announced", [WITH_TLS, EHLO])
@pytest.mark.parametrize("options", [{"ignore_tls": True}, {"secure": True}])
def test_no_starttls_where_it_is_not_wanted(announced, options):
    talk, session = opened("220 ready", announced, **options)
    assert talk.said == ["AwaitGreeting", "EHLO me"]
    assert session.secure == options.get("secure", False)


def test_tls_that_is_required_and_not_announced():
    """Nothing more is said, in clear text, to whoever took the announcement out."""
    talk, _ = opened("220 ready", EHLO, require_tls=True)
    assert talk.said == ["AwaitGreeting", "EHLO me"]
    failed(talk, "ETLS", "STARTTLS", "STARTTLS is required, and the server does not offer it")


@pytest.mark.parametrize("options", [{}, {"require_tls": True}])
@pytest.mark.parametrize("answer", ["454 later", "502 what?", "334 go"])
def test_starttls_refused(options, answer):
    talk, session = opened("220 ready", WITH_TLS, answer, **options)
    failed(talk, "ETLS", "STARTTLS", f"STARTTLS refused: {answer}")
    assert not session.secure


def test_starttls_refused_and_not_needed():
    talk, session = opened("220 ready", WITH_TLS, "454 later", opportunistic_tls=True)
    assert talk.error is None
    assert session.upgrade_refused
    assert not session.secure
    assert session.capabilities.pipelining


# -- a message ------------------------------------------------------------------------------------


class Letter:
    """Stands for a message; the dialogue never looks into it."""

    whole = True
    size = 123


class Desk:
    """Sends one message in a session, fed by hand."""

    def __init__(self, *extensions, **options):
        self.session = Session("me", **options)
        self.session.capabilities = Capabilities(
            reply("\r\n".join(["250-mx", *(f"250-{each}" for each in extensions), "250 HELP"]))
        )
        self.clock = Clock()
        self.message = Letter()

    def send(self, *answers, to=("b@x.org",), **envelope):
        envelope = Envelope.parse({"from": "a@x.org", "to": to, **envelope})
        return Talk(transaction(envelope, self.message, self.session, self.clock), *answers)

    def mail(self, **envelope):
        """Return the MAIL command for ``envelope``."""
        return self.send("550 no", **envelope).said[0]


TWO = ("b@x.org", "c@x.org")


def test_a_message_step_by_step():
    desk = Desk()
    talk = desk.send("250 ok", "250 ok", "250 ok", "354 go", ["250 queued"], to=TWO)
    assert talk.said == [
        "MAIL FROM:<a@x.org>",
        "RCPT TO:<b@x.org>",
        "RCPT TO:<c@x.org>",
        "DATA",
        "Transmit",
    ]
    assert talk.steps[-1].message is desk.message
    assert talk.steps[-1].replies == 1
    info = talk.value
    assert (info.accepted, info.rejected, info.rejectedErrors) == ([*TWO], [], [])
    assert info.response == "250 queued"
    assert info.messageSize == 123
    assert info.ehlo == ["HELP"]
    assert not desk.session.transaction_open


def test_a_pipelined_message():
    desk = Desk("PIPELINING")
    talk = desk.send(["250 ok", "250 ok", "250 ok", "354 go"], ["250 queued"], to=TWO)
    assert talk.said == [
        ["MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>", "DATA"],
        "Transmit",
    ]
    assert talk.value.accepted == [*TWO]
    assert not desk.session.transaction_open


@pytest.fixture(params=[True, False], ids=["pipelined", "step by step"])
def pipelining(request):
    return request.param


class Answers:
    """The server's side of an envelope, in both ways of saying it."""

    def __init__(self, pipelining, *extensions):
        self.pipelining = pipelining
        self.desk = Desk(*["PIPELINING"] * pipelining, *extensions)

    def send(self, mail, rcpts=(), data=None, *rest, first=(), **envelope):
        """``first`` are replies to what is said before MAIL; step by step, replies to what is not
        said any more are left out."""
        if self.pipelining:
            return self.desk.send(
                [*first, mail, *rcpts, data or "503 no valid recipients"], *rest, **envelope
            )
        answers = [*first, mail, *rcpts, *([data] if data else []), *rest]
        return self.desk.send(*answers, **envelope)


@pytest.fixture
def answers(pipelining):
    return Answers(pipelining)


def test_some_recipients_are_refused(answers):
    talk = answers.send("250 ok", ["550 b", "250 ok"], "354 go", ["250 queued"], to=TWO)
    info = talk.value
    assert (info.accepted, info.rejected) == (["c@x.org"], ["b@x.org"])
    (error,) = info.rejectedErrors
    assert (error.code, error.command, error.recipient) == ("EENVELOPE", "RCPT TO", "b@x.org")
    assert str(error) == "Recipient refused: 550 b"


@pytest.mark.parametrize(
    ("replies", "spokesman"),
    [
        (["550 b", "551 c"], "551 c"),
        (["450 b", "551 c"], "450 b"),
        (["550 b", "451 c"], "451 c"),
        (["450 b", "451 c"], "450 b"),
    ],
)
def test_all_recipients_are_refused(answers, replies, spokesman):
    """A temporary refusal speaks for the message: it is worth another try."""
    talk = answers.send("250 ok", replies, to=TWO)
    failed(talk, "EENVELOPE", "RCPT TO", f"All recipients were refused: {spokesman}")
    assert talk.error.rejected == [*TWO]
    assert [str(error) for error in talk.error.rejectedErrors] == [
        f"Recipient refused: {text}" for text in replies
    ]
    assert answers.desk.session.transaction_open, "the server has still the sender"


def test_the_sender_is_refused(answers):
    rcpts = ["503 no sender"] * answers.pipelining
    talk = answers.send("550 no", rcpts)
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")
    assert not answers.desk.session.transaction_open


@pytest.mark.parametrize("data", ["451 later", "554 no", "503 what?"])
def test_data_is_refused(answers, data):
    talk = answers.send("250 ok", ["250 ok"], data)
    failed(talk, "EENVELOPE", "DATA", f"DATA refused: {data}")
    assert answers.desk.session.transaction_open


@pytest.mark.parametrize("data", ["354 go", "250 go", "399 go"])
def test_any_2xx_or_3xx_is_a_go_ahead(answers, data):
    talk = answers.send("250 ok", ["250 ok"], data, ["250 queued"])
    assert talk.value.accepted == ["b@x.org"]


@pytest.mark.parametrize("final", ["554 spam", "451 later", "354 go"])
def test_the_message_is_refused(answers, final):
    talk = answers.send("250 ok", ["250 ok"], "354 go", [final])
    failed(talk, "EMESSAGE", "DATA", f"Message failed: {final}")
    assert not answers.desk.session.transaction_open, "the server has forgotten it"


def test_what_is_left_of_a_transaction_is_reset_first(answers):
    answers.desk.session.transaction_open = True
    talk = answers.send("250 ok", ["250 ok"], "354 go", ["250 queued"], first=["250 ok"])
    assert talk.value.accepted == ["b@x.org"]
    first = talk.said[0]
    assert (first[0] if answers.pipelining else first) == "RSET"
    assert not answers.desk.session.transaction_open


def test_a_reset_that_is_refused(answers):
    answers.desk.session.transaction_open = True
    if answers.pipelining:
        talk = answers.send("503 no", ["503 no"], first=["550 never"])
    else:
        talk = answers.desk.send("550 never")
    failed(talk, "EPROTOCOL", "RSET", "Could not reset the session: 550 never")
    assert answers.desk.session.transaction_open


def given_up(talk, text):
    """Check that ``talk`` ended with a connection that nobody can use any more."""
    assert isinstance(talk.error, Abandon)
    assert str(talk.error) == str(talk.error.error) == text
    return talk.error.error


def test_pipelined_data_that_is_taken_in_spite_of_a_refused_sender():
    """The server waits for a message now, and would take whatever is said for it."""
    talk = Desk("PIPELINING").send(["550 no", "250 ok", "354 go"])
    error = given_up(talk, "Sender refused: 550 no")
    assert (error.code, error.command) == ("EENVELOPE", "MAIL FROM")


def test_pipelined_data_that_is_taken_in_spite_of_a_refused_reset():
    desk = Desk("PIPELINING")
    desk.session.transaction_open = True
    talk = desk.send(["550 never", "250 ok", "250 ok", "354 go"])
    given_up(talk, "Could not reset the session: 550 never")


@pytest.mark.parametrize("final", ["554 no valid recipients", "250 ok"])
def test_pipelined_data_that_is_taken_without_a_recipient(final):
    """RFC 2920 section 3.1: the lone dot ends a message for nobody."""
    desk = Desk("PIPELINING")
    talk = desk.send(["250 ok", "550 no", "354 go"], final)
    assert talk.said[-1] == "."
    failed(talk, "EENVELOPE", "RCPT TO", "All recipients were refused: 550 no")
    assert not desk.session.transaction_open


# -- the message itself ---------------------------------------------------------------------------


def test_a_message_that_has_to_be_waited_for_is_begun_first(answers):
    answers.desk.message.whole = False
    failure = SMTPError("Empty message", code="EMESSAGE")
    talk = answers.desk.send(failure)
    assert talk.said == ["Begin"]
    assert talk.steps[0].message is answers.desk.message
    assert talk.error is failure, "and nothing has been said to the server"


def test_a_message_that_has_begun_is_sent():
    desk = Desk("PIPELINING")
    desk.message.whole = False
    talk = desk.send(None, ["250 ok", "250 ok", "354 go"], ["250 queued"])
    assert talk.said[0] == "Begin"
    assert talk.value.accepted == ["b@x.org"]


def test_a_source_that_fails_leaves_a_connection_that_nobody_can_use(answers):
    """Anything that is said now would be taken for more of the message."""
    failure = SMTPError("The message source failed: no", code="ESTREAM")
    talk = answers.send("250 ok", ["250 ok"], "354 go", failure)
    assert given_up(talk, "The message source failed: no") is failure


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ("554 spam", "EMESSAGE", "Message failed: 554 spam"),
        ("451 later", "EMESSAGE", "Message failed: 451 later"),
        ("250 ok", "EPROTOCOL", "The server replied before the message ended: 250 ok"),
    ],
)
def test_a_reply_that_comes_too_early(answers, answer, code, text):
    talk = answers.send("250 ok", ["250 ok"], "354 go", TooEarly(reply(answer)))
    error = given_up(talk, text)
    assert (error.code, error.command) == (code, "DATA")


def test_times_are_in_ms_and_include_the_wait_for_the_source():
    desk = Desk()
    desk.message.whole = False
    dialogue = transaction(
        Envelope.parse({"to": "b@x.org"}), desk.message, desk.session, desk.clock
    )
    answers = [None, None, reply("250 ok"), reply("250 ok"), reply("354 go")]
    for answer in answers:
        dialogue.send(answer)
        desk.clock.now += 0.1
    with pytest.raises(StopIteration) as stop:
        dialogue.send([reply("250 queued")])
    info = stop.value.value
    assert (info.envelopeTime, info.messageTime) == (400, 100)


def test_the_message_id_that_the_server_gave():
    desk = Desk(host="smtp.office365.com")
    queued = "250 2.0.0 OK <abc@x.prod.outlook.com> [Hostname=x]"
    talk = desk.send("250 ok", "250 ok", "354 go", [queued])
    assert talk.value.serverMessageId == "<abc@x.prod.outlook.com>"


# -- LMTP -----------------------------------------------------------------------------------------

THREE = ("b@x.org", "c@x.org", "d@x.org")


def lmtp(answers, *final, rcpts=("250 ok", "550 c", "250 ok")):
    answers.desk.session.lmtp = True
    return answers.send("250 ok", rcpts, "354 go", [*final], to=THREE)


def test_lmtp_has_a_reply_for_each_accepted_recipient(answers):
    talk = lmtp(answers, "250 b is fine", "452 d is full")
    assert talk.steps[-1].replies == 2
    info = talk.value
    assert (info.accepted, info.rejected) == (["b@x.org"], ["c@x.org", "d@x.org"])
    assert [str(error) for error in info.rejectedErrors] == [
        "Recipient refused: 550 c",
        "Message failed for d@x.org: 452 d is full",
    ]
    assert [error.code for error in info.rejectedErrors] == ["EENVELOPE", "EMESSAGE"]
    assert [error.recipient for error in info.rejectedErrors] == ["c@x.org", "d@x.org"]
    assert info.response == "452 d is full"


def test_lmtp_where_all_are_refused_in_the_end(answers):
    talk = lmtp(answers, "552 b is full", "452 d is full")
    failed(talk, "EMESSAGE", "DATA", "Message failed for every recipient: 452 d is full")
    assert talk.error.rejected == ["c@x.org", "b@x.org", "d@x.org"]
    assert len(talk.error.rejectedErrors) == 3
    assert not answers.desk.session.transaction_open


def test_lmtp_where_all_are_accepted(answers):
    talk = lmtp(answers, "250 b", "250 c", "250 d", rcpts=["250 ok"] * 3)
    assert talk.value.accepted == [*THREE]


# -- the parameters of MAIL and RCPT --------------------------------------------------------------


@pytest.mark.parametrize(
    ("extensions", "envelope", "command"),
    [
        ([], {"from": ""}, "MAIL FROM:<>"),
        ([], {"size": 10}, "MAIL FROM:<a@x.org>"),
        (["SIZE"], {"size": 10}, "MAIL FROM:<a@x.org> SIZE=10"),
        (["SIZE 10"], {"size": 10}, "MAIL FROM:<a@x.org> SIZE=10"),
        (["SIZE 10"], {}, "MAIL FROM:<a@x.org>"),
        (["8BITMIME"], {"use8BitMime": True}, "MAIL FROM:<a@x.org> BODY=8BITMIME"),
        (["8BITMIME"], {"use8BitMime": False}, "MAIL FROM:<a@x.org>"),
        ([], {"use8BitMime": True}, "MAIL FROM:<a@x.org>"),
        (["SMTPUTF8"], {}, "MAIL FROM:<a@x.org>"),
        (["SMTPUTF8"], {"from": "\xe4@x.org"}, "MAIL FROM:<\xe4@x.org> SMTPUTF8"),
        (["SMTPUTF8"], {"to": "\xe4@x.org"}, "MAIL FROM:<a@x.org> SMTPUTF8"),
        (["DSN"], {"dsn": {"ret": "HDRS"}}, "MAIL FROM:<a@x.org> RET=HDRS"),
        ([], {"dsn": {"ret": "HDRS"}}, "MAIL FROM:<a@x.org>"),
    ],
)
def test_mail(extensions, envelope, command):
    assert Desk(*extensions).mail(**envelope) == command


@pytest.mark.parametrize(("extensions", "asked"), [(["DSN"], " NOTIFY=NEVER"), ([], "")])
def test_rcpt(pipelining, extensions, asked):
    answers = Answers(pipelining, *extensions)
    talk = answers.send("250 ok", ["550 no"], dsn={"notify": "NEVER"})
    line = talk.said[0][1] if pipelining else talk.said[1]
    assert line == "RCPT TO:<b@x.org>" + asked


@pytest.mark.parametrize(
    ("extensions", "options", "envelope", "code", "text"),
    [
        (
            ["SIZE 9"],
            {},
            {"size": 10},
            "EMESSAGE",
            "Message size 10 is larger than the 9 bytes that the server allows",
        ),
        (
            ["8BITMIME"],
            {},
            {"to": "\xe4@x.org"},
            "EENVELOPE",
            "an address is not ASCII, and the server does not announce SMTPUTF8 (RFC 6531)",
        ),
        (
            ["REQUIRETLS"],
            {},
            {"requireTLSExtensionEnabled": True},
            "EREQUIRETLS",
            "REQUIRETLS is not possible: this connection is not over TLS",
        ),
        (
            [],
            {"secure": True},
            {"requireTLSExtensionEnabled": True},
            "EREQUIRETLS",
            "REQUIRETLS is not possible: the server does not announce it",
        ),
    ],
)
def test_what_the_server_cannot_do_is_not_asked_for(extensions, options, envelope, code, text):
    desk = Desk(*extensions, **options)
    desk.message.whole = False
    talk = desk.send(**envelope)
    assert talk.said == []
    failed(talk, code, "MAIL FROM", text)


def test_requiretls_where_it_is_possible():
    desk = Desk("REQUIRETLS", secure=True)
    assert desk.mail(requireTLSExtensionEnabled=True) == "MAIL FROM:<a@x.org> REQUIRETLS"


# -- the rest -------------------------------------------------------------------------------------


def test_reset():
    session = Session("me")
    session.transaction_open = True
    talk = Talk(reset(session), "250 ok")
    assert (talk.said, talk.value) == (["RSET"], True)
    assert not session.transaction_open
    failed(
        Talk(reset(session), "500 no"), "EPROTOCOL", "RSET", "Could not reset the session: 500 no"
    )


@pytest.mark.parametrize("answer", ["221 bye", "500 what?"])
def test_quit(answer):
    talk = Talk(quit_session(), answer)
    assert talk.said == ["QUIT"]
    assert talk.error is None
