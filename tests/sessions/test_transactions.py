"""Messages on a connection: what is said, who is refused, and what is left for the next message."""

from __future__ import annotations

import email
import inspect
import io
import os
import socket

import pytest
from pyee import EventEmitter

from tests.support.sessions import ENVELOPE, PASSWORD, TO_TWO

TO_THREE = {"from": "a@example.com", "to": ["b@example.com", "c@example.com", "d@example.com"]}
MESSAGE = b"hi\r\n"


@pytest.fixture(params=[False, True], ids=["step by step", "pipelined"])
def pipelining(request):
    return request.param


@pytest.fixture
def send(serve, connect_to, reactor, diary):
    """Send messages, given as (envelope, content), to a server that does ``script`` after EHLO,
    then quit; return the connection."""

    def run(script, *messages, extensions=(), **options):
        verb = "LHLO" if options.get("lmtp") else "EHLO"

        def whole_script(peer):
            peer.greet(*extensions, verb=verb)
            script(peer)
            peer.take_quit()

        connection = connect_to(serve(whole_script), **options)

        def connected():
            for envelope, content in messages:
                connection.send(envelope, content, diary.callback("sent"))
            connection.quit()

        connection.connect(connected)
        reactor.run()
        assert diary.names() == ["connect", *["sent"] * len(messages), "end"]
        return connection

    return run


@pytest.fixture
def send_by(send, pipelining):
    """The same; the script gets a function that acts out the turns of an envelope."""

    def run(script, *messages, extensions=(), **options):
        def with_turns(peer):
            script(peer, lambda *turns: peer.play_envelope(*turns, pipelining=pipelining))

        extensions = [*extensions, "PIPELINING"] if pipelining else extensions
        return send(with_turns, *messages, extensions=extensions, **options)

    return run


def take(peer, turns, reply="250 queued"):
    """Accept one message for one recipient; ``turns`` acts out the envelope."""
    turns(("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"))
    assert peer.read_message() == MESSAGE
    peer.send(f"{reply}\r\n")


def facts(err):
    return (err.code, err.command, err.response, err.responseCode)


# -- who is refused --------------------------------------------------------------------------------


def test_some_recipients_are_refused_and_the_others_get_the_message(send_by, diary):
    def script(peer, turns):
        turns(
            ("MAIL FROM:<a@example.com>", "250 ok"),
            ("RCPT TO:<b@example.com>", "550 5.1.1 unknown"),
            ("RCPT TO:<c@example.com>", "251 will forward"),
            ("RCPT TO:<d@example.com>", "452 4.5.3 too many"),
            ("DATA", "354 go"),
        )
        assert peer.read_message() == MESSAGE
        peer.send("250 queued as 1\r\n")

    send_by(script, (TO_THREE, "hi"))
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.accepted == ["c@example.com"]
    assert info.rejected == ["b@example.com", "d@example.com"]
    assert info.response == "250 queued as 1"
    assert [(error.recipient, *facts(error)) for error in info.rejectedErrors] == [
        ("b@example.com", "EENVELOPE", "RCPT TO", "550 5.1.1 unknown", 550),
        ("d@example.com", "EENVELOPE", "RCPT TO", "452 4.5.3 too many", 452),
    ]


@pytest.mark.parametrize(
    ("replies", "spokesman"),
    [
        (["550 b", "551 c"], "551 c"),
        (["450 b", "551 c"], "450 b"),
        (["nonsense", "354 neither"], "354 neither"),
    ],
)
def test_all_recipients_are_refused(send_by, pipelining, diary, replies, spokesman):
    def script(peer, turns):
        refusals = [("RCPT", reply) for reply in replies]
        turns(("MAIL", "250 ok"), *refusals, *[("DATA", "503 no")] * pipelining)

    send_by(script, (TO_TWO, "hi"))
    err = diary.error("sent")
    assert (err.code, err.command, err.response) == ("EENVELOPE", "RCPT TO", spokesman)
    assert err.rejected == TO_TWO["to"]
    assert [error.recipient for error in err.rejectedErrors] == TO_TWO["to"]
    assert [error.response for error in err.rejectedErrors] == replies


def test_the_sender_is_refused(send_by, pipelining, diary):
    def script(peer, turns):
        turns(("MAIL", "553 5.1.8 no"), *[("RCPT", "503 no"), ("DATA", "503 no")] * pipelining)

    send_by(script, (ENVELOPE, "hi"))
    assert facts(diary.error("sent")) == ("EENVELOPE", "MAIL FROM", "553 5.1.8 no", 553)
    assert diary.error("sent").rejected is None


@pytest.mark.parametrize("refusal", ["451 4.3.0 no", "554 no", "100 what?", "nonsense"])
def test_data_is_refused(send_by, diary, refusal):
    def script(peer, turns):
        turns(("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", refusal))

    send_by(script, (ENVELOPE, "hi"))
    err = diary.error("sent")
    assert (err.code, err.command, err.response) == ("EENVELOPE", "DATA", refusal)


