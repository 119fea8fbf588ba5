"""The Message-ID in a final reply, where its form is known."""

from __future__ import annotations

import pytest

from smtp_connection.protocol.message_ids import server_message_id

SES = "250 Ok 0100018B5c3c0a4f-11aa-000000"


@pytest.mark.parametrize(
    ("response", "host", "found"),
    [
        (
            "250 2.0.0 OK <AB1@XY2PR01.eurprd01.prod.outlook.com> [Hostname=XY2PR01]",
            "smtp.office365.com",
            "<AB1@XY2PR01.eurprd01.prod.outlook.com>",
        ),
        ("250 2.0.0 OK <AB1@evil.example> [Hostname=x]", "smtp.office365.com", None),
        (
            SES,
            "email-smtp.eu-west-1.amazonaws.com",
            "<0100018b5c3c0a4f-11aa-000000@eu-west-1.amazonses.com>",
        ),
        (
            SES,
            "email-smtp.us-east-1.amazonaws.com.",
            "<0100018b5c3c0a4f-11aa-000000@email.amazonses.com>",
        ),
        (SES, "smtp.example.com", None),
        (SES, "eu-west-1.amazonaws.com.evil.example", None),
        (SES, "mail.amazonaws.com", None),
        ("250 2.0.0 Ok: queued as 4F2A", "mx.example.com", None),
        ("", "", None),
    ],
)
def test_the_id_is_read_in_the_known_forms_only(response, host, found):
    assert server_message_id(response, host) == found


def test_info_carries_it(serve, connect_to, reactor, diary):
    reply = "250 2.0.0 OK <AB1@XY2PR01.eurprd01.prod.outlook.com> [Hostname=XY2PR01]"

    def script(peer):
        peer.greet("SIZE 1000")
        peer.take_message(final=reply)
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send({"from": "", "to": "b@x.org"}, "hello", diary.callback("sent"))
    connection.quit()
    reactor.run()

    ((err, info),) = diary.of("sent")
    assert err is None
    assert info.serverMessageId == "<AB1@XY2PR01.eurprd01.prod.outlook.com>"
    assert info.ehlo == ["SIZE 1000"]
    assert info.messageSize == len("hello\r\n.\r\n")
    assert isinstance(info.envelopeTime, int)
    assert isinstance(info.messageTime, int)
