"""How often the reactor asks the system for news: no more often than the server speaks."""

from __future__ import annotations

import itertools
import selectors

import pytest

from smtp_connection import Reactor, SMTPConnection

MESSAGES = 10
ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}


class Counting(selectors.DefaultSelector):
    """Counts how often it is asked."""

    count = 0

    def select(self, timeout=None):
        self.count += 1
        return super().select(timeout)


def _take_messages(peer):
    peer.greet("PIPELINING")
    for _ in range(MESSAGES):
        peer.play_envelope(
            ("MAIL FROM:", "250 ok"), ("RCPT TO:", "250 ok"), ("DATA", "354 go"), pipelining=True
        )
        peer.read_message()
        peer.send("250 queued\r\n")
    peer.take_quit()


@pytest.mark.parametrize("queued", [False, True], ids=["in the callback of the last", "queued"])
def test_a_message_takes_at_most_two_waits(serve, queued):
    """One for the replies to its envelope, and one for the verdict."""
    server = serve(_take_messages)
    counts = []
    with Reactor(selector=Counting()) as reactor:
        connection = SMTPConnection({"host": server.host, "port": server.port}, reactor=reactor)

        def send():
            connection.send(ENVELOPE, "Subject: hi\r\n\r\nhi", sent)

        def sent(err, info):
            assert err is None
            counts.append(reactor._selector.count)
            if len(counts) == MESSAGES:
                connection.quit()
            elif not queued:
                send()

        def connected():
            for _ in range(MESSAGES if queued else 1):
                send()

        connection.connect(connected)
        reactor.run()
    between = [after - before for before, after in itertools.pairwise(counts)]
    assert max(between) <= 2