@pytest.mark.parametrize("go_ahead", ["354 go", "250 ok", "399 hm"])
def test_some_servers_take_data_with_another_reply(send_by, diary, go_ahead):
    def script(peer, turns):
        turns(("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", go_ahead))
        assert peer.read_message() == MESSAGE
        peer.send("250 queued\r\n")

    send_by(script, (ENVELOPE, "hi"))
    assert diary.of("sent")[0][0] is None


@pytest.mark.parametrize("refusal", ["451 4.7.1 later", "554-5.7.1 spam\r\n554 go away", "354 hm"])
def test_the_message_is_refused(send_by, diary, refusal):
    send_by(lambda peer, turns: take(peer, turns, refusal), (ENVELOPE, "hi"))
    err = diary.error("sent")
    text = refusal.replace("\r\n", "\n")
    assert facts(err) == ("EMESSAGE", "DATA", text, int(text[:3]))
    assert err.message.endswith(text)


@pytest.mark.parametrize("goodbye", ["", "421 4.7.0 too many errors\r\n"])
def test_a_refusal_stays_with_its_recipient_when_the_server_closes_after_it(
    serve, connect_to, reactor, diary, pipelining, goodbye
):
    def script(peer):
        peer.greet(*["PIPELINING"] * pipelining)
        peer.expect("MAIL", *["RCPT", "RCPT", "DATA"] * pipelining)
        peer.send("250 ok\r\n")
        peer.expect(*["RCPT"] * (not pipelining))
        peer.send("550 5.1.1 unknown\r\n")
        peer.expect(*["RCPT"] * (not pipelining))
        peer.send(goodbye)
        peer.close()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(TO_TWO, "hi", diary.callback("sent"))
    reactor.run()
    err = diary.error("sent")
    assert (err.code, err.permanent, err.inDoubt) == ("ECONNECTION", False, False)
    assert err.response == (goodbye.strip() or None)
    assert err.rejected == ["b@example.com"]
    assert [(one.recipient, one.permanent) for one in err.rejectedErrors] == [
        ("b@example.com", True)
    ]


# -- what is left for the next message -------------------------------------------------------------


def accepted(peer, turns, pipelining):
    take(peer, turns)


def sender_refused(peer, turns, pipelining):
    turns(("MAIL", "550 no"), *[("RCPT", "503 no"), ("DATA", "503 no")] * pipelining)


def recipients_refused(peer, turns, pipelining):
    turns(("MAIL", "250 ok"), ("RCPT", "550 no"), *[("DATA", "503 no")] * pipelining)


