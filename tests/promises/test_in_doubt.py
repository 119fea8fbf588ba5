"""Whether a message may have been accepted although nobody heard so, and whether to try again."""

from __future__ import annotations

import threading

import pytest

from smtp_connection import SMTPError
from tests.support.helpers import check_error_of_another
from tests.support.sessions import ENVELOPE, TO_TWO

ONE = {"from": "a@example.com", "to": ["b@example.com"]}
TO_THREE = {"from": "a@example.com", "to": ["b@example.com", "c@example.com", "d@example.com"]}

MOMENTS = ["220 ready", "250 scripted", "250 ok", "250 ok", "354 go"]
HINT = "the message had been sent to its end, so it may have been accepted"


@pytest.fixture
def at_the_verdict(by_hand, diary):
    """A connection whose server owes the verdict on a message; another message is queued."""

    def make(envelope=ONE, **options):
        connection, peer = by_hand(**options)
        connection.connect()
        connection.send(envelope, "hi", diary.callback("sent"))
        connection.send(envelope, "ho", diary.callback("later"))
        for reply in (*MOMENTS[:2], *["250 ok"] * (1 + len(envelope["to"])), "354 go"):
            peer.feed(f"{reply}\r\n")
        assert peer.heard().endswith(b"hi\r\n.\r\n")
        return connection, peer

    return make


def hang_up(connection, peer):
    peer.hang_up()


def fall_silent(connection, peer):
    connection.reactor._clock.ahead += 3600
    peer.settle()


def close_ours(connection, peer):
    connection.close()
    peer.settle()


def break_off(connection, peer):
    peer.feed("250 2.0.0 queu")
    peer.hang_up()


def overflow(connection, peer):
    peer.feed("250-" + "x" * 2_000)


ENDINGS = [hang_up, fall_silent, close_ours, break_off, overflow]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_connection_that_ends_before_the_verdict(at_the_verdict, diary, ending):
    connection, peer = at_the_verdict(maxResponseSize=1_000)
    ending(connection, peer)

    err = diary.error("sent")
    assert (err.inDoubt, err.permanent) == (True, False)
    assert err.message.endswith(f"({HINT})")
    if ending is not close_ours:
        assert diary.error() is err


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_message_that_was_not_begun_is_not_in_doubt(at_the_verdict, diary, ending):
    connection, peer = at_the_verdict(maxResponseSize=1_000)
    ending(connection, peer)

    later = diary.error("later")
    assert (later.inDoubt, later.permanent) == (False, False)
    assert HINT not in later.message
    assert later.code == diary.error("sent").code


