"""A message for more recipients than the server takes at once, fed by hand."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.message.message import Message
from smtp_connection.protocol.capabilities import Capabilities
from smtp_connection.protocol.parts import parts_of
from smtp_connection.protocol.steps import Abandon, Ended, TooEarly, Unanswered
from tests.support.desk import Answers, Desk
from tests.support.helpers import failed, reply

FIVE = [f"{letter}@x.org" for letter in "bcdef"]
OF_TWO = "LIMITS RCPTMAX=2"


def limits(text):
    return Capabilities(reply(f"250-mx\r\n250 LIMITS {text}"))


@pytest.mark.parametrize(
    ("text", "recipients", "parts"),
    [
        ("RCPTMAX=2", FIVE, [[0, 1], [2, 3], [4]]),
        ("RCPTMAX=5", FIVE, [[0, 1, 2, 3, 4]]),
        ("RCPTMAX=1", FIVE[:2], [[0], [1]]),
        ("RCPTDOMAINMAX=1", ["a@x", "b@y", "c@X", "d@y"], [[0, 2], [1, 3]]),
        ("RCPTDOMAINMAX=2", ["a@x", "b@y", "c@z", "d@x"], [[0, 3, 1], [2]]),
        ("RCPTDOMAINMAX=1 RCPTMAX=2", ["a@x", "b@x", "c@x", "d@y", "e@x"], [[0, 1], [2, 4], [3]]),
        ("RCPTDOMAINMAX=1", ["postmaster", "a@x"], [[0], [1]]),
        ("MAILMAX=1", FIVE, [[0, 1, 2, 3, 4]]),
    ],
)
def test_the_parts(text, recipients, parts):
    assert parts_of(recipients, limits(text)) == parts


@pytest.fixture(params=[False, True], ids=["step by step", "pipelined"])
def answers(request, reactor):
    made = Answers(request.param, OF_TWO)
    made.desk.message = Message("hello", reactor)
    return made


class Script:
    """What the server answers to the transactions one after another."""

    def __init__(self, answers):
        self._pipelining = answers.pipelining
        self.answers = []

    def part(self, *rcpts, final="250 2.0.0 queued", mail="250 ok", data="354 go", rset=False):
        """Answer one transaction; ``final`` may be an exception; ``None`` says that there is no
        message."""
        envelope = [*["250 reset"] * rset, mail, *rcpts]
        if self._pipelining:
            self.answers.append([*envelope, data])
        else:
            self.answers += [*envelope, *([data] if final is not None else [])]
        if final is not None:
            self.answers.append([final] if isinstance(final, str) else final)
        return self


@pytest.fixture
def script(answers):
    return Script(answers)


def send(answers, script, to=FIVE, **envelope):
    return answers.desk.send(*script.answers, to=to, **envelope)


OK2, OK1 = ("250 2.1.5 ok", "250 2.1.5 ok"), ("250 2.1.5 ok",)
NO_DATA = "503 no valid recipients"


NOT_SENT = "Not sent to {}, because of the transaction before"


def verdicts(told):
    """Which of the recipients ``told`` has got the message, and what the others are told."""
    return (told.accepted, [(each.recipient, str(each)) for each in told.rejectedErrors])


def test_results_are_merged(answers, script):
    script.part(*OK2, final="250 2.0.0 one").part("250 ok", "550 5.1.1 e", final="250 2.0.0 two")
    script.part(*OK1, final="250 2.0.0 three")
    talk = send(answers, script)
    info = talk.value
    assert info.accepted == ["b@x.org", "c@x.org", "d@x.org", "f@x.org"]
    assert info.rejected == ["e@x.org"]
    assert [str(error) for error in info.rejectedErrors] == ["Recipient refused: 550 5.1.1 e"]
    assert [(each.address, each.code) for each in info.recipients] == list(
        zip(FIVE, [250, 250, 250, 550, 250], strict=True)
    )
    assert (info.response, info.enhancedCode) == ("250 2.0.0 three", "2.0.0")
    sent = [step for step in talk.steps if type(step).__name__ == "Transmit"]
    wires = [step.message.next_wire() for step in sent]
    assert wires == [b"hello\r\n.\r\n"] * 3
    assert answers.desk.session.mails == 3
    assert not answers.desk.session.transaction_open


def test_the_order_of_the_envelope_is_that_of_the_results(reactor):
    desk = Desk("PIPELINING", "LIMITS RCPTDOMAINMAX=1")
    desk.message = Message("hello", reactor)
    to = ["a@x", "b@y", "c@x", "d@y"]
    refusal = ["250 ok", "250 b", "550 d", "354 go"]
    taken = ["250 ok", "250 a", "250 c", "354 go"]
    info = desk.send(taken, ["250 one"], refusal, ["250 two"], to=to).value
    assert (info.accepted, info.rejected) == (["a@x", "b@y", "c@x"], ["d@y"])
    assert [each.text for each in info.recipients] == ["a", "b", "c", "d"]


def test_what_each_recipient_asks_for_goes_with_it(reactor):
    desk = Desk("PIPELINING", OF_TWO, "DSN")
    desk.message = Message("hello", reactor)
    to = ["b@x.org", "c@x.org", {"address": "d@x.org", "dsn": {"notify": "NEVER"}}]
    two, one = ["250 ok"] * 3 + ["354 go"], ["250 ok"] * 2 + ["354 go"]
    talk = desk.send(two, ["250 one"], one, ["250 two"], to=to)
    assert talk.said[2] == ["MAIL FROM:<a@x.org>", "RCPT TO:<d@x.org> NOTIFY=NEVER", "DATA"]


def test_within_the_limit_there_is_one_transaction(answers, script):
    talk = send(answers, script.part(*OK2), to=FIVE[:2])
    assert answers.desk.session.mails == 1
    assert talk.value.accepted == FIVE[:2]


# -- refusals -------------------------------------------------------------------------------------


def test_a_part_that_is_refused_does_not_keep_the_others_from_getting_it(answers, script):
    script.part("550 b", "551 c", data=NO_DATA, final=None).part(*OK2, rset=True).part(*OK1)
    told = send(answers, script).value
    assert told.accepted == FIVE[2:]
    assert told.rejected == FIVE[:2]


def test_a_message_that_is_refused_is_not_sent_again(answers, script):
    """The server has judged it, and would judge the same."""
    talk = send(answers, script.part(*OK2).part(*OK2, final="554 5.7.1 spam"))
    assert verdicts(talk.value) == (
        FIVE[:2],
        [
            ("d@x.org", "Message failed: 554 5.7.1 spam"),
            ("e@x.org", "Message failed: 554 5.7.1 spam"),
            ("f@x.org", f"{NOT_SENT.format('f@x.org')}: Message failed: 554 5.7.1 spam"),
        ],
    )
    assert [error.permanent for error in talk.value.rejectedErrors] == [True] * 3
    assert [each.code for each in talk.value.recipients] == [250] * 4 + [None]


def test_a_sender_who_is_refused_in_the_first_part_is_refused(answers, script):
    data = [NO_DATA] * answers.pipelining
    refused = Script(answers)
    refused.part(*["503 no"] * (2 * answers.pipelining), mail="550 no", data=NO_DATA, final=None)
    talk = send(answers, refused)
    failed(talk, "EENVELOPE", "MAIL FROM", "Sender refused: 550 no")
    assert talk.error.rejected is None
    assert data == [NO_DATA] * answers.pipelining


def test_a_sender_who_is_refused_later(answers, script):
    script.part(*OK2)
    script.part(*["503 no"] * (2 * answers.pipelining), mail="452 later", data=NO_DATA, final=None)
    info = send(answers, script).value
    assert info.accepted == FIVE[:2]
    assert [error.responseCode for error in info.rejectedErrors[-1:]] == [452]
    assert not any(error.permanent for error in info.rejectedErrors[-1:])


def test_nobody_gets_it(answers, script):
    script.part("550 b", "550 c", data=NO_DATA, final=None)
    script.part("450 d", "550 e", data=NO_DATA, final=None, rset=True)
    script.part("550 f", data=NO_DATA, final=None, rset=True)
    talk = send(answers, script)
    failed(talk, "EENVELOPE", "RCPT TO", "All recipients were refused: 450 d")
    assert talk.error.rejected == FIVE
    assert [error.responseCode for error in talk.error.rejectedErrors] == [550, 550, 450, 550, 550]


def test_a_message_that_can_be_read_only_once_is_refused_before_anything_is_said(answers, reactor):
    answers.desk.message = Message(iter(["hello"]), reactor)
    talk = answers.desk.send(to=FIVE)
    text = "the server takes at most 2 of these 5 recipients for one message (LIMITS)"
    failed(talk, "EENVELOPE", "RCPT TO", f"{text}, and this message can be read only once")


def test_what_is_too_large_is_refused_before_anything_is_said(reactor):
    desk = Desk(OF_TWO, "SIZE 3")
    desk.message = Message("hello", reactor)
    talk = desk.send(to=FIVE)
    assert (talk.said, talk.error.code) == ([], "EMESSAGE")


# -- the connection ends --------------------------------------------------------------------------


def lost(response=None):
    return SMTPError("Connection lost", code="ECONNECTION", command="CONN", response=response)


@pytest.mark.parametrize("how", ["in the envelope", "in the message", "before the verdict"])
def test_what_was_accepted_before_the_connection_ended_counts(answers, script, how):
    """Whoever sent it to all of them again would send it twice to some."""
    script.part(*OK2)
    end = lost()
    if how == "in the envelope":
        script.answers.append(Unanswered(end, []))
    elif how == "in the message":
        script.part(*OK2, final=Ended(end))
    else:
        script.part(*OK2, final=Unanswered(end, []))
    info = send(answers, script).value
    assert info.accepted == FIVE[:2]
    assert info.rejected == FIVE[2:]
    doubt = how == "before the verdict"
    assert [error.inDoubt for error in info.rejectedErrors] == [doubt, doubt, False]
    assert [error.code for error in info.rejectedErrors] == ["ECONNECTION"] * 3
    assert not any(error.permanent for error in info.rejectedErrors)
    last = info.rejectedErrors[2]
    assert str(last).startswith(f"{NOT_SENT.format('f@x.org')}: Connection lost")


def test_lmtp_where_the_connection_ends_in_the_first_part(answers, script):
    answers.desk.session.lmtp = True
    script.part(*OK2, final=Unanswered(lost(), [reply("250 b")]))
    info = send(answers, script).value
    assert info.accepted == ["b@x.org"]
    assert [error.inDoubt for error in info.rejectedErrors] == [True, False, False, False]


def test_a_connection_that_ends_in_the_first_part(answers, script):
    end = lost()
    script.part(*OK2, final=Unanswered(end, []))
    talk = send(answers, script)
    assert talk.error is end
    assert end.inDoubt
    assert end.rejected == FIVE
    assert [error.inDoubt for error in end.rejectedErrors] == [True, True, False, False, False]


@pytest.mark.parametrize("end", [Unanswered, Ended])
def test_a_connection_that_ends_before_anything_is_known(answers, end):
    failure = lost()
    arguments = (failure, []) if end is Unanswered else (failure,)
    if end is Ended:
        with pytest.raises(Ended) as caught:
            answers.desk.send(end(*arguments), to=FIVE)
        assert caught.value.error is failure
    else:
        talk = answers.desk.send(end(*arguments), to=FIVE)
        assert talk.error is failure
        assert failure.rejected is None


def test_a_verdict_before_the_end_of_the_message_ends_the_connection(answers, script):
    script.part(*OK2).part(*OK2, final=TooEarly(reply("552 too much")))
    talk = send(answers, script)
    assert isinstance(talk.error, Abandon)
    assert str(talk.error) == "Message failed: 552 too much"
    assert talk.error.value.accepted == FIVE[:2]
    assert talk.error.value.rejected == FIVE[2:]


def test_a_verdict_before_the_end_of_the_message_in_the_first_part(answers, script):
    talk = send(answers, script.part(*OK2, final=TooEarly(reply("552 too much"))))
    assert isinstance(talk.error, Abandon)
    assert talk.error.value is None
    assert talk.error.error.rejected == FIVE


# -- a session with an end ------------------------------------------------------------------------


def test_a_session_that_takes_fewer_transactions(reactor):
    desk = Desk("PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=2")
    desk.message = Message("hello", reactor)
    two = ["250 ok"] * 3 + ["354 go"]
    talk = desk.send(two, ["250 one"], two, ["250 two"], to=FIVE)
    assert talk.value.accepted == FIVE[:4]
    (error,) = talk.value.rejectedErrors
    assert (error.code, error.recipient, error.permanent) == ("ECONNECTION", "f@x.org", False)
    assert "at most 2 messages in a session (LIMITS MAILMAX)" in str(error)
    assert desk.session.is_full
