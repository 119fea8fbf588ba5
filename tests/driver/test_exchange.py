"""Messages flow no faster than the transport takes them, and a verdict counts when all is sent."""

from __future__ import annotations

import pytest
from pyee import EventEmitter

from smtp_connection import SMTPError
from smtp_connection.driver.exchange import Exchange
from smtp_connection.message.message import Message
from smtp_connection.message.sources import PIECE
from smtp_connection.protocol.steps import Begin, Command, Pipeline, TooEarly, Transmit, Unanswered

LARGE = 2 * PIECE
"""Bytes; so many that every source hands them on before it reads more."""


class SlowTransport:
    """Takes as many bytes as there is room for; the rest waits, and more can be written."""

    uncertain = False

    def __init__(self):
        self.written = b""
        self.room = 0

    def write(self, data):
        self.written += data
        self.room -= len(data)
        return self.is_drained

    @property
    def unsent(self):
        return max(0, -self.room)

    @property
    def is_drained(self):
        return not self.unsent


class Owner:
    """Notes down how dialogues end, and that the next one may begin; and follows messages if the
    test says so.

    - ``progress``: how much of messages has been sent, if ``follows``
    - ``asked``: which messages it could have followed
    - ``lines``: what rides behind the next message
    """

    def __init__(self):
        self.outcomes = []
        self.follows = True
        self.progress = []
        self.asked = []
        self.lines = []
        self.asked_for_more = 0

    def next_lines(self):
        self.asked_for_more += 1
        return self.lines

    def follow(self, message):
        self.asked.append(message)
        return self.progress.append if self.follows else None

    def dialogue_ended(self, value, error):
        self.outcomes.append((value, error))

    def broke(self, exc):
        raise AssertionError(f"{exc!r} was raised in the middle of a step")

    def next_dialogue(self):
        assert self.outcomes, "the dialogue still goes on"


class Session:
    """An exchange whose transport, owner and server are the test."""

    def __init__(self, reactor):
        self.transport = SlowTransport()
        self.owner = Owner()
        self._reactor = reactor
        self._exchange = Exchange(reactor, self.owner, limit=1000, trace=None)
        self._exchange.use(self.transport)

    def start(self, dialogue):
        self._exchange.start(dialogue)
        self._reactor.run()

    def stop(self, error):
        return self._exchange.stop(error)

    def make_room(self, size):
        """Let the transport take what waits and ``size`` bytes more."""
        waited, self.transport.room = not self.transport.is_drained, size
        if waited:
            self._exchange.drained()
        self._reactor.run()

    def feed(self, reply):
        self._exchange.data_received(reply)
        self._reactor.run()


@pytest.fixture
def session(reactor):
    return Session(reactor)


class Pieces:
    """A message source that counts how many of its pieces have been pulled."""

    def __init__(self, *pieces):
        self.pulled = 0
        self._pieces = pieces

    def __iter__(self):
        for piece in self._pieces:
            self.pulled += 1
            yield piece


A, B, C = (bytes([letter]) * 78 + b"\r\n" for letter in b"abc")
LETTERS = [line * (LARGE // 80 + 1) for line in (A, B, C)]


def sending(message, last=False):
    """A dialogue that sends a message: the text of the verdict, or what stood in its way."""
    yield Begin(message)
    try:
        (reply,) = yield Transmit(message, last=last)
    except TooEarly as early:
        return f"too early: {early.reply.text}"
    except Unanswered:
        return "unanswered"
    return reply.text


def test_nothing_is_pulled_while_the_transport_is_full(session, reactor):
    source = Pieces(*LETTERS)
    session.make_room(LARGE * 3 // 2)
    session.start(sending(Message(source, reactor)))
    assert source.pulled == 2
    assert session.transport.written == b"".join(LETTERS[:2])

    session.make_room(1)
    assert source.pulled == 3
    assert session.transport.written == b"".join(LETTERS)

    session.make_room(1000)
    assert session.transport.written == b"".join(LETTERS) + b".\r\n"

    assert session.owner.outcomes == []
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]


def test_nothing_is_pulled_while_a_command_still_waits(session, reactor):
    def dialogue(message):
        yield Command("DATA")
        return (yield from sending(message))

    source = Pieces(*LETTERS)
    session.start(dialogue(Message(source, reactor)))
    assert not session.transport.is_drained
    session.feed(b"354 go on\r\n")
    assert source.pulled == 1  # looked at, so that an empty message is never begun
    assert session.transport.written == b"DATA\r\n"

    session.make_room(10 * LARGE)
    assert session.transport.written == b"DATA\r\n" + b"".join(LETTERS) + b".\r\n"
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]


def test_what_a_source_pushes_waits_until_the_transport_is_drained(session, reactor):
    stream = EventEmitter()
    session.start(sending(Message(stream, reactor)))
    for letter in LETTERS:
        stream.emit("data", letter)
        reactor.run()
    assert session.transport.written == LETTERS[0]

    session.make_room(10 * LARGE)
    assert session.transport.written == b"".join(LETTERS)
    stream.emit("end")
    reactor.run()
    assert session.transport.written == b"".join(LETTERS) + b".\r\n"
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]