def test_without_a_callback_the_error_event_tells_of_the_doubt(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi")
    for reply in MOMENTS:
        peer.feed(f"{reply}\r\n")
    connection.close()
    peer.settle()
    assert diary.error().inDoubt


@pytest.mark.parametrize("last_words", ["550 no", "451-4.3.0 later\r\n451 4", "421 4.3.2 bye\r\n"])
def test_a_refusal_removes_the_doubt_even_if_it_is_cut_off(at_the_verdict, diary, last_words):
    _, peer = at_the_verdict()
    peer.feed(last_words)
    peer.hang_up()

    err = diary.error("sent")
    assert not err.inDoubt
    assert err.responseCode == int(last_words[:3])
    assert err.permanent == last_words.startswith("5")


@pytest.mark.parametrize("reply", ["what?", "354 go on", "999 beyond", "100 wait"])
def test_a_verdict_that_is_none_leaves_it_in_doubt(at_the_verdict, diary, reply):
    _, peer = at_the_verdict()
    peer.feed(f"{reply}\r\n")
    err = diary.error("sent")
    assert (err.code, err.inDoubt, err.permanent) == ("EMESSAGE", True, False)
    assert err.response == reply


@pytest.mark.parametrize("answered", range(len(MOMENTS)))
def test_nothing_is_in_doubt_before_the_message(by_hand, diary, answered):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    for reply in MOMENTS[:answered]:
        peer.feed(f"{reply}\r\n")
    peer.hang_up()
    assert not diary.error("sent").inDoubt


def test_a_message_that_the_system_did_not_take_is_not_in_doubt(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    for reply in MOMENTS[:-1]:
        peer.feed(f"{reply}\r\n")
    peer.sock.send(b"354 go\r\n")
    peer.hang_up()  # the go-ahead is still read, and writing fails
    assert not diary.error("sent").inDoubt


def test_a_message_of_which_the_system_took_a_part_is_not_in_doubt(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, b"x" * 10_000_000, diary.callback("sent"))
    for reply in MOMENTS:
        peer.feed(f"{reply}\r\n")
    assert peer.heard()
    peer.hang_up()
    assert not diary.error("sent").inDoubt


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("surplus", ["what?", "250 already", "550 no"])
def test_what_comes_with_the_go_ahead_keeps_the_message_back(by_hand, diary, lmtp, surplus):
    connection, peer = by_hand(lmtp=lmtp)
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    for reply in MOMENTS[:-1]:
        peer.feed(f"{reply}\r\n")
    peer.feed(f"354 go\r\n{surplus}\r\n")

    assert peer.heard().endswith(b"DATA\r\n")
    err = diary.error("sent")
    assert (err.code, err.response, err.inDoubt) == ("EPROTOCOL", surplus, False)
    assert err.rejected is None


def test_a_reply_too_large_behind_the_go_ahead_keeps_the_message_back(by_hand, diary):
    connection, peer = by_hand(maxResponseSize=1_000)
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    for reply in MOMENTS[:-1]:
        peer.feed(f"{reply}\r\n")
    peer.feed("354 go\r\n250-" + "x" * 2_000)

    assert peer.heard().endswith(b"DATA\r\n")
    err = diary.error("sent")
    assert (err.code, err.inDoubt) == ("EPROTOCOL", False)


def test_a_verdict_counts_that_comes_with_a_reply_too_large(at_the_verdict, diary):
    _, peer = at_the_verdict(maxResponseSize=1_000)
    peer.feed("250 queued\r\n250-" + "x" * 2_000)

    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.response == "250 queued"
    check_error_of_another(diary.error("later"), diary.error())
    assert (diary.error().code, diary.error().inDoubt) == ("EPROTOCOL", False)


def test_a_refusal_that_arrives_before_close_is_carried_out_counts(at_the_verdict, diary):
    connection, peer = at_the_verdict()

    def close_and_answer():
        another_thread = threading.Thread(target=connection.close)
        another_thread.start()
        another_thread.join()
        peer.sock.sendall(b"421 4.3.2 bye\r\n")

    connection.reactor.call_soon(close_and_answer)
    peer.settle()

    err = diary.error("sent")
    assert (err.code, err.responseCode, err.inDoubt) == ("ECONNECTION", 421, False)
    assert diary.names() == ["connect", "sent", "later", "end"]


@pytest.mark.parametrize("last_words", ["550 no", "550 no\r\n550 and nothing else either\r\n"])
def test_a_message_that_was_not_begun_is_not_refused(at_the_verdict, diary, last_words):
    _, peer = at_the_verdict()
    peer.feed(last_words)
    peer.hang_up()

    assert diary.error("sent").permanent
    later = diary.error("later")
    assert (later.permanent, later.inDoubt, later.response) == (False, False, None)
    assert later.__cause__ is diary.error()


def test_those_who_were_refused_before_are_not_in_doubt(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(TO_TWO, "hi", diary.callback("sent"))
    for reply in ("220 ready", "250 scripted", "250 ok", "550 unknown", "250 ok", "354 go"):
        peer.feed(f"{reply}\r\n")
    peer.hang_up()
    err = diary.error("sent")
    assert err.inDoubt
    assert err.rejected == ["b@example.com"]
    assert [(each.inDoubt, each.permanent) for each in err.rejectedErrors] == [(False, True)]


# -- LMTP: a verdict for each ----------------------------------------------------------------------


def test_lmtp_those_who_were_accepted_have_been(at_the_verdict, diary):
    _, peer = at_the_verdict(TO_THREE, lmtp=True)
    peer.feed("550 5.2.2 full\r\n250 stored\r\n")
    peer.hang_up()

    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.accepted == [TO_THREE["to"][1]]
    assert info.rejected == [TO_THREE["to"][0], TO_THREE["to"][2]]
    assert [(each.recipient, each.inDoubt, each.permanent) for each in info.rejectedErrors] == [
        (TO_THREE["to"][0], False, True),
        (TO_THREE["to"][2], True, False),
    ]
    assert info.response == "250 stored"
    # The connection did end all the same.
    assert diary.names() == ["connect", "error", "sent", "later", "end"]
    assert not diary.error().inDoubt
    check_error_of_another(diary.error("later"), diary.error())


def test_lmtp_nobody_was_accepted_for_sure(at_the_verdict, diary):
    _, peer = at_the_verdict(TO_TWO, lmtp=True)
    peer.feed("550 5.2.2 full\r\n")
    peer.hang_up()

    err = diary.error("sent")
    assert (err.code, err.inDoubt, err.permanent) == ("ECONNECTION", True, False)
    assert err.rejected == TO_TWO["to"]
    assert [each.inDoubt for each in err.rejectedErrors] == [False, True]
    assert err.message.count(HINT) == 1


@pytest.mark.parametrize("last_words", ["421 4.3.2 bye\r\n", "452 4.2"])
def test_lmtp_a_last_refusal_is_about_whose_turn_it_was(at_the_verdict, diary, last_words):
    _, peer = at_the_verdict(TO_THREE, lmtp=True)
    peer.feed("250 stored\r\n")
    peer.feed(last_words)
    peer.hang_up()

    ((_, info),) = diary.of("sent")
    assert [(each.responseCode, each.inDoubt) for each in info.rejectedErrors] == [
        (int(last_words[:3]), False),
        (None, True),
    ]


def test_lmtp_verdicts_count_that_come_with_a_reply_too_large(at_the_verdict, diary):
    _, peer = at_the_verdict(TO_THREE, lmtp=True, maxResponseSize=1_000)
    peer.feed("250 stored\r\n550 5.2.2 full\r\n250-" + "x" * 2_000)

    ((_, info),) = diary.of("sent")
    assert info.accepted == TO_THREE["to"][:1]
    assert [(each.responseCode, each.inDoubt) for each in info.rejectedErrors] == [
        (550, False),
        (None, True),
    ]


def test_lmtp_a_callback_that_tells_of_success_has_not_heard_the_error(by_hand, diary):
    """Nobody listens to ``'error'``, so that the end of the connection leaves ``run()``."""
    connection, peer = by_hand(lmtp=True, errors=False)
    connection.connect()
    connection.send(TO_TWO, "hi", diary.callback("sent"))
    for reply in (*MOMENTS[:-1], "250 ok", "354 go", "250 stored"):
        peer.feed(f"{reply}\r\n")
    assert peer.heard().endswith(b"hi\r\n.\r\n")
    with pytest.raises(SMTPError) as raised:
        peer.hang_up()

    assert raised.value.code == "ECONNECTION"
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.rejectedErrors[0].inDoubt


def test_lmtp_a_verdict_that_is_none(at_the_verdict, diary):
    _, peer = at_the_verdict(TO_TWO, lmtp=True)
    peer.feed("550 5.2.2 full\r\nwhat?\r\n")
    err = diary.error("sent")
    assert (err.inDoubt, err.permanent) == (True, False)
    assert [each.inDoubt for each in err.rejectedErrors] == [False, True]


# -- whether to try again --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (SMTPError("refused", code="EENVELOPE", response="550 no such user"), True),
        (SMTPError("refused", code="EAUTH", response="535 wrong"), True),
        (SMTPError("refused", code="EENVELOPE", response="450 greylisted"), False),
        (SMTPError("refused", code="EMESSAGE", response="what?"), False),
        (SMTPError("invalid recipient", code="EENVELOPE"), True),
        (SMTPError("empty", code="EMESSAGE"), True),
        (SMTPError("not over TLS", code="EREQUIRETLS"), True),
        (SMTPError("the source failed", code="ESTREAM"), False),
        (SMTPError("lost", code="ECONNECTION"), False),
        (SMTPError("too slow", code="ETIMEDOUT"), False),
        (SMTPError("not to be trusted", code="ETLS"), False),
        (SMTPError("no credentials", code="EAUTH"), False),
    ],
)
def test_permanent(error, permanent):
    assert error.permanent is permanent


def test_one_temporary_refusal_makes_all_worth_another_try(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(TO_TWO, "hi", diary.callback("sent"))
    for reply in ("220 ready", "250 scripted", "250 ok", "550 unknown", "450 greylisted"):
        peer.feed(f"{reply}\r\n")
    err = diary.error("sent")
    assert not err.permanent
    assert [each.permanent for each in err.rejectedErrors] == [True, False]