def data_refused(peer, turns, pipelining):
    turns(("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "451 no"))


def message_refused(peer, turns, pipelining):
    take(peer, turns, "554 spam")


@pytest.mark.parametrize(
    ("first", "reset"),
    [
        (accepted, False),
        (sender_refused, False),
        (recipients_refused, True),
        (data_refused, True),
        (message_refused, True),
    ],
)
def test_the_server_is_reset_exactly_if_it_holds_a_transaction(
    send_by, pipelining, diary, first, reset
):
    def script(peer, turns):
        first(peer, turns, pipelining)
        rset = [("RSET", "250 ok")] * reset
        turns(*rset, ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"))
        assert peer.read_message() == MESSAGE
        peer.send("250 queued\r\n")
        take(peer, turns)

    send_by(script, (ENVELOPE, "hi"), (ENVELOPE, "hi"), (ENVELOPE, "hi"))
    outcomes = [err is None for err, _ in diary.of("sent")]
    assert outcomes == [first is accepted, True, True]


def test_a_transaction_that_was_reset_is_not_reset_again(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet()
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 550\nC: RSET\nS: 250")
        peer.take_message()
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.reset(diary.callback("reset"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "sent", "reset", "sent", "end"]
    assert diary.of("reset") == [(None, True)]


def test_reset_refused(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet()
        peer.play("C: RSET\nS: 502 5.5.1 what?")
        peer.take_message()
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.reset(diary.callback("reset"))
    connection.send(ENVELOPE, "hi", diary.callback("sent"))
    connection.quit()
    reactor.run()

    assert facts(diary.error("reset")) == ("EPROTOCOL", "RSET", "502 5.5.1 what?", 502)
    assert diary.of("sent")[0][0] is None


def test_a_message_that_cannot_be_preceded_by_a_reset_is_not_sent(send_by, pipelining, diary):
    """And the one after it tries again."""
    envelope = [("MAIL", "503 nested"), ("RCPT", "503 no"), ("DATA", "503 no")]

    def script(peer, turns):
        recipients_refused(peer, turns, pipelining)
        turns(("RSET", "451 no"), *envelope * pipelining)
        turns(("RSET", "250 ok"), ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"))
        assert peer.read_message() == MESSAGE
        peer.send("250 queued\r\n")

    send_by(script, (ENVELOPE, "hi"), (ENVELOPE, "hi"), (ENVELOPE, "hi"))
    (_, (err, _), (last, _)) = diary.of("sent")
    assert facts(err) == ("EPROTOCOL", "RSET", "451 no", 451)
    assert last is None


# -- pipelining ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, "SOCK_SEQPACKET"), reason="one recv() must be one write")
def test_a_pipelined_envelope_leaves_in_one_write(by_hand, diary):
    connection, peer = by_hand(kind=socket.SOCK_SEQPACKET)
    connection.connect()
    for _ in range(2):
        connection.send(TO_TWO, "hi", diary.callback("sent"))
    peer.feed("220 ready\r\n")
    assert peer.heard() == b"EHLO me\r\n"
    peer.feed("250-scripted\r\n250 PIPELINING\r\n")
    envelope = (
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\n"
        b"DATA\r\n"
    )
    assert peer.heard() == envelope
    peer.feed("250\r\n550 no\r\n550 no\r\n503 no\r\n")
    assert peer.heard() == b"RSET\r\n" + envelope
    peer.feed("250\r\n250\r\n250\r\n250\r\n354 go\r\n")
    assert peer.heard() == b"hi\r\n.\r\n"
    peer.feed("250 queued\r\n")

    assert [err is None for err, _ in diary.of("sent")] == [False, True]
    connection.close()


def test_a_message_for_nobody_is_ended_at_once(send, diary):
    """A server may take DATA although it took no recipient (RFC 2920 section 3.1)."""

    def script(peer):
        peer.play(
            "C: MAIL\nC: RCPT\nC: DATA\nS: 250\nS: 550 no\nS: 354 go\nC= .\nS: 554 for nobody"
        )
        peer.play("C: RSET\nC: MAIL\nC: RCPT\nC: DATA\nS: 250\nS: 250\nS: 250\nS: 354 go")
        peer.play("C= hi\nC= .\nS: 250 ok")

    send(script, (ENVELOPE, "hi"), (ENVELOPE, "hi"), extensions=["PIPELINING"])
    (err, _), (last, _) = diary.of("sent")
    assert (err.code, err.response, err.rejected) == ("EENVELOPE", "550 no", ["b@example.com"])
    assert last is None


@pytest.fixture
def dropped(serve, connect_to, reactor, diary):
    """Send two messages to a server that makes the first one impossible to end in any proper way;
    return the first one's error, and what the server heard after ``script``."""

    def run(script, content, extensions=()):
        heard = []

        def whole_script(peer):
            peer.greet(*extensions)
            script(peer)
            heard.append(peer.expect_end())

        server = serve(whole_script)
        connection = connect_to(server)
        connection.connect()
        connection.send(ENVELOPE, content, diary.callback("sent"))
        connection.send(ENVELOPE, "another", diary.callback("later"))
        connection.quit()
        reactor.run()
        server.wait()
        assert diary.names() == ["connect", "error", "sent", "later", "end"]
        err = diary.error("sent")
        assert diary.error() is err
        assert diary.error("later").code == "ECONNECTION"
        assert diary.error("later").__cause__ is err
        return err, *heard

    return run


@pytest.mark.parametrize(
    ("replies", "fault"),
    [
        ("S: 550 no\nS: 503 no\nS: 354 go", ("EENVELOPE", "MAIL FROM", "550 no", 550)),
        ("S: 550 no\nS: 250 ok\nS: 250 go", ("EENVELOPE", "MAIL FROM", "550 no", 550)),
    ],
)
def test_a_server_that_waits_for_a_message_without_a_sender_gets_none(dropped, replies, fault):
    err, heard = dropped(
        lambda peer: peer.play(f"C: MAIL\nC: RCPT\nC: DATA\n{replies}"), "hi", ["PIPELINING"]
    )
    assert facts(err) == fault
    assert heard == b""


def test_a_server_that_waits_for_a_message_without_a_reset_gets_none(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, "hi", diary.callback("first"))
    connection.send(ENVELOPE, "hi", diary.callback("second"))
    peer.feed("220 ready\r\n")
    peer.feed("250-scripted\r\n250 PIPELINING\r\n")
    peer.feed("250 ok\r\n550 no\r\n503 no\r\n")
    assert b"RSET\r\nMAIL" in peer.heard()
    peer.feed("451 no\r\n250 ok\r\n250 ok\r\n354 go\r\n")

    assert diary.names() == ["connect", "first", "error", "second", "end"]
    assert facts(diary.error("second")) == ("EPROTOCOL", "RSET", "451 no", 451)
    assert peer.heard() == b""


# -- replies before the end of the message ---------------------------------------------------------


class Stream(EventEmitter):
    """A stream that gives ``first``, and nothing else until it is told to."""

    def __init__(self, first=b"x" * 1000):
        super().__init__()
        self.first = first

    def resume(self):
        first, self.first = self.first, b""
        if first:
            self.emit("data", first)

    def pause(self):
        pass


@pytest.mark.parametrize(
    ("reply", "code"),
    [("552 5.3.4 too large", "EMESSAGE"), ("451 no", "EMESSAGE"), ("250 queued", "EPROTOCOL")],
)
def test_a_reply_in_the_middle_of_a_message(dropped, reply, code):
    def script(peer):
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        assert len(peer.sock.recv(65536)) == 1000
        peer.send(f"{reply}\r\n")

    err, heard = dropped(script, Stream())
    assert facts(err) == (code, "DATA", reply, int(reply[:3]))
    assert heard == b""


def test_a_refusal_in_the_middle_of_a_large_message(dropped):
    def script(peer):
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.expect("xxx")
        peer.send("552 5.3.4 too large\r\n")

    err, heard = dropped(script, (b"x" * 70 + b"\r\n") * 200_000)
    assert facts(err) == ("EMESSAGE", "DATA", "552 5.3.4 too large", 552)
    assert b"\r\n.\r\n" not in heard


def test_a_refusal_and_the_end_in_the_middle_of_a_large_message(dropped):
    """What the server says before it hangs up is heard, although writing has failed by then."""

    def script(peer):
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        peer.expect("xxx")
        peer.send("552 5.3.4 too large\r\n")
        peer.shut_write()

    err, _ = dropped(script, (b"x" * 70 + b"\r\n") * 200_000)
    assert facts(err) == ("EMESSAGE", "DATA", "552 5.3.4 too large", 552)


# -- LMTP ------------------------------------------------------------------------------------------


def test_lmtp_judges_every_recipient(send_by, diary):
    def script(peer, turns):
        turns(
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("RCPT", "550 5.1.1 unknown"),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
        )
        assert peer.read_message() == MESSAGE
        peer.send("452 4.2.2 full\r\n")
        peer.send("250 stored\r\n")

    send_by(script, (TO_THREE, "hi"), lmtp=True)
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.accepted == ["d@example.com"]
    assert info.rejected == ["c@example.com", "b@example.com"]
    assert [(error.recipient, *facts(error)) for error in info.rejectedErrors] == [
        ("c@example.com", "EENVELOPE", "RCPT TO", "550 5.1.1 unknown", 550),
        ("b@example.com", "EMESSAGE", "DATA", "452 4.2.2 full", 452),
    ]


RESET = [("RSET", "250")]


def lmtp_message(peer, turns, *replies, glued=False, first=()):
    turns(*first, ("MAIL", "250"), *[("RCPT", "250")] * len(replies), ("DATA", "354"))
    assert peer.read_message() == MESSAGE
    lines = [f"{reply}\r\n" for reply in replies]
    for piece in ["".join(lines)] if glued else lines:
        peer.send(piece)


@pytest.mark.parametrize("glued", [False, True])
@pytest.mark.parametrize("refused", [0, 1, 2])
def test_lmtp_one_of_three_refuses_and_the_next_message_is_not_shifted(
    send_by, diary, refused, glued
):
    replies = ["250-in\r\n250 stored"] * 3
    replies[refused] = "550-over\r\n550 quota"
    second = ["250 b", "250 c"]

    def script(peer, turns):
        lmtp_message(peer, turns, *replies, glued=glued)
        lmtp_message(peer, turns, *second, glued=glued, first=RESET)

    send_by(script, (TO_THREE, "hi"), (TO_TWO, "hi"), lmtp=True)
    (_, first), (_, later) = diary.of("sent")
    assert first.rejected == [TO_THREE["to"][refused]]
    assert first.rejectedErrors[0].response == "550-over\n550 quota"
    assert first.accepted == [one for one in TO_THREE["to"] if one not in first.rejected]
    assert (later.accepted, later.rejected) == (TO_TWO["to"], [])
    assert later.response == "250 c"


def test_lmtp_all_refuse_the_message(send_by, diary):
    def script(peer, turns):
        lmtp_message(peer, turns, "550 5.2.2 full", "452 4.2.2 full")
        lmtp_message(peer, turns, "250 stored", first=RESET)

    send_by(script, (TO_TWO, "hi"), (ENVELOPE, "hi"), lmtp=True)
    (err, _), (last, _) = diary.of("sent")
    assert facts(err) == ("EMESSAGE", "DATA", "452 4.2.2 full", 452)
    assert err.rejected == TO_TWO["to"]
    assert [error.code for error in err.rejectedErrors] == ["EMESSAGE", "EMESSAGE"]
    assert last is None


# -- extensions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "extensions", "command"),
    [
        ({}, ["SIZE 100", "8BITMIME", "SMTPUTF8"], "MAIL FROM:<a@example.com> SIZE=4"),
        ({"from": ""}, [], "MAIL FROM:<>"),
        ({"from": None}, [], "MAIL FROM:<>"),
        ({"from": {"address": " a@b ", "name": "A"}}, [], "MAIL FROM:<a@b>"),
        ({"size": 99}, ["SIZE 100"], "MAIL FROM:<a@example.com> SIZE=99"),
        ({"size": 100}, ["SIZE 100"], "MAIL FROM:<a@example.com> SIZE=100"),
        ({"size": 101}, ["SIZE"], "MAIL FROM:<a@example.com> SIZE=101"),
        ({"size": 101}, ["SIZE 0"], "MAIL FROM:<a@example.com> SIZE=101"),
        ({"size": 101}, [], "MAIL FROM:<a@example.com>"),
        ({"use8BitMime": True}, ["8BITMIME"], "MAIL FROM:<a@example.com> BODY=8BITMIME"),
        ({"use8BitMime": True}, [], "MAIL FROM:<a@example.com>"),
        ({"from": "ä@example.com"}, ["SMTPUTF8"], "MAIL FROM:<ä@example.com> SMTPUTF8"),
        ({"to": "ä@exämple.com"}, ["SMTPUTF8"], "MAIL FROM:<a@example.com> SMTPUTF8"),
        ({"from": "a@exämple.com"}, [], "MAIL FROM:<a@xn--exmple-cua.com>"),
    ],
)
def test_the_parameters_of_mail(send, diary, more, extensions, command):
    def script(peer):
        peer.play(f"C= {command}\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354\nC: hi\nC= .\nS: 250")

    send(script, ({**ENVELOPE, **more}, "hi"), extensions=extensions)
    assert diary.of("sent")[0][0] is None


WHOLE = ["x" * 97 + "\n.", b"x" * 97 + b"\r\n.\r\n", {"text": "x" * 200}]


@pytest.mark.parametrize("message", WHOLE, ids=["str", "bytes", "dict"])
def test_a_whole_message_over_the_limit_is_not_sent(send_by, diary, message):
    """Dovecot would close the connection without a word, and leave the message in doubt."""
    send_by(take, (ENVELOPE, message), (ENVELOPE, "hi"), extensions=["SIZE 101"])
    (err, _), (last, _) = diary.of("sent")
    assert (err.code, err.command, err.permanent) == ("EMESSAGE", "MAIL FROM", True)
    assert (err.inDoubt, err.response) == (False, None)
    assert last is None


@pytest.mark.parametrize("size", [20, 200_000])
def test_a_whole_message_at_the_limit_is_sent(send, diary, size):
    content = b"." + b"x" * (size - 3)

    def script(peer):
        peer.play(f"C= MAIL FROM:<a@example.com> SIZE={size}\nS: 250\nC: RCPT\nS: 250\nC: DATA")
        peer.send("354 go\r\n")
        assert peer.read_message() == b"." + content + b"\r\n"
        peer.send("250 ok\r\n")

    send(script, (ENVELOPE, content), extensions=[f"SIZE {size}"])
    assert diary.of("sent")[0][0] is None


@pytest.mark.parametrize("again", [False, True])
def test_what_is_announced_only_after_the_login(serve, connect_to, reactor, diary, again):
    """Dovecot and Stalwart announce DSN and SIZE only then."""
    more = " RET=HDRS SIZE=4" if again else ""

    def script(peer):
        peer.greet("AUTH PLAIN")
        peer.play("C: AUTH PLAIN\nS: 235 ok")
        if again:
            peer.expect("EHLO")
            peer.answer_ehlo("AUTH PLAIN", "DSN", "SIZE 100")
        peer.play(f"C= MAIL FROM:<a@example.com>{more}\nS: 550 no")
        peer.take_quit()

    connection = connect_to(serve(script), ehloAfterAuth=again)
    connection.connect()
    connection.login(PASSWORD, diary.callback("login"))
    connection.send({**ENVELOPE, "dsn": {"ret": "HDRS"}}, "hi", diary.callback("sent"))
    connection.quit()
    reactor.run()
    assert diary.of("login") == [(None, True)]
    assert ("DSN" in connection.capabilities) is again
    assert diary.error("sent").response == "550 no"


@pytest.mark.parametrize(
    ("more", "extensions", "code"),
    [
        ({"size": 101}, ["SIZE 100"], "EMESSAGE"),
        ({"from": "ä@example.com"}, ["8BITMIME"], "EENVELOPE"),
        ({"to": ["b@example.com", "ä@exämple.com"]}, ["8BITMIME"], "EENVELOPE"),
    ],
    ids=["SIZE", "SMTPUTF8, sender", "SMTPUTF8, recipient"],
)
def test_what_the_server_cannot_do_is_not_asked_of_it(send_by, diary, more, extensions, code):
    send_by(take, ({**ENVELOPE, **more}, "hi"), (ENVELOPE, "hi"), extensions=extensions)
    (err, _), (last, _) = diary.of("sent")
    assert (err.code, err.command, err.response) == (code, "MAIL FROM", None)
    assert last is None


INTERNATIONAL = {
    "dict": lambda: {"to": "b@x.org", "replyTo": "jörg@x.org", "text": "hi"},
    "large dict": lambda: {"to": "b@x.org", "replyTo": "jörg@x.org", "text": "hi\n" * 50_000},
    "str": lambda: "Subject: Grüße\r\n\r\nhi",
    "bytes": lambda: "Subject: Grüße\n\nhi\n".encode() + b"x" * 100_000,
    "file": lambda: io.BytesIO("Subject: Grüße\n\nhi\n".encode()),
    "EmailMessage": lambda: email.message_from_string("Reply-To: jörg@x.org\n\nhi"),
}


@pytest.mark.parametrize("make", INTERNATIONAL.values(), ids=INTERNATIONAL)
def test_headers_that_are_not_ascii_need_smtputf8(send, diary, make):
    def script(peer):
        peer.expect("MAIL FROM:<a@example.com> SMTPUTF8")
        peer.play("S: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354")
        assert not peer.read_message().partition(b"\r\n\r\n")[0].isascii()
        peer.send("250 ok\r\n")

    send(script, (ENVELOPE, make()), extensions=["SMTPUTF8"])
    assert diary.of("sent")[0][0] is None


@pytest.mark.parametrize("make", INTERNATIONAL.values(), ids=INTERNATIONAL)
def test_without_smtputf8_nothing_is_said(send_by, diary, make):
    send_by(take, (ENVELOPE, make()), (ENVELOPE, "hi"), extensions=["8BITMIME"])
    (err, _), (last, _) = diary.of("sent")
    assert (err.code, err.command, err.response) == ("EENVELOPE", "MAIL FROM", None)
    assert "The headers of the message are not ASCII" in str(err)
    assert last is None


@pytest.mark.parametrize(
    "message",
    [
        "Subject: hi\r\n\r\nGrüße",
        "Grüße, without any header",
        b"Subject: \xfc\r\n\r\nin another charset",
        b"Subject: hi\n\nbody \xc3\xbc\n",
        {"to": "info@bücher.example", "subject": "Grüße", "text": "Grüße"},
    ],
)
def test_what_does_not_need_smtputf8(send_by, diary, message):
    def script(peer, turns):
        turns(("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"))
        peer.read_message()
        peer.send("250 ok\r\n")

    send_by(script, (ENVELOPE, message), extensions=["SMTPUTF8"])
    assert diary.of("sent")[0][0] is None
    assert any("MAIL FROM:<a@example.com>" in said.split("\n") for said in diary.commands())


@pytest.mark.parametrize(
    ("envelope", "content", "code"),
    [
        ({"from": "a@example.com", "to": []}, "hi", "EENVELOPE"),
        ({"from": "a@example.com"}, "hi", "EENVELOPE"),
        ({"from": "a@example.com", "to": ["b@example.com", " "]}, "hi", "EENVELOPE"),
        ({"from": "a@example.com\r\nDATA", "to": "b@example.com"}, "hi", "EENVELOPE"),
        ({"from": "a@example.com", "to": "b@example.com>"}, "hi", "EENVELOPE"),
        ("a@example.com", "hi", "EENVELOPE"),
        (None, "hi", "EENVELOPE"),
        (ENVELOPE, None, "EMESSAGE"),
        (ENVELOPE, "", "EMESSAGE"),
        (ENVELOPE, b"", "EMESSAGE"),
        (ENVELOPE, 7, "EMESSAGE"),
        (ENVELOPE, [], "EMESSAGE"),
        (ENVELOPE, [b"", ""], "EMESSAGE"),
        (ENVELOPE, io.BytesIO(), "EMESSAGE"),
        (ENVELOPE, io.StringIO(), "EMESSAGE"),
    ],
)
def test_what_cannot_be_sent_is_not_begun(send_by, diary, envelope, content, code):
    send_by(take, (envelope, content), (ENVELOPE, "hi"))
    by_code = {err.code if err else None: err for err, _ in diary.of("sent")}
    assert set(by_code) == {code, None}
    assert by_code[code].command == "API"


# -- message sources that fail ---------------------------------------------------------------------

BOOM = OSError("disk on fire")
PIECE = b"x" * 300_000  # so much that a stream is asked to pause after it


class Reader:
    """A file that fails after some pieces."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read(self, size):
        if not self.pieces:
            raise BOOM
        return self.pieces.pop(0)


def pieces(*given):
    yield from given
    raise BOOM


def failing_stream(*given):
    """Return a stream that fails after some pieces, each given when the one before was taken."""
    stream = Stream(b"")
    rest = list(given)

    def resume():
        stream.emit(*(("data", rest.pop(0)) if rest else ("error", BOOM)))

    stream.resume = resume
    return stream


def closed_stream(*given):
    stream = failing_stream(*given)
    emit = stream.emit
    stream.emit = lambda event, *args: emit("close") if event == "error" else emit(event, *args)
    return stream


AWAITED = [Reader, failing_stream, closed_stream]
SOURCES = pytest.mark.parametrize("make", [pieces, *AWAITED])


@SOURCES
def test_a_source_that_fails_half_way_is_never_delivered(dropped, pipelining, make):
    def script(peer):
        peer.play_envelope(("MAIL", "250"), ("RCPT", "250"), ("DATA", "354"), pipelining=pipelining)

    err, heard = dropped(script, make(PIECE), ["PIPELINING"] if pipelining else [])
    assert (err.code, err.command, err.response) == ("ESTREAM", "API", None)
    assert err.__cause__ is BOOM or make is closed_stream
    assert set(heard) <= set(b"x")


@pytest.mark.parametrize("make", AWAITED)
def test_a_source_that_fails_before_the_first_piece_costs_nothing(send_by, diary, make):
    send_by(take, (ENVELOPE, make()), (ENVELOPE, "hi"))
    (err, _), (last, _) = diary.of("sent")
    assert (err.code, err.command) == ("ESTREAM", "API")
    assert err.__cause__ is BOOM or make is closed_stream
    assert last is None


LAZY = pytest.mark.parametrize(
    ("make", "code"),
    [(pieces, "ESTREAM"), (lambda: iter([]), "EMESSAGE"), (lambda: map(len, "hi"), "ESTREAM")],
    ids=["failing generator", "nothing", "wrong pieces"],
)


@LAZY
def test_a_generator_that_fails_at_once_costs_a_reset_step_by_step(send, diary, make, code):
    def script(peer):
        peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC= RSET\nS: 250\nC: MAIL\nS: 250\nC: RCPT")
        peer.play("S: 250\nC= DATA\nS: 354\nC= hi\nC= .\nS: 250")

    send(script, (ENVELOPE, make()), (ENVELOPE, "hi"))
    (err, _), (last, _) = diary.of("sent")
    assert (err.code, err.command) == (code, "API")
    assert err.__cause__ is BOOM or make is not pieces
    assert last is None


@LAZY
def test_a_generator_that_fails_at_once_is_never_delivered_with_pipelining(dropped, make, code):
    """The server has taken DATA by then, and waits for the message."""

    def script(peer):
        peer.play_envelope(("MAIL", "250"), ("RCPT", "250"), ("DATA", "354"), pipelining=True)

    err, heard = dropped(script, make(), ["PIPELINING"])
    assert (err.code, err.command, err.response) == (code, "API", None)
    assert err.__cause__ is BOOM or make is not pieces
    assert heard == b""


def wrong_pieces():
    yield PIECE
    yield 7


def test_a_piece_that_is_neither_bytes_nor_str(dropped):
    err, _ = dropped(
        lambda peer: peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250\nC: DATA\nS: 354"), wrong_pieces()
    )
    assert err.code == "ESTREAM"
    assert isinstance(err.__cause__, TypeError)


def test_a_stream_that_ends_without_data_is_an_empty_message(send_by, diary):
    stream = Stream(b"")
    stream.resume = lambda: stream.emit("end")
    send_by(take, (ENVELOPE, stream), (ENVELOPE, "hi"))
    (err, _), (last, _) = diary.of("sent")
    assert err.code == "EMESSAGE"
    assert last is None


def broken_stream():
    """Return a stream that cannot even be started."""
    stream = Stream()
    stream.resume = raising
    return stream


def raising():
    raise BOOM


@pytest.mark.parametrize("make", [pieces, lambda: [7], broken_stream])
def test_a_thousand_failing_sources_in_a_row(send, diary, make):
    def script(peer):
        for number in range(1000 if make is pieces else 0):
            peer.play("C: RSET\nS: 250" if number else "")
            peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250")

    send(script, *[(ENVELOPE, make()) for _ in range(1000)])
    assert {err.code for err, _ in diary.of("sent")} == {"ESTREAM"}


# -- message sources that outlive their connection -------------------------------------------------


@pytest.fixture
def pipe():
    """A pipe that nobody writes to."""
    reading, writing = os.pipe()
    with open(reading, "rb") as file, open(writing, "wb"):
        yield file


def beginning(peer):
    peer.feed("220 ready\r\n")
    peer.feed("250 scripted\r\n")
    assert peer.heard().startswith(b"EHLO me\r\n")


@pytest.mark.parametrize("callback", [True, False], ids=["callback", "no callback"])
@pytest.mark.parametrize("ending", ["close", "hang up"])
def test_a_pipe_is_let_go_of(by_hand, diary, pipe, reactor, callback, ending):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, pipe, diary.callback("sent") if callback else None)
    beginning(peer)
    if ending == "close":
        connection.close()
    peer.hang_up()
    reactor.run()  # returns, as nothing is left to wait for

    assert diary.names()[-1] == "end"
    assert [err.code for (err, *_) in diary.of("sent" if callback else "error")[:1]] == [
        "ECONNECTION"
    ]


def test_streams_that_were_not_begun_are_let_go_of(by_hand, diary):
    first, second = Stream(), Stream()
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, first, diary.callback("sent"))
    connection.send(ENVELOPE, second)
    assert first.event_names()
    assert second.event_names()
    peer.hang_up()

    assert diary.names() == ["error", "sent", "end"]
    assert not first.event_names()
    assert not second.event_names()


SMALL_PIECE = b"x" * 40_000  # so much that it is sent at once, so little that it can be


def closing_generator(close, closed):
    try:
        close()
        yield SMALL_PIECE
        yield SMALL_PIECE
    finally:
        closed.append("finally")


def test_a_source_may_close_the_connection_while_it_is_asked(by_hand, diary):
    connection, peer = by_hand()
    closed = []
    connection.connect()
    connection.send(ENVELOPE, closing_generator(connection.close, closed), diary.callback("sent"))
    beginning(peer)
    peer.feed("250 ok\r\n")
    assert peer.heard() == b"RCPT TO:<b@example.com>\r\n"
    peer.feed("250 ok\r\n")

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.error("sent").code == "ECONNECTION"
    assert closed == ["finally"]
    assert peer.heard() == b""


def raise_after(close):
    yield SMALL_PIECE
    close()
    raise BOOM


def give_after(close):
    yield SMALL_PIECE
    close()
    yield SMALL_PIECE


@pytest.mark.parametrize("make", [raise_after, give_after])
def test_a_source_may_close_the_connection_half_way(by_hand, diary, make):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, make(connection.close), diary.callback("sent"))
    beginning(peer)
    for reply in ("250 ok", "250 ok", "354 go"):
        peer.feed(f"{reply}\r\n")

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.error("sent").code == "ECONNECTION"
    assert peer.heard().endswith(b"DATA\r\n" + SMALL_PIECE)
    assert [type for type, _ in diary.log].count("stream") == 1


def test_a_generator_is_closed_when_its_message_is_refused(send_by, diary, pipelining):
    closed = []
    message = closing_generator(lambda: None, closed)
    next(message)
    send_by(lambda peer, turns: sender_refused(peer, turns, pipelining), (ENVELOPE, message))
    assert diary.error("sent").code == "EENVELOPE"
    assert closed == ["finally"]


class Iterable:
    """Is iterated by a generator, which notes down that it has run."""

    def __init__(self, ran):
        self.ran = ran

    def __iter__(self):
        self.ran.append(True)
        yield "hi"


def noting_generator(ran):
    ran.append(True)
    yield "hi"


@pytest.mark.parametrize("refused", [sender_refused, recipients_refused])
@pytest.mark.parametrize("make", [noting_generator, Iterable, lambda ran: map(ran.append, "hi")])
def test_a_generator_does_not_run_for_a_message_that_nobody_gets(
    send_by, diary, pipelining, make, refused
):
    ran = []
    source = make(ran)
    send_by(lambda peer, turns: refused(peer, turns, pipelining), (ENVELOPE, source))
    assert diary.error("sent").code == "EENVELOPE"
    assert ran == []
    if make is noting_generator:
        assert inspect.getgeneratorstate(source) == inspect.GEN_CLOSED


def test_a_generator_does_not_run_if_pipelined_data_is_refused(send, diary):
    ran = []

    def script(peer):
        peer.play_envelope(("MAIL", "250"), ("RCPT", "250"), ("DATA", "451"), pipelining=True)

    send(script, (ENVELOPE, noting_generator(ran)), extensions=["PIPELINING"])
    assert diary.error("sent").command == "DATA"
    assert ran == []


def test_a_generator_runs_when_somebody_gets_the_message(send_by, diary, pipelining):
    ran = []

    def script(peer, turns):
        take(peer, lambda *given: (ran.append("envelope"), turns(*given)))

    send_by(script, (ENVELOPE, noting_generator(ran)))
    assert diary.of("sent")[0][0] is None
    assert ran == ["envelope", True]


def test_a_generator_that_was_closed_before_is_an_empty_message(send, diary):
    source = noting_generator([])
    source.close()
    send(lambda peer: peer.play("C: MAIL\nS: 250\nC: RCPT\nS: 250"), (ENVELOPE, source))
    assert diary.error("sent").code == "EMESSAGE"


def test_a_generator_is_read_behind_the_go_ahead_of_a_pipelined_envelope(by_hand, diary):
    ran = []
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, noting_generator(ran), diary.callback("sent"))
    peer.feed("220 ready\r\n")
    peer.feed("250-mx\r\n250 PIPELINING\r\n")
    assert peer.heard().endswith(b"DATA\r\n"), "it costs no round trip"
    peer.feed("250 ok\r\n250 ok\r\n")
    assert ran == []
    peer.feed("354 go\r\n")
    assert ran == [True]
    assert peer.heard() == b"hi\r\n.\r\n"
    peer.feed("250 queued\r\n")
    assert diary.of("sent")[0][0] is None
    connection.close()
    peer.settle()


def test_a_list_and_a_file_are_looked_at_before_the_server_hears_of_them(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    for empty in ([""], (), io.BytesIO()):
        connection.send(ENVELOPE, empty, diary.callback("sent"))
    beginning(peer)
    assert [err.code for err, _ in diary.of("sent")] == ["EMESSAGE"] * 3
    assert peer.heard() == b""
    connection.close()
    peer.settle()


def test_a_generator_is_not_closed_inside_the_call_of_close(by_hand, diary):
    closed = []
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, closing_generator(lambda: None, closed), diary.callback("sent"))
    beginning(peer)
    peer.feed("250 ok\r\n")
    peer.feed("250 ok\r\n")
    connection.close()
    assert closed == []
    peer.settle()
    assert closed == ["finally"]


def stubborn():
    try:
        yield PIECE
        yield PIECE
    finally:
        raise BOOM


def test_a_generator_that_raises_when_it_is_closed_costs_nobody_a_callback(by_hand, diary):
    connection, peer = by_hand()
    connection.connect()
    connection.send(ENVELOPE, stubborn(), diary.callback("sent"))
    connection.reset(diary.callback("reset"))
    beginning(peer)
    peer.feed("550 no\r\n")
    peer.feed("250 ok\r\n")

    assert diary.names() == ["connect", "sent", "reset"]
    assert diary.error("sent").code == "EENVELOPE"
    connection.close()


def test_after_close_no_source_is_read_any_more(by_hand, reactor, diary):
    read = []
    connection, peer = by_hand()
    connection.connect(
        lambda: (
            connection.send(ENVELOPE, map(read.append, "hi"), diary.callback("sent")),
            reactor.call_soon(connection.close),
        )
    )
    beginning(peer)

    assert diary.names() == ["connect", "sent", "end"]
    assert diary.error("sent").code == "ECONNECTION"
    assert read == []
