"""What has gone wrong in other SMTP clients, and must not here.

Several of these defects are among the cases of other modules; here are those that take a whole
session to show.
"""

from __future__ import annotations

import pytest

SMUGGLED = "\r\n.\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nspam"
NUMBERS = range(5)


def content_of(number):
    """Text that looks like commands, and like the end of the message."""
    return f"message {number}\r\nRSET\r\nRCPT TO:<{number + 1}@example.com>{SMUGGLED} {number}"


def wire_of(number):
    return content_of(number).replace("\r\n.", "\r\n..").encode() + b"\r\n"


def whole(number):
    return content_of(number)


def in_pieces(number):
    return iter(content_of(number))


def envelope_of(number):
    return {"from": f"from-{number}@example.com", "to": [f"{number}@example.com"]}


def take(peer, pipelining, refused):
    """Take five messages, that for ``refused`` excepted; return what was asked for each."""
    asked = []
    for number in NUMBERS:
        recipient = ("RCPT", "550 no" if number == refused else "250 ok")
        data = ("DATA", "503 nobody" if number == refused else "354 go")
        if not pipelining and number == refused:
            turns = [("MAIL", "250 ok"), recipient]
        else:
            turns = [("MAIL", "250 ok"), recipient, data]
        if number == refused + 1:
            turns.insert(0, ("RSET", "250 ok"))
        start = len(peer.received) - len(peer._unread)
        peer.play_envelope(*turns, pipelining=pipelining)
        if number != refused:
            assert peer.read_message() == wire_of(number)
            peer.send(f"250 queued {number}\r\n")
        asked.append(peer.received[start:])
    return asked


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize("message", [whole, in_pieces])
@pytest.mark.parametrize("refused", [-2, 2])
def test_five_messages_at_once_do_not_mix(
    serve, connect_to, reactor, diary, message, pipelining, refused
):
    """Elsewhere the commands of one went into the body of another, or its recipients got it."""
    asked = []

    def script(peer):
        peer.greet(*["PIPELINING"] * pipelining)
        asked.extend(take(peer, pipelining, refused))
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    for number in NUMBERS:
        connection.send(envelope_of(number), message(number), diary.callback(f"sent {number}"))
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", *(f"sent {number}" for number in NUMBERS), "end"]
    for number in NUMBERS:
        assert f"MAIL FROM:<from-{number}@example.com>".encode() in asked[number]
        assert f"RCPT TO:<{number}@example.com>\r\n".encode() in asked[number]
        if number == refused:
            assert diary.error(f"sent {number}").rejected == [f"{number}@example.com"]
        else:
            ((err, info),) = diary.of(f"sent {number}")
            assert (err, info.response) == (None, f"250 queued {number}")
            assert info.accepted == [f"{number}@example.com"]


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_message_whose_verdict_is_lost_is_sent_once(
    serve, connect_to, reactor, diary, pipelining
):
    """Elsewhere such a message was sent again by itself, and delivered six times."""
    taken = []

    def script(peer):
        peer.greet(*["PIPELINING"] * pipelining)
        peer.play_envelope(
            ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), pipelining=pipelining
        )
        taken.append(peer.read_message())
        peer.close()

    server = serve(script)
    connection = connect_to(server)
    connection.connect()
    connection.send(envelope_of(1), whole(1), diary.callback("sent"))
    reactor.run()

    assert diary.names() == ["connect", "error", "sent", "end"]
    assert diary.error("sent").inDoubt
    assert taken == [wire_of(1)]
    assert len(server.peers) == 1
