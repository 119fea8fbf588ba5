"""How recipients are judged, and what errors report of them."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.steps import Unanswered
from tests.support.desk import Answers, Desk
from tests.support.helpers import failed, reply

DOUBT = "the message had been sent to its end, so it may have been accepted"

TWO = ("b@x.org", "c@x.org")


def test_some_recipients_are_refused(answers):
    talk = answers.send("250 ok", ["550 b", "250 ok"], "354 go", ["250 queued"], to=TWO)
    info = talk.value
    assert (info.accepted, info.rejected) == (["c@x.org"], ["b@x.org"])
    (error,) = info.rejectedErrors
    assert (error.code, error.command, error.recipient) == ("EENVELOPE", "RCPT TO", "b@x.org")
    assert str(error) == "Recipient refused: 550 b"
    assert told(info) == [("b@x.org", False, 550, "b"), ("c@x.org", True, 250, "ok")]


def told(info):
    """Return what ``info`` says of each recipient."""
    return [(each.address, each.accepted, each.code, each.text) for each in info.recipients]


def test_the_same_address_twice_has_two_verdicts(answers):
    """In the order of the envelope, which an address alone would not tell."""
    talk = answers.send(
        "250 ok", ["250 2.1.5 b", "452 4.5.3 enough"], "354 go", ["250 queued"], to=["b@x.org"] * 2
    )
    first, second = talk.value.recipients
    assert (first.accepted, first.enhancedCode, first.text) == (True, "2.1.5", "b")
    assert (second.accepted, second.enhancedCode, second.text) == (False, "4.5.3", "enough")


@pytest.mark.parametrize(
    ("replies", "spokesman"),
    [
        (["550 b", "551 c"], "551 c"),
        (["450 b", "551 c"], "450 b"),
        (["550 b", "451 c"], "451 c"),
        (["450 b", "451 c"], "450 b"),
        (["400 b", "551 c"], "400 b"),
        (["399 b", "551 c"], "551 c"),
        (["499 b", "551 c"], "499 b"),
        (["500 b", "551 c"], "551 c"),
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


# -- the final reply ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("final", "in_doubt"),
    [
        ("354 go", True),
        ("399 what?", True),
        ("400 later", False),
        ("499 later", False),
        ("500 no", False),
        ("599 no", False),
        ("600 what?", True),
        ("999 what?", True),
        ("what?", True),
    ],
)
def test_only_4xx_and_5xx_refuse_a_message(answers, final, in_doubt):
    """Any other reply that is not 2xx leaves open what became of it."""
    talk = answers.send("250 ok", ["250 ok"], "354 go", [final])
    failed(talk, "EMESSAGE", "DATA", f"Message failed: {final}")
    assert talk.error.inDoubt is in_doubt


def test_a_refused_message_names_the_recipients_that_were_refused_before(answers):
    talk = answers.send("250 ok", ["550 b", "250 ok"], "354 go", ["554 spam"], to=TWO)
    failed(talk, "EMESSAGE", "DATA", "Message failed: 554 spam")
    assert talk.error.rejected == ["b@x.org"]
    assert [str(error) for error in talk.error.rejectedErrors] == ["Recipient refused: 550 b"]


def test_a_refused_message_names_nobody_if_nobody_was_refused_before(answers):
    talk = answers.send("250 ok", ["250 ok"], "354 go", ["554 spam"])
    assert (talk.error.rejected, talk.error.rejectedErrors) == (None, None)


def lost(response=None):
    return SMTPError("Connection lost", code="ECONNECTION", command="CONN", response=response)


def test_a_message_without_a_final_reply_is_in_doubt(answers):
    end = Unanswered(lost(), [])
    talk = answers.send("250 ok", ["250 ok", "550 c"], "354 go", end, to=TWO)
    assert talk.error is end.error
    failed(talk, "ECONNECTION", "CONN", f"Connection lost ({DOUBT})")
    assert talk.error.inDoubt
    assert talk.error.rejected == ["c@x.org"]
    assert [error.recipient for error in talk.error.rejectedErrors] == ["c@x.org"]


def test_a_message_is_not_in_doubt_if_the_server_s_last_words_are_a_refusal(answers):
    talk = answers.send("250 ok", ["250 ok"], "354 go", Unanswered(lost("421 bye"), []))
    failed(talk, "ECONNECTION", "CONN", "Connection lost: 421 bye")
    assert not talk.error.inDoubt


# -- a connection that ends before DATA is answered -----------------------------------------------


def cut_off(pipelining, *replies, response=None):
    """Send to two; the connection ends after ``replies``, those to MAIL and to each RCPT."""
    answers = Answers(pipelining)
    there = [reply(text) for text in replies]
    end = Unanswered(lost(response), there if pipelining else [])
    earlier = [] if pipelining else replies
    talk = answers.desk.send(*earlier, end, to=TWO)
    return talk, end.error


def test_a_refusal_stays_with_its_recipient_when_the_connection_ends(pipelining):
    """Whoever sends the message again can leave out those who were refused for good."""
    talk, error = cut_off(pipelining, "250 ok", "550 b")
    assert talk.error is error
    failed(talk, "ECONNECTION", "CONN", "Connection lost")
    assert not error.permanent
    assert not error.inDoubt
    assert error.rejected == ["b@x.org"]
    (refusal,) = error.rejectedErrors
    assert (refusal.recipient, refusal.code, refusal.permanent) == ("b@x.org", "EENVELOPE", True)


def test_a_connection_that_ends_before_anybody_is_refused(pipelining):
    talk, error = cut_off(pipelining, "250 ok", "250 b")
    assert talk.error is error
    assert error.rejected is None


def test_nothing_is_known_if_the_connection_ends_before_mail_is_answered(pipelining):
    talk, error = cut_off(pipelining)
    assert talk.error is error
    assert error.rejected is None


def test_a_refused_sender_stays_refused_when_the_connection_ends():
    talk, _ = cut_off(True, "550 no")
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")
    assert talk.error.permanent


def test_recipients_who_are_all_refused_stay_refused_when_the_connection_ends():
    talk, _ = cut_off(True, "250 ok", "550 b", "551 c")
    failed(talk, "EENVELOPE", "RCPT TO", "All recipients were refused: 551 c")
    assert talk.error.permanent
    assert talk.error.rejected == [*TWO]


def test_a_connection_that_ends_after_the_reply_to_a_reset():
    desk = Desk("PIPELINING")
    desk.session.transaction_open = True
    replies = [reply(text) for text in ("250 reset", "250 ok", "250 b", "550 c")]
    talk = desk.send(Unanswered(lost(), replies), to=TWO)
    assert talk.error.rejected == ["c@x.org"]


def test_a_connection_that_ends_after_a_reset_that_was_refused():
    """So that MAIL came at a wrong time: its refusal is not about the sender."""
    desk = Desk("PIPELINING")
    desk.session.transaction_open = True
    end = Unanswered(lost(), [reply(text) for text in ("500 never", "503 nested", "250 b")])
    talk = desk.send(end, to=TWO)
    assert talk.error is end.error
    assert (talk.error.permanent, talk.error.rejected) == (False, None)


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
    assert told(info) == [
        ("b@x.org", True, 250, "b is fine"),
        ("c@x.org", False, 550, "c"),
        ("d@x.org", False, 452, "d is full"),
    ]


def test_lmtp_where_all_are_refused_in_the_end(answers):
    talk = lmtp(answers, "552 b is full", "452 d is full")
    failed(talk, "EMESSAGE", "DATA", "Message failed for every recipient: 452 d is full")
    assert talk.error.rejected == ["c@x.org", "b@x.org", "d@x.org"]
    assert len(talk.error.rejectedErrors) == 3
    assert answers.desk.session.transaction_open, "Cyrus keeps it"


@pytest.mark.parametrize("final", [["250 b", "452 d"], ["552 b", "250 d"]])
def test_lmtp_where_one_is_refused_in_the_end_leaves_the_transaction_open(answers, final):
    talk = lmtp(answers, *final)
    assert len(talk.value.accepted) == 1
    assert answers.desk.session.transaction_open


def test_lmtp_where_all_are_accepted(answers):
    talk = lmtp(answers, "250 b", "250 c", "250 d", rcpts=["250 ok"] * 3)
    assert talk.value.accepted == [*THREE]
    assert not answers.desk.session.transaction_open


def test_lmtp_a_refused_recipient_leaves_no_transaction_if_the_others_get_the_message(answers):
    talk = lmtp(answers, "250 b", "250 d")
    assert talk.value.rejected == ["c@x.org"]
    assert not answers.desk.session.transaction_open


@pytest.mark.parametrize(
    ("final", "in_doubt"), [("399 d", True), ("400 d", False), ("599 d", False), ("600 d", True)]
)
def test_lmtp_only_4xx_and_5xx_refuse_a_message(answers, final, in_doubt):
    talk = lmtp(answers, "552 b is full", final)
    text = f" ({DOUBT})" if in_doubt else ""
    failed(talk, "EMESSAGE", "DATA", f"Message failed for every recipient: {final}{text}")
    assert talk.error.inDoubt is in_doubt
    assert [error.inDoubt for error in talk.error.rejectedErrors] == [False, False, in_doubt]


def test_lmtp_where_final_replies_are_missing(answers):
    end = Unanswered(lost(), [reply("250 b is fine")])
    answers.desk.session.lmtp = True
    talk = answers.send("250 ok", ["250 ok"] * 3, "354 go", end, to=THREE)
    info = talk.value
    assert (info.accepted, info.rejected) == (["b@x.org"], ["c@x.org", "d@x.org"])
    assert [str(error) for error in info.rejectedErrors] == [
        f"No final reply for c@x.org ({DOUBT})",
        f"No final reply for d@x.org ({DOUBT})",
    ]
    assert [error.inDoubt for error in info.rejectedErrors] == [True, True]
    assert info.response == "250 b is fine"
    assert told(info) == [
        ("b@x.org", True, 250, "b is fine"),
        ("c@x.org", False, None, ""),
        ("d@x.org", False, None, ""),
    ]


def test_lmtp_last_words_are_what_the_server_said_of_the_next_recipient(answers):
    end = Unanswered(lost("450 later"), [reply("250 b is fine")])
    answers.desk.session.lmtp = True
    talk = answers.send("250 ok", ["250 ok"] * 3, "354 go", end, to=THREE)
    assert told(talk.value)[1:] == [("c@x.org", False, 450, "later"), ("d@x.org", False, None, "")]


def test_lmtp_the_server_s_last_words_are_about_the_next_recipient(answers):
    end = Unanswered(lost("421 bye"), [reply("552 b is full")])
    answers.desk.session.lmtp = True
    talk = answers.send("250 ok", ["250 ok"] * 3, "354 go", end, to=THREE)
    assert talk.error is end.error
    failed(talk, "ECONNECTION", "CONN", f"Connection lost: 421 bye ({DOUBT})")
    assert [str(error) for error in talk.error.rejectedErrors] == [
        "Message failed for b@x.org: 552 b is full",
        "No final reply for c@x.org: 421 bye",
        f"No final reply for d@x.org ({DOUBT})",
    ]
    assert [error.inDoubt for error in talk.error.rejectedErrors] == [False, False, True]
    assert [error.code for error in talk.error.rejectedErrors] == ["EMESSAGE"] + 2 * ["ECONNECTION"]
    assert talk.error.rejected == [*THREE]
