"""``SMTPConnection`` against scripted servers: the usual course of things."""

from __future__ import annotations


def test_a_message_from_connect_to_quit(serve, connect_to, reactor, diary):
    def script(peer):
        peer.greet()
        assert peer.take_message() == b"Subject: hi\r\n\r\n..dots\r\n"
        peer.take_quit()

    connection = connect_to(serve(script))
    envelope = {"from": "a@example.com", "to": "b@example.com"}

    def sent(err, info):
        diary.entries.append(("sent", err, info))
        connection.quit()

    connection.connect(lambda: connection.send(envelope, "Subject: hi\n\n.dots", sent))
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.accepted == ["b@example.com"]
    assert info["rejected"] == []
    assert info.response == "250 2.0.0 queued"
    assert info.messageSize == len(b"Subject: hi\r\n\r\n..dots\r\n.\r\n")
