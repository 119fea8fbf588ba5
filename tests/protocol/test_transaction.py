"""A message, RSET and QUIT, fed by hand: what is said, and what is made of the replies."""

from __future__ import annotations

import sys

import pytest

from smtp_connection import SMTPError
from smtp_connection.message.message import Message
from smtp_connection.protocol.addressing import reset
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.session import Session
from smtp_connection.protocol.steps import Abandon, TooEarly
from smtp_connection.protocol.transaction import quit_session, transaction
from tests.support.desk import Answers, Desk
from tests.support.helpers import Talk, failed, reply

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


def test_the_sender_is_refused(answers):
    rcpts = ["503 no sender"] * answers.pipelining
    talk = answers.send("550 no", rcpts)
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")
    assert not answers.desk.session.transaction_open


def test_552_to_mail_is_about_the_message(answers):
    rcpts = ["503 no sender"] * answers.pipelining
    talk = answers.send("552 5.3.4 too big", rcpts)
    failed(talk, "EMESSAGE", "MAIL FROM", "Sender refused: 552 5.3.4 too big")


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
    assert answers.desk.session.transaction_open, "the server may have kept it"


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
    assert desk.session.transaction_open is (final != "250 ok")


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


@pytest.fixture
def lazy(answers):
    answers.desk.message.whole = False
    answers.desk.message.lazy = True
    return answers


def test_a_lazy_source_begins_when_somebody_gets_the_message(lazy):
    if lazy.pipelining:
        talk = lazy.send("250 ok", ["250 ok"], "354 go", None, ["250 queued"])
        assert talk.said[1:] == ["Begin", "Transmit"]
    else:
        talk = lazy.desk.send("250 ok", "250 ok", None, "354 go", ["250 queued"])
        assert talk.said[2:] == ["Begin", "DATA", "Transmit"]
    assert talk.value.accepted == ["b@x.org"]


def test_a_lazy_source_does_not_begin_for_nobody(lazy):
    talk = lazy.send("250 ok", ["550 no"])
    failed(talk, "EENVELOPE", "RCPT TO", "All recipients were refused: 550 no")
    assert "Begin" not in talk.said


def test_a_lazy_source_that_fails_at_once(lazy):
    failure = SMTPError("Empty message", code="EMESSAGE")
    if lazy.pipelining:
        talk = lazy.send("250 ok", ["250 ok"], "354 go", failure)
        assert given_up(talk, "Empty message") is failure
    else:
        talk = lazy.desk.send("250 ok", "250 ok", failure)
        assert talk.error is failure
        assert lazy.desk.session.transaction_open


def test_a_lazy_source_that_fails_names_the_recipients_that_were_refused(lazy):
    failure = SMTPError("Empty message", code="EMESSAGE")
    replies = ["250 ok", "550 no", "250 ok"]
    if lazy.pipelining:
        talk = lazy.desk.send([*replies, "354 go"], failure, to=TWO)
    else:
        talk = lazy.desk.send(*replies, failure, to=TWO)
    assert getattr(talk.error, "error", talk.error) is failure
    assert failure.rejected == ["b@x.org"]


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
        (["SMTPUTF8"], {"from": "a@\xe4.org"}, "MAIL FROM:<a@xn--4ca.org>"),
        (["DSN"], {"dsn": {"ret": "HDRS"}}, "MAIL FROM:<a@x.org> RET=HDRS"),
        ([], {"dsn": {"ret": "HDRS"}}, "MAIL FROM:<a@x.org>"),
    ],
)
def test_mail(extensions, envelope, command):
    assert Desk(*extensions).mail(**envelope) == command


@pytest.mark.parametrize(
    ("known", "stated", "declared"),
    [(8, None, " SIZE=8"), (8, 7, " SIZE=8"), (8, 9, " SIZE=9"), (0, 9, " SIZE=9"), (0, None, "")],
)
def test_the_larger_of_the_known_and_the_stated_size_is_declared(known, stated, declared):
    desk = Desk("SIZE 10")
    desk.message.known = known
    assert desk.mail(size=stated) == f"MAIL FROM:<a@x.org>{declared}"


def test_a_message_that_is_known_to_be_too_large_is_not_sent():
    desk = Desk("SIZE 9")
    desk.message.known = 10
    talk = desk.send()
    assert talk.said == []
    text = "Message size 10 is larger than the 9 bytes that the server allows"
    failed(talk, "EMESSAGE", "MAIL FROM", text)
    assert talk.error.permanent


NOT_ANNOUNCED = "is not ASCII, and the server does not announce SMTPUTF8 (RFC 6531)"


def test_rcpt_has_a_labels(pipelining):
    talk = Answers(pipelining).send("250 ok", ["550 no"], to=["b@\xe4.org"])
    assert "RCPT TO:<b@xn--4ca.org>" in (talk.said[0] if pipelining else talk.said)
    assert talk.error.rejected == ["b@\xe4.org"]


def test_headers_that_are_not_ascii_need_smtputf8(reactor):
    for extensions, command in ((["SMTPUTF8"], "MAIL FROM:<a@x.org> SMTPUTF8"), ([], None)):
        desk = Desk(*extensions)
        desk.message = Message("Subject: \xe9\n\ntext", reactor)
        if command:
            assert desk.mail() == command
            continue
        talk = desk.send()
        assert talk.said == []
        text = "The headers of the message are not ASCII, and the server does not announce SMTPUTF8"
        failed(talk, "EENVELOPE", "MAIL FROM", f"{text} (RFC 6531)")


def test_a_domain_that_has_no_a_labels():
    error = Desk().send(**{"from": "a@\xe4_x.org"}, to="\xe4@x.org").error
    assert str(error).startswith(f"The address 'a@\xe4_x.org' {NOT_ANNOUNCED}")
    assert "; its domain has no ASCII form: Codepoint U+005F" in str(error)


def test_a_domain_without_the_package_idna(monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)
    assert Desk("SMTPUTF8").mail(to="b@\xe4.org") == "MAIL FROM:<a@x.org> SMTPUTF8"
    error = Desk().send(to="b@\xe4.org").error
    assert error.code == "EENVELOPE"
    assert str(error).endswith(
        "needs the extra 'idna' of smtp_connection (in a checkout: pip install '.[idna]')"
    )


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
            f"The address '\xe4@x.org' {NOT_ANNOUNCED}",
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


# -- RSET and QUIT --------------------------------------------------------------------------------


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
    talk = Talk(quit_session(Session("me")), answer)
    assert talk.said == ["QUIT"]
    assert talk.error is None
