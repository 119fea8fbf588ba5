"""The envelope said ahead, behind the message before, fed by hand: when it may ride, and what the
replies mean."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.message.message import Message
from smtp_connection.protocol.addressing import envelope_ahead
from smtp_connection.protocol.envelope import Envelope
from smtp_connection.protocol.steps import Abandon, Unanswered
from smtp_connection.protocol.transaction import quit_ahead, quit_session
from tests.support.desk import Desk
from tests.support.helpers import Talk, failed, reply

TWO = ["b@x.org", "c@x.org"]
LINES = ["MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>", "DATA"]


def desk_with(*extensions, **options):
    desk = Desk(*(extensions or ["PIPELINING"]), **options)
    desk.session.proven = True
    return desk


def ahead(desk, message, to=TWO, **envelope):
    parsed = Envelope.parse({"from": "a@x.org", "to": to, **envelope})
    return envelope_ahead(parsed, message, desk.session)


@pytest.fixture
def hello(reactor):
    return Message("hello", reactor)


# -- when it may ----------------------------------------------------------------------------------


def test_the_envelope_of_the_next_message_may_ride(hello):
    assert ahead(desk_with(), hello) == LINES


def test_the_parameters_ride_with_it(hello):
    desk = desk_with("PIPELINING", "SIZE 1000", "DSN")
    lines = ahead(desk, hello, dsn={"ret": "HDRS", "notify": "NEVER"})
    assert lines == [
        "MAIL FROM:<a@x.org> RET=HDRS SIZE=7",
        "RCPT TO:<b@x.org> NOTIFY=NEVER",
        "RCPT TO:<c@x.org> NOTIFY=NEVER",
        "DATA",
    ]


def test_nothing_rides_without_pipelining(hello):
    assert ahead(desk_with("SIZE"), hello) == []
    assert quit_ahead(desk_with("SIZE").session) == []


def test_nothing_rides_over_lmtp(hello):
    """Cyrus keeps the transaction of a message that it has refused."""
    desk = desk_with("PIPELINING", lmtp=True)
    assert ahead(desk, hello) == []
    assert quit_ahead(desk.session) == []


def test_nothing_rides_before_the_server_has_accepted_a_message(hello):
    desk = Desk("PIPELINING")
    assert ahead(desk, hello) == []
    assert quit_ahead(desk.session) == []
    desk.send(["250 ok"] * 2 + ["354 go"], ["554 spam"])
    assert not desk.session.proven
    desk.send(["250 reset"] + ["250 ok"] * 2 + ["354 go"], ["250 queued"])
    assert ahead(desk, hello) == LINES


def test_nothing_rides_if_the_option_says_so(hello):
    desk = desk_with("PIPELINING", pipeline_messages=False)
    assert ahead(desk, hello) == []
    assert quit_ahead(desk.session) == []


def test_a_message_that_is_not_there_does_not_ride(reactor):
    """The server would wait for it after DATA."""
    assert ahead(desk_with(), Message(iter(["hello"]), reactor)) == []


def test_a_message_that_the_server_would_refuse_does_not_ride(hello):
    """It fails when it is its turn, without a word to the server."""
    assert ahead(desk_with("PIPELINING", "SIZE 6"), hello) == []
    assert ahead(desk_with("PIPELINING", "SIZE 7"), hello)[0].endswith(" SIZE=7")
    assert ahead(desk_with(), hello, mtPriority=1) == []
    assert ahead(desk_with(), hello, to="\xe4@x.org") == []


def test_a_message_in_several_transactions_does_not_ride(hello):
    assert ahead(desk_with("PIPELINING", "LIMITS RCPTMAX=1"), hello) == []
    assert ahead(desk_with("PIPELINING", "LIMITS RCPTMAX=2"), hello) == LINES


def test_nothing_rides_into_a_session_that_is_full(hello):
    desk = desk_with("PIPELINING", "LIMITS MAILMAX=2")
    desk.session.mails = 1
    assert ahead(desk, hello) == LINES
    desk.session.mails = 2
    assert ahead(desk, hello) == []
    assert quit_ahead(desk.session) == ["QUIT"]


# -- what the replies mean ------------------------------------------------------------------------


def ride(*answers, refused_before=False, lines=LINES, desk=None):
    """Send a message whose envelope has ridden."""
    desk = desk or desk_with()
    desk.session.transaction_open = refused_before
    desk.session.ahead = [*lines]
    talk = desk.send(*answers, to=TWO)
    assert desk.session.ahead == []
    assert talk.steps[0].said
    assert talk.said[0] == LINES
    talk.session = desk.session
    return talk


OK = ["250 ok", "250 ok", "250 ok", "354 go"]
QUEUED = ["250 2.0.0 queued"]


@pytest.mark.parametrize("refused_before", [False, True])
def test_all_is_well(refused_before):
    talk = ride(OK, QUEUED, refused_before=refused_before)
    assert talk.value.accepted == TWO
    assert talk.said[1:] == ["Transmit"]
    assert (talk.session.mails, talk.session.rides) == (1, True)
    assert not talk.session.transaction_open


def test_a_recipient_is_refused():
    talk = ride(["250 ok", "550 b", "250 ok", "354 go"], QUEUED)
    assert (talk.value.accepted, talk.value.rejected) == (["c@x.org"], ["b@x.org"])
    assert talk.session.rides


@pytest.mark.parametrize("data", ["503 5.5.1 no valid recipients", "554 5.5.1 none"])
def test_all_recipients_are_refused(data):
    talk = ride(["250 ok", "550 b", "550 c", data])
    failed(talk, "EENVELOPE", "RCPT TO", "All recipients were refused: 550 c")
    assert talk.session.rides
    assert talk.session.transaction_open, "it is reset before the next one"


def test_all_recipients_are_refused_and_data_is_not():
    talk = ride(["250 ok", "550 b", "550 c", "354 go"], "554 no recipients")
    assert talk.said[1:] == ["."]
    failed(talk, "EENVELOPE", "RCPT TO", "All recipients were refused: 550 c")


@pytest.mark.parametrize("data", ["451 later", "554 no"])
def test_data_is_refused(data):
    talk = ride(["250 ok", "250 ok", "250 ok", data])
    failed(talk, "EENVELOPE", "DATA", f"DATA refused: {data}")


@pytest.mark.parametrize("code", [400, 450, 499, 505, 550, 552, 599])
def test_the_sender_is_refused(code):
    refusal = [f"{code} no", "503 no", "503 no", "503 no"]
    talk = ride(refusal)
    expected = "EMESSAGE" if code == 552 else "EENVELOPE"
    failed(talk, expected, "MAIL FROM", f"Sender refused: {code} no")
    assert talk.session.rides


# -- too early ------------------------------------------------------------------------------------

AGAIN = ["RSET", *LINES]


def check_said_again(talk, rides):
    assert talk.value.accepted == TWO
    assert talk.said[1:] == [AGAIN, "Transmit"]
    assert not talk.steps[1].said
    assert talk.session.rides is rides
    assert not talk.session.transaction_open


@pytest.mark.parametrize("code", [150, 354, 399, 500, 501, 502, 503, 504, 600])
def test_503_to_the_early_commands_resends_them_and_ends_the_practice(code):
    """Haraka, which has yet to judge the message before."""
    talk = ride([f"{code} wait", *["503 wait"] * 3], ["250 reset", *OK], QUEUED)
    check_said_again(talk, rides=False)


@pytest.mark.parametrize(
    "early",
    [
        ["250 ok", "503 wait", "503 wait", "503 wait"],
        ["250 ok", "250 ok", "503 wait", "503 wait"],
        ["250 ok", "250 ok", "250 ok", "503 wait"],
        ["250 ok", "550 no", "250 ok", "503 wait"],
    ],
)
def test_503_to_some_of_them(early):
    check_said_again(ride(early, ["250 reset", *OK], QUEUED), rides=False)


@pytest.mark.parametrize("code", [450, 503, 550])
def test_a_refused_mail_after_a_refused_message_is_reset_and_tried_again(code):
    """The server has kept the transaction, so the refusal is not about this message."""
    talk = ride([f"{code} nested"] * 4, ["250 reset", *OK], QUEUED, refused_before=True)
    check_said_again(talk, rides=True)


def test_what_is_said_again_may_be_refused_for_good():
    talk = ride(["503 wait"] * 4, ["250 reset", "550 no", "503 no", "503 no", "503 no"])
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")


def test_a_server_that_cannot_be_reset():
    talk = ride(["503 wait"] * 4, ["550 never", *["503 no"] * 4])
    failed(talk, "EPROTOCOL", "RSET", "Could not reset the session: 550 never")


@pytest.mark.parametrize(
    "early",
    [
        ["503 wait", "250 ok", "250 ok", "354 go"],
        ["503 wait", "503 wait", "503 wait", "354 go"],
        ["250 ok", "503 wait", "250 ok", "354 go"],
        ["250 ok", "250 ok", "250 ok", "250 go"],
        ["503 wait", "250 ok", "250 ok", "250 go"],
    ],
)
@pytest.mark.parametrize("refused_before", [False, True])
def test_a_354_that_belongs_to_nobody_ends_the_session(early, refused_before):
    """The message would get into the transaction of the message before."""
    talk = ride(early, refused_before=refused_before)
    assert isinstance(talk.error, Abandon)
    error = talk.error.error
    assert (error.code, error.permanent, error.inDoubt) == ("EPROTOCOL", False, False)
    text = "The server is out of step: it waits for a message although it has refused one"
    assert str(error) == f"{text}: {early[-1]}"


def test_a_refused_mail_after_a_refused_message_that_is_followed_by_354():
    talk = ride(["550 no", "250 ok", "250 ok", "354 go"], refused_before=True)
    assert isinstance(talk.error, Abandon)
    assert (talk.error.error.code, talk.error.error.permanent) == ("EPROTOCOL", False)


# -- the connection ends --------------------------------------------------------------------------


def lost():
    return SMTPError("Connection lost", code="ECONNECTION", command="CONN")


@pytest.mark.parametrize("early", [[], ["503 wait"], ["250 ok", "503 wait"], ["250 ok"]])
def test_a_connection_that_ends_before_anything_is_known(early):
    end = lost()
    talk = ride(Unanswered(end, [reply(text) for text in early]))
    assert talk.error is end
    assert (end.permanent, end.rejected) == (False, None)


def test_a_connection_that_ends_after_a_refusal_that_is_none():
    end = lost()
    talk = ride(Unanswered(end, [reply("550 nested")]), refused_before=True)
    assert talk.error is end
    assert not end.permanent


def test_a_connection_that_ends_after_a_refusal():
    talk = ride(Unanswered(lost(), [reply("550 no")]))
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")
    talk = ride(Unanswered(lost(), [reply("250 ok"), reply("550 b")]))
    assert talk.error.rejected == ["b@x.org"]


# -- QUIT -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["221 bye", "503 wait", "250 ok"])
def test_quit_rides_likewise(answer):
    session = desk_with().session
    session.ahead = quit_ahead(session)
    talk = Talk(quit_session(session), [answer])
    assert talk.said == [["QUIT"]]
    assert talk.steps[0].said
    assert talk.error is None
    assert session.ahead == []