def test_a_message_that_is_there_goes_out_piece_by_piece(session, reactor):
    content = b"".join(LETTERS)
    session.start(sending(Message(content, reactor)))
    for start in range(0, len(content), PIECE):
        assert session.transport.written == content[: start + PIECE]
        session.make_room(0)
    assert session.transport.written == content + b".\r\n"
    session.make_room(0)
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]


@pytest.mark.parametrize("whole", [True, False])
def test_who_follows_hears_of_each_piece_that_was_taken(session, reactor, whole):
    content = b"".join(LETTERS)
    message = Message(content if whole else iter(LETTERS), reactor)
    session.start(sending(message))
    assert session.owner.progress == []
    taken = []
    while not message.finished or not session.transport.is_drained:
        taken.append(len(session.transport.written))
        session.make_room(0)
        assert session.owner.progress == taken
    assert session.owner.progress[-1] == len(content) + len(b".\r\n") == message.size
    assert session.owner.asked == [message]
    session.feed(b"250 queued\r\n")
    assert session.owner.progress == taken


def test_who_does_not_follow_a_message_is_asked_once(session, reactor):
    session.owner.follows = False
    session.make_room(10 * LARGE)
    session.start(sending(Message(b"".join(LETTERS), reactor)))
    session.feed(b"250 queued\r\n")
    assert len(session.owner.asked) == 1
    assert session.owner.progress == []


@pytest.mark.parametrize("room", [0, 10_000])
@pytest.mark.parametrize("content", [b"x" * 9000, [b"x" * 9000] * 3], ids=["whole", "pieces"])
def test_nobody_is_asked_about_a_small_message(session, reactor, content, room):
    session.make_room(room)
    session.start(sending(Message(content, reactor)))
    for _ in range(4):
        session.make_room(room)
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]
    assert session.owner.asked == []


each_end = pytest.mark.parametrize(
    "content", [b"hi\r\n", [b"hi\r\n"]], ids=["the only piece", "the final dot"]
)


def start_to_the_end(session, reactor, content):
    """Start a message whose last byte the transport has, but cannot take yet."""
    room = 0 if isinstance(content, bytes) else len(b"hi\r\n")
    session.make_room(room)
    session.start(sending(Message(content, reactor)))
    assert session.transport.written == b"hi\r\n.\r\n"
    assert not session.transport.is_drained


@each_end
def test_a_verdict_counts_when_the_end_of_the_message_is_sent(session, reactor, content):
    start_to_the_end(session, reactor, content)
    session.make_room(0)
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]


@each_end
def test_a_reply_before_the_end_of_the_message_is_sent_is_no_verdict(session, reactor, content):
    start_to_the_end(session, reactor, content)
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("too early: 250 queued", None)]


@each_end
def test_a_message_is_in_doubt_when_its_end_is_sent(session, reactor, content):
    lost = SMTPError("lost", code="ECONNECTION")
    start_to_the_end(session, reactor, content)
    session.make_room(0)
    assert session.stop(lost) == ("unanswered", None)


@each_end
def test_a_message_is_not_in_doubt_before_its_end_is_sent(session, reactor, content):
    lost = SMTPError("lost", code="ECONNECTION")
    start_to_the_end(session, reactor, content)
    assert session.stop(lost) == (None, lost)


