"""Envelope and message in one dict."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from smtp_connection import SMTPError
from smtp_connection.message.whole import envelope_and_message
from tests.support.helpers import wire_of

ENVELOPE = {"from": "a@x.org", "to": ["b@x.org"]}
RAW = "Subject: hi\n\nhello"
WIRE = b"Subject: hi\r\n\r\nhello\r\n.\r\n"


def letter():
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = "a@x.org", "B <b@x.org>", "carol@x.org"
    message.set_content("hello")
    return message


@pytest.mark.parametrize(
    ("mail", "envelope"),
    [
        ({"from": "A <a@x.org>", "to": "b@x.org", "text": "hello"}, ENVELOPE),
        (
            {"from": "a@x.org", "to": "b@x.org", "bcc": "carol@x.org", "text": "hello"},
            {"from": "a@x.org", "to": ["b@x.org", "carol@x.org"]},
        ),
        ({"from": "z@x.org", "to": "y@x.org", "text": "hello", "envelope": ENVELOPE}, ENVELOPE),
        ({"text": "hello", "Envelope": ENVELOPE, "raw": None}, ENVELOPE),
    ],
)
def test_a_mail_to_be_composed(mail, envelope, reactor):
    given = dict(mail)
    found, message = envelope_and_message(mail)
    assert found == envelope
    wire = wire_of(message, reactor)
    assert b"\r\n\r\nhello\r\n" in wire
    assert b"carol@x.org" not in wire
    assert mail == given


@pytest.mark.parametrize(
    "raw", [RAW, RAW.encode(), iter([RAW]), {"content": RAW}, {"content": RAW.encode()}]
)
def test_a_finished_message(raw, reactor):
    found, message = envelope_and_message({"envelope": ENVELOPE, "raw": raw})
    assert found == ENVELOPE
    assert wire_of(message, reactor) == WIRE


def test_a_finished_message_in_a_file(reactor, tmp_path):
    path = tmp_path / "letter.eml"
    path.write_text(RAW)
    _, message = envelope_and_message({"envelope": ENVELOPE, "raw": {"path": path}})
    assert wire_of(message, reactor) == WIRE
    with path.open("rb") as file:
        _, message = envelope_and_message({"envelope": ENVELOPE, "raw": file})
        assert wire_of(message, reactor) == WIRE


@pytest.mark.parametrize(
    ("raw", "text"), [({"path": "/nowhere"}, "/nowhere"), ({"contents": RAW}, "contents")]
)
def test_a_finished_message_that_cannot_be_read(raw, text, reactor):
    found, message = envelope_and_message({"envelope": ENVELOPE, "raw": raw})
    assert found == ENVELOPE
    with pytest.raises(SMTPError) as caught:
        wire_of(message, reactor)
    assert caught.value.code == "EMESSAGE"
    assert text in str(caught.value)


def test_addresses_beside_a_finished_message_are_its_envelope(reactor):
    mail = {"from": "A <a@x.org>", "to": "b@x.org", "cc": ["carol@x.org"], "raw": RAW}
    found, message = envelope_and_message(mail)
    assert found == {"from": "a@x.org", "to": ["b@x.org", "carol@x.org"]}
    assert wire_of(message, reactor) == WIRE


@pytest.mark.parametrize("wrap", [lambda raw: raw, lambda raw: {"raw": raw}], ids=["alone", "raw"])
def test_an_email_message_has_its_own_envelope(wrap, reactor):
    found, message = envelope_and_message(wrap(letter()))
    assert found == {"from": "a@x.org", "to": ["b@x.org", "carol@x.org"]}
    assert b"Bcc" not in wire_of(message, reactor)


@pytest.mark.parametrize(
    ("mail", "code", "text"),
    [
        (RAW, "EENVELOPE", "'raw': message"),
        (RAW.encode(), "EENVELOPE", "'raw': message"),
        (7, "EENVELOPE", "got int"),
        ({"raw": RAW}, "EENVELOPE", "got str"),
        ({"raw": RAW, "envelope": ENVELOPE, "subject": "hi"}, "EMESSAGE", "'subject'"),
        ({"raw": RAW, "from": "a@x.org", "replyTo": "b@x.org"}, "EMESSAGE", "'replyTo'"),
        ({"raw": RAW, "headers": {"X-Own": "ours"}}, "EMESSAGE", "'X-Own'"),
        ({"raw": RAW, "RAW": RAW}, "EMESSAGE", "'raw' is given twice"),
        ({"form": "a@x.org"}, "EMESSAGE", "did you mean 'from'"),
        ({"from": "a@x.org", "to": "b@"}, "EENVELOPE", "b@"),
        ({7: "a@x.org"}, "EMESSAGE", "7"),
    ],
)
def test_what_is_no_mail(mail, code, text):
    with pytest.raises(SMTPError) as caught:
        envelope_and_message(mail)
    assert caught.value.code == code
    assert text in str(caught.value)
