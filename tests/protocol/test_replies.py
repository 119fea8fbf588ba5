"""The server's replies, in whatever pieces they arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_connection.protocol.replies import ORDINARY, Reply, ReplyParser, ReplyTooLong

LIMIT = 1000
ONE_LINE = b"250 ok\r\n"


def shown(replies):
    return [(reply.code, reply.text) for reply in replies]


def fed(pieces, limit=LIMIT):
    """Feed ``pieces``; return the replies, and the parser."""
    parser = ReplyParser(limit)
    return shown(reply for piece in pieces for reply in parser.feed(piece)), parser


def cut(data, places):
    """Cut ``data`` at ``places``."""
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def parsed(data):
    """Parse ``data`` whole, byte by byte, cut in two at every place, and with the head of another
    reply behind it; return the replies, which are the same every time."""
    replies, parser = fed([data])
    assert not parser.incomplete
    assert parser.remainder == ""
    by_bytes, parser = fed(cut(data, range(1, len(data))))
    assert by_bytes == replies
    assert not parser.incomplete
    for place in range(1, len(data)):
        assert fed(cut(data, [place]))[0] == replies
    for tail in (b"25", b"421-bye\r\n421"):
        with_tail, parser = fed([data + tail])
        assert with_tail == replies
        assert parser.incomplete
        assert parser.remainder == tail.decode().replace("\r", "")
    return replies


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"250 ok\r\n", [(250, "250 ok")]),
        (b"250 ok\n", [(250, "250 ok")]),
        (b"250\r\n", [(250, "250")]),
        (b"250 \r\n", [(250, "250 ")]),
        (b"250ok\r\n", [(250, "250ok")]),
        (b"001 low\r\n999 high\r\n", [(1, "001 low"), (999, "999 high")]),
        (
            b"220 one\r\n250 two\n354 three\r\n",
            [(220, "220 one"), (250, "250 two"), (354, "354 three")],
        ),
        # Several lines are one reply, however its lines end.
        (b"250-a\r\n250-b\r\n250 c\r\n", [(250, "250-a\n250-b\n250 c")]),
        (b"250-a\n250 b\r\n", [(250, "250-a\n250 b")]),
        (b"250-a\r\n250\r\n", [(250, "250-a\n250")]),
        (b"250-a\r\n250 b\r\n221 c\r\n", [(250, "250-a\n250 b"), (221, "221 c")]),
        (b"220 z\r\n250-a\r\n250 b\r\n", [(220, "220 z"), (250, "250-a\n250 b")]),
        # Blank lines are skipped, between replies and between the lines of one.
        (b"\r\n\n  \r\n250 ok\r\n\r\n", [(250, "250 ok")]),
        (b"250-a\r\n\r\n \t\r\n250 b\r\n", [(250, "250-a\n250 b")]),
        (b"\r\n", []),
        (b"", []),
        # Without a code: a reply of its own, or one more line of the reply under way.
        (b"hello\r\n", [(0, "hello")]),
        (b"25\r\n", [(0, "25")]),
        (b"25x ok\r\n", [(0, "25x ok")]),
        # The head of a reply, and what somebody else had to say, make no code.
        (b"25550 no\r\n", [(0, "25550 no")]),
        (b"2500 ok\r\n", [(0, "2500 ok")]),
        (b"-1 ok\r\n", [(0, "-1 ok")]),
        (b" 250 ok\r\n", [(0, " 250 ok")]),
        (b"000 null\r\n", [(0, "000 null")]),
        (b"250-a\r\nhello\r\n000 null\r\n250 b\r\n", [(250, "250-a\nhello\n000 null\n250 b")]),
        # Lines that disagree: a refusal cannot hide behind a success.
        (b"250-a\r\n550 b\r\n", [(550, "250-a\n550 b")]),
        (b"550-a\r\n250 b\r\n", [(550, "550-a\n250 b")]),
        (b"250-a\r\n554-b\r\n250 c\r\n250 d\r\n", [(554, "250-a\n554-b\n250 c"), (250, "250 d")]),
        # Odd bytes.
        ("250 grüße\r\n".encode(), [(250, "250 grüße")]),
        (b"250 gr\xfc\xdfe\r\n", [(250, "250 grüße")]),
        (b"250-\xff\r\n250 ok\r\n", [(250, "250-ÿ\n250 ok")]),
        (b"\xb2\xb5\xb0 ok\r\n", [(0, "\xb2\xb5\xb0 ok")]),
        ("٢٥٠ ok\r\n".encode(), [(0, "٢٥٠ ok")]),
        (b"250 a\rb\r\r\n", [(250, "250 a\rb\r")]),
        (b"250 \x00\x0b\x0c\x1c\x85\r\n", [(250, "250 \x00\x0b\x0c\x1c\x85")]),
    ],
)
def test_replies(data, replies):
    assert parsed(data) == replies


lines = st.one_of(
    st.sampled_from(
        [b"250 ok", b"250-more", b"550 no", b"354", b"", b" ", b"hello", b"25", b"000 "]
    ),
    st.binary(max_size=6),
)
streams = st.lists(st.tuples(lines, st.sampled_from([b"\r\n", b"\n", b"\r\r\n", b""]))).map(
    lambda parts: b"".join(line + end for line, end in parts)
)


@given(streams, st.sets(st.integers(0, 60)), st.integers(1, 40))
def test_no_cut_makes_a_difference(data, places, limit):
    def outcome(pieces):
        try:
            replies, parser = fed(pieces, limit)
        except ReplyTooLong:
            return None
        return replies, parser.incomplete, parser.remainder

    assert outcome(cut(data, [place for place in places if place <= len(data)])) == outcome([data])


@given(streams)
def test_no_bytes_are_too_odd(data):
    replies, _ = fed([data, b"\n221 \r\n"])
    assert replies
    assert all(0 <= code <= 999 and text for code, text in replies)


@given(streams, streams, st.integers(1, 40))
def test_what_was_said_before_makes_no_difference(before, data, limit):
    def outcome(parser, data):
        try:
            replies = parser.feed(data)
        except ReplyTooLong as exc:
            return str(exc), shown(exc.replies)
        return shown(replies), parser.ends_blank, parser.remainder

    for more in (data, before, data + before):
        parser = ReplyParser(limit)
        told = outcome(parser, before)
        parser.excess = 0
        # What is not complete, and blank lines that belong to what comes, do make one.
        if told[1:] == (False, "") and not parser.incomplete:
            assert outcome(parser, more) == outcome(ReplyParser(limit), more)


def test_replies_that_are_said_again_are_known():
    parser = ReplyParser(LIMIT)
    envelope = b"250 ok\r\n354 go\r\n"
    first = parser.feed(envelope)
    again, behind = parser.feed(envelope), parser.feed(b"250 queued as 1\r\n" + envelope)
    assert [*map(id, again)] == [*map(id, first)] == [*map(id, behind[1:])]
    assert behind[0].text == "250 queued as 1"
    again.clear()  # whoever got them may do that
    assert shown(parser.feed(envelope)) == shown(first)

    parser.forget()
    assert parser.feed(envelope)[0] is not first[0]


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"250 " + b"x" * 7,  # a line that has no end
        b"250 " + b"x" * 7 + b"\n",
        b"250 " + b"x" * 7 + b"\r\n",
        b"250-a\n250-b\n",  # lines that have no end
        b"250-a\n\xff\xff\xff\xff\xff\xff",
        b"x" * 11 + b"\n",
        b" " * 11,
        b" " * 11 + b"\n",
    ],
)
@pytest.mark.parametrize("before", [b"", b"220 ready\n"])
def test_a_reply_over_the_limit_is_refused(data, before):
    for pieces in ([before + data], cut(before + data, range(1, len(before + data)))):
        with pytest.raises(ReplyTooLong):
            fed(pieces, limit=10)


def test_replies_that_arrive_with_one_over_the_limit_are_not_lost():
    with pytest.raises(ReplyTooLong) as caught:
        fed([b"250 a\r\n550 b\r\n250 " + b"x" * 7], limit=10)
    assert [reply.text for reply in caught.value.replies] == ["250 a", "550 b"]


@pytest.mark.parametrize(
    "data", [b"250 xxxxxx\n", b"250 xxxxx\r\n", b"250-\n250 \n", b"xxxxxxxxxx\n"]
)
def test_a_reply_at_the_limit_is_taken(data):
    """And as many of them as there are, in one piece or in many."""
    replies, _ = fed([data * 50], limit=10)
    assert len(replies) == 50
    assert fed(cut(data * 50, range(1, len(data) * 50)), limit=10)[0] == replies


LONG = b"550 " + b"x" * (ORDINARY + 296)  # 300 bytes count


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
@pytest.mark.parametrize("size", [1, 100, 700, 5000])
def test_replies_are_limited_together(size, ending):
    """Those that fit are taken, however they arrive; ordinary ones between them do not count."""
    one = b"250 ok" + ending + LONG + ending
    taken: list[Reply] = []

    def take(data: bytes) -> None:
        parser = ReplyParser(limit=1000)
        for start in range(0, len(data), size):
            taken.extend(parser.feed(data[start : start + size]))

    with pytest.raises(ReplyTooLong, match="together") as caught:
        take(one * 4)
    taken += caught.value.replies
    assert [len(reply.text) for reply in taken] == [6, len(LONG)] * 3 + [6]


def test_the_lines_of_one_reply_count_together():
    parser = ReplyParser(limit=1000)
    several = b"550-x\r\n" * 100 + b"550 x\r\n"  # 605 bytes, so that 93 count
    for _ in range(10):
        assert len(parser.feed(several)) == 1
    with pytest.raises(ReplyTooLong, match="together"):
        parser.feed(several)


def test_what_was_before_the_last_start_does_not_count():
    parser = ReplyParser(limit=1000)
    for _ in range(10):
        parser.excess = 0
        assert len(parser.feed((LONG + b"\n") * 3)) == 3


def test_any_number_of_ordinary_replies_is_taken():
    reply = b"250 " + b"x" * (ORDINARY - 6) + b"\r\n"
    parser = ReplyParser(limit=1000)
    assert sum(len(parser.feed(reply * 100)) for _ in range(100)) == 10_000


def test_a_long_line_is_not_searched_again_with_each_piece(monkeypatch):
    """Otherwise a line of 1 MiB in small pieces would take minutes."""
    looked_at = 0

    class Piece(bytes):
        def __contains__(self, other):
            nonlocal looked_at
            looked_at += len(self)
            return super().__contains__(other)

    parser = ReplyParser(1 << 20)
    for _ in range(1000):
        assert parser.feed(Piece(b"x" * 100)) == []
    assert looked_at == 100_000
    ((code, text),) = shown(parser.feed(b"\n"))
    assert (code, len(text)) == (0, 100_000)


# -- what is left ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "remainder"),
    [
        (b"421 bye", "421 bye"),
        (b"421 bye\r", "421 bye"),
        (b"421-one\r\n421 tw", "421-one\n421 tw"),
        (b"421-one\r\n", "421-one"),
        (b"250 ok\r\n421 b\xffe", "421 bÿe"),
        (b"250 ok\r\n", ""),
    ],
)
def test_the_remainder_is_what_is_not_complete(data, remainder):
    for pieces in ([data], cut(data, range(1, len(data)))):
        _, parser = fed(pieces)
        assert parser.remainder == remainder
        assert parser.incomplete == bool(remainder)


@pytest.mark.parametrize("data", [b"\r", b" ", b"2"])
def test_a_single_byte_is_something(data):
    """After the reply to STARTTLS it would be an attack."""
    _, parser = fed([ONE_LINE + data])
    assert parser.incomplete


# -- a reply --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 100, 199, 200, 250, 299, 300, 354, 450, 550])
def test_only_2xx_is_positive(code):
    assert Reply(code, "").positive == (code in (200, 250, 299))


def test_lines_are_without_their_codes():
    assert Reply(250, "250-mx.example.com hello\n250-SIZE 1000\nodd line\n250 ok").lines == [
        "mx.example.com hello",
        "SIZE 1000",
        "odd line",
        "ok",
    ]


def test_a_reply_shows_itself():
    assert repr(Reply(250, "250 ok")) == "Reply(250, '250 ok')"


def test_a_reply_makes_an_error():
    error = Reply(550, "550-no\n550 never").failure("Sender refused", "EENVELOPE", "MAIL FROM")
    assert str(error) == "Sender refused: 550-no\n550 never"
    assert (error.code, error.command) == ("EENVELOPE", "MAIL FROM")
    assert (error.response, error.responseCode) == ("550-no\n550 never", 550)