# -- what rides behind a message ------------------------------------------------------------------

BEHIND = b"MAIL FROM:<a@x.org>\r\nDATA\r\n"
SENT = b"hi\r\n.\r\n"


def start_with_more_behind(session, reactor, room):
    """Send a message, behind which something rides, to a transport that takes ``room`` bytes."""
    session.owner.lines = ["MAIL FROM:<a@x.org>", "DATA"]
    session.make_room(room)
    session.start(sending(Message(b"hi\r\n", reactor), last=True))
    assert session.transport.written == SENT + BEHIND


def test_nothing_rides_behind_a_message_that_is_not_the_last_of_its_dialogue(session, reactor):
    session.owner.lines = ["MAIL FROM:<a@x.org>", "DATA"]
    session.make_room(100)
    session.start(sending(Message(b"hi\r\n", reactor)))
    assert session.transport.written == SENT


@pytest.mark.parametrize("behind", [0, 1, len(BEHIND)])
def test_a_message_is_in_doubt_when_its_own_end_is_sent(session, reactor, behind):
    """Whatever is missing of what rides behind it."""
    start_with_more_behind(session, reactor, len(SENT) + behind)
    assert session.stop(SMTPError("lost", code="ECONNECTION")) == ("unanswered", None)


def test_a_message_is_not_in_doubt_before_its_own_end_is_sent(session, reactor):
    lost = SMTPError("lost", code="ECONNECTION")
    start_with_more_behind(session, reactor, len(SENT) - 1)
    assert session.stop(lost) == (None, lost)


def test_a_verdict_counts_although_what_rides_behind_is_not_sent(session, reactor):
    start_with_more_behind(session, reactor, len(SENT))
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("250 queued", None)]
    assert session.owner.asked_for_more == 1
    session.make_room(1000)
    assert session.transport.written == SENT + BEHIND


def test_a_verdict_before_the_message_s_own_end_is_sent_is_none(session, reactor):
    start_with_more_behind(session, reactor, len(SENT) - 1)
    session.feed(b"250 queued\r\n")
    assert session.owner.outcomes == [("too early: 250 queued", None)]


def test_who_follows_hears_of_the_message_alone(session, reactor):
    content = b"".join(LETTERS)
    session.owner.lines = ["QUIT"]
    session.make_room(10 * LARGE)
    session.start(sending(Message(content, reactor), last=True))
    assert session.owner.progress[-1] == len(content) + len(b".\r\n")
    assert session.transport.written.endswith(b"\r\n.\r\nQUIT\r\n")


def test_replies_wait_for_the_dialogue_that_they_are_for(session, reactor):
    def next_one():
        replies = yield Pipeline(["MAIL FROM:<a@x.org>", "DATA"], said=True)
        return [reply.text for reply in replies]

    start_with_more_behind(session, reactor, 1000)
    session.owner.next_dialogue = lambda: None
    session.feed(b"250 queued\r\n250 a\r\n")
    assert session.owner.outcomes == [("250 queued", None)]
    session.start(next_one())
    assert session.transport.written == SENT + BEHIND, "it is not said twice"
    session.feed(b"354 b\r\n")
    assert session.owner.outcomes[1:] == [(["250 a", "354 b"], None)]


def test_a_dialogue_must_not_go_on_when_the_connection_has_ended(session, reactor):
    def dialogue(message):
        try:
            yield Transmit(message)
        except Unanswered:
            yield Command("RSET")

    session.make_room(100)
    session.start(dialogue(Message(b"hi", reactor)))
    with pytest.raises(RuntimeError, match="goes on, although the connection has ended"):
        session.stop(SMTPError("lost", code="ECONNECTION"))


def test_a_dialogue_that_was_ended_by_an_exception_has_not_succeeded(session):
    def dialogue():
        try:
            yield Command("NOOP")
        except Unanswered:
            raise KeyboardInterrupt from None

    session.start(dialogue())
    error = SMTPError("closed")
    with pytest.raises(KeyboardInterrupt):
        session.stop(error)
    session.owner.next_dialogue = lambda: None
    session.feed(b"250 ok\r\n")
    assert session.owner.outcomes == []
    assert session.stop(error) == (None, error)
