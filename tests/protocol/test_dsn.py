"""Delivery status notifications: what is asked for, and what is refused."""

from __future__ import annotations

import pytest

from smtp_connection import SMTPError
from smtp_connection.protocol.dsn import DSN
from smtp_connection.protocol.envelope import Envelope
from tests.support.desk import Desk


@pytest.mark.parametrize(
    ("given", "mail", "rcpt"),
    [
        ({}, "", ""),
        ({"ret": "full"}, " RET=FULL", ""),
        ({"return": "headers"}, " RET=HDRS", ""),
        ({"ret": "Body"}, " RET=FULL", ""),
        ({"envid": "id-1"}, " ENVID=id-1", ""),
        ({"id": "a+b=c d"}, " ENVID=a+2Bb+3Dc+20d", ""),
        ({"envid": "é"}, " ENVID=+C3+A9", ""),
        ({"notify": "never"}, "", " NOTIFY=NEVER"),
        ({"notify": "success, failure"}, "", " NOTIFY=SUCCESS,FAILURE"),
        ({"notify": ["delay", "DELAY"]}, "", " NOTIFY=DELAY"),
        ({"orcpt": "a@x.org"}, "", " ORCPT=rfc822;a@x.org"),
        ({"recipient": "RFC822;a+b@x.org"}, "", " ORCPT=RFC822;a+2Bb@x.org"),
        ({"orcpt": "josé@x.org"}, "", " ORCPT=utf-8;jos\\x{E9}@x.org"),
        (
            {"ret": "HDRS", "envid": "e", "notify": "FAILURE", "orcpt": "a@x.org"},
            " RET=HDRS ENVID=e",
            " NOTIFY=FAILURE ORCPT=rfc822;a@x.org",
        ),
    ],
)
def test_the_request_becomes_parameters_of_mail_and_rcpt(given, mail, rcpt):
    dsn = DSN(given)
    assert (dsn.mail, dsn.rcpt) == (mail, rcpt)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"ret": "ALL"}, "ret"),
        ({"ret": 5}, "ret"),
        ({"envid": "a\r\nRSET"}, "envid"),
        ({"envid": "x" * 101}, "envid"),
        ({"envid": "+" * 34}, "envid"),
        ({"envid": "\udc80"}, "envid"),
        ({"notify": "NEVER,SUCCESS"}, "notify"),
        ({"notify": ["SUCCESS", 5]}, "notify"),
        ({"notify": 5}, "notify"),
        ({"notify": "ALWAYS"}, "notify"),
        ({"orcpt": "a@x.org\r\nRSET"}, "orcpt"),
        ({"orcpt": "bad type;a@x.org"}, "orcpt"),
        ({"orcpt": "rfc822;"}, "orcpt"),
        ({"orcpt": "a" * 501}, "orcpt"),
        ({"notfiy": "NEVER"}, "notify"),
        ("FULL", "request"),
    ],
)
def test_a_bad_value_is_refused_by_name(given, field):
    with pytest.raises(SMTPError) as caught:
        DSN(given)
    assert caught.value.code == "EENVELOPE"
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("own", "rcpt"),
    [
        ({}, " NOTIFY=FAILURE ORCPT=rfc822;a@x.org"),
        ({"notify": "NEVER"}, " NOTIFY=NEVER ORCPT=rfc822;a@x.org"),
        ({"orcpt": "c@x.org"}, " NOTIFY=FAILURE ORCPT=rfc822;c@x.org"),
        ({"Recipient": "c@x.org", "notify": ["DELAY"]}, " NOTIFY=DELAY ORCPT=rfc822;c@x.org"),
    ],
)
def test_a_recipient_may_ask_for_something_else(own, rcpt):
    dsn = DSN({"ret": "HDRS", "notify": "FAILURE", "orcpt": "a@x.org"})
    assert dsn.rcpt_for(own) == rcpt
    assert dsn.rcpt == " NOTIFY=FAILURE ORCPT=rfc822;a@x.org"


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"ret": "FULL"}, "unknown dsn key of a recipient 'ret'"),
        ({"envid": "e"}, "unknown dsn key of a recipient 'envid'"),
        ({"notify": "ALWAYS"}, "Invalid DSN notify 'ALWAYS'"),
        ({"orcpt": "a\nb"}, "Invalid DSN orcpt"),
        ("NEVER", "Invalid DSN request 'NEVER': it takes a dict with notify and orcpt"),
    ],
)
def test_what_a_recipient_may_not_ask_for(own, text):
    with pytest.raises(SMTPError) as caught:
        Envelope.parse({"to": [{"address": "b@x.org", "dsn": own}]})
    assert caught.value.code == "EENVELOPE"
    assert text in str(caught.value)


def test_an_envelope_with_a_bad_request_is_refused():
    with pytest.raises(SMTPError, match="DSN ret"):
        Envelope.parse({"from": "a@x.org", "to": "b@x.org", "dsn": {"ret": "some"}})


@pytest.mark.parametrize("dsn", [{}, {"dsn": {"notify": "FAILURE"}}])
def test_each_recipient_has_its_own_parameters(dsn):
    to = ["b@x.org", {"address": "c@x.org", "dsn": {"notify": "NEVER"}}, {"address": "d@x.org"}]
    of_all = " NOTIFY=FAILURE" if dsn else ""
    desk = Desk("PIPELINING", "DSN")
    talk = desk.send(["250 ok"] * 4 + ["354 go"], ["250 queued"], to=to, **dsn)
    assert talk.said[0][1:4] == [
        f"RCPT TO:<b@x.org>{of_all}",
        "RCPT TO:<c@x.org> NOTIFY=NEVER",
        f"RCPT TO:<d@x.org>{of_all}",
    ]
    talk = Desk("PIPELINING").send(["250 ok"] * 4 + ["354 go"], ["250 queued"], to=to, **dsn)
    assert talk.said[0][1:4] == [f"RCPT TO:<{letter}@x.org>" for letter in "bcd"]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("announced", [True, False])
def test_the_parameters_are_sent_only_where_dsn_is_announced(
    serve, connect_to, reactor, diary, pipelining, announced
):
    def script(peer):
        peer.greet(*["PIPELINING"] * pipelining, *["DSN"] * announced)
        peer.take_message(recipients=2)
        peer.take_quit()

    connection = connect_to(serve(script))
    connection.connect()
    connection.send(
        {
            "from": "a@x.org",
            "to": ["b@x.org", "c@x.org"],
            "dsn": {"ret": "HDRS", "envid": "e", "notify": "FAILURE"},
        },
        "hello",
        diary.callback("sent"),
    )
    connection.quit()
    reactor.run()

    assert diary.names() == ["connect", "sent", "end"]
    commands = diary.commands()[1:4]
    if announced:
        assert commands == [
            "MAIL FROM:<a@x.org> RET=HDRS ENVID=e",
            "RCPT TO:<b@x.org> NOTIFY=FAILURE",
            "RCPT TO:<c@x.org> NOTIFY=FAILURE",
        ]
    else:
        assert commands == ["MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>"]
