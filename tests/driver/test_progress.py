"""How much of a message has been sent is told for large ones."""

from __future__ import annotations

import io

import pytest

from smtp_connection import Progress
from smtp_connection.driver.progress import LARGE, follower
from smtp_connection.message.message import Message
from tests.support.helpers import Pull


@pytest.fixture
def follow(reactor):
    """Tell a follower of a message with ``content`` of the bytes in ``sent``, one after another;
    return what is emitted, or ``None`` if nobody is to be told."""

    def run(content, *sent):
        emitted = []
        tell = follower(Message(content, reactor), emitted.append)
        if tell is None:
            return None
        for size in sent:
            tell(size)
        return [(progress.sent, progress["total"]) for progress in emitted]

    return run


@pytest.mark.parametrize("size", [LARGE - 5, LARGE - 4])
def test_a_message_is_large_by_its_size_on_the_wire(follow, size):
    told = follow(b"x" * size, 1)
    assert told == (None if size + 5 <= LARGE else [(1, size + 5)])


@pytest.mark.parametrize(
    "content", [b"x\n" * LARGE, b".\r" * LARGE, "ä.\r\n.\r\n" * LARGE], ids=["LF", "CR", "dots"]
)
def test_the_total_is_what_is_sent_in_the_end(follow, reactor, content):
    size = len(Pull(content, reactor).to_the_end())
    assert follow(content, 10, size) == [(10, size), (size, size)]


def test_where_the_total_is_not_known_only_what_is_large_is_told_of(follow):
    for content in (iter([b"x"]), io.BytesIO(b"x" * 2 * LARGE)):
        assert follow(content, 1, LARGE, LARGE + 1, 2 * LARGE) == [
            (LARGE + 1, None),
            (2 * LARGE, None),
        ]


def test_nothing_is_told_twice(follow):
    assert [sent for sent, _ in follow(b"x" * LARGE, 7, 7, 8)] == [7, 8]


def test_it_is_a_record():
    assert dict(Progress(1, None)) == {"sent": 1, "total": None}
