"""Transports that give the mail to the program."""

from __future__ import annotations

import base64
import datetime
import io
import json
from email.message import EmailMessage

import pytest

from smtp_connection import createTransport
from smtp_connection.transports.stream import _with_breaks

MAIL = {"from": "A <a@x.org>", "to": "b@x.org", "subject": "Hi", "text": "hello\nthere"}


@pytest.fixture
def send(reactor):
    """Send ``mail`` by a transport with these options, and return error and info."""

    def run(mail, **options):
        results = []
        transport = createTransport(options, reactor=reactor)
        transport.sendMail(mail, lambda err, info: results.append((err, info)))
        assert results == []
        reactor.run()
        (result,) = results
        return result

    return run


def test_a_stream(send):
    err, info = send(MAIL, streamTransport=True)
    assert err is None
    message = b"".join(info.message)
    assert message.startswith(b"From: A <a@x.org>\r\nTo: b@x.org\r\n")
    assert message.endswith(b"\r\n\r\nhello\r\nthere")
    assert f"Message-ID: {info.messageId}".encode() in message
    assert info.envelope == {"from": "a@x.org", "to": ["b@x.org"]}
    assert list(info) == ["envelope", "messageId", "message"]


@pytest.mark.parametrize(("newline", "end"), [("unix", b"\n"), ("windows", b"\r\n")])
def test_all_of_it_with_other_line_breaks(send, newline, end):
    err, info = send(MAIL, streamTransport=True, buffer=True, newline=newline)
    assert err is None
    assert info.message.endswith(b"hello" + end + b"there")
    assert info.message.count(b"\r\n") == (0 if newline == "unix" else info.message.count(b"\n"))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_line_breaks_may_be_cut_anywhere(size):
    text = b"\r\na\nb\r\rc\r\n\r\nd\r"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert b"".join(_with_breaks(iter(pieces), "|")) == b"|a|b||c||d|"
    assert b"".join(_with_breaks(iter(["a\n", b"b"]), None)) == b"a\nb"


def test_a_finished_message(send):
    for raw in ("as is", b"as is", io.BytesIO(b"as is"), iter(["as ", b"is"])):
        mail = {"from": "a@x.org", "to": "b@x.org", "raw": raw}
        err, info = send(mail, streamTransport=True, buffer=True)
        assert (err, info.message) == (None, b"as is")


def test_a_file_that_is_missing(send, tmp_path):
    mail = {**MAIL, "attachments": [{"path": str(tmp_path / "missing")}]}
    err, _ = send(mail, streamTransport=True, buffer=True)
    assert err.code == "EMESSAGE"
    assert "missing" in str(err)
    err, _ = send(mail, jsonTransport=True)
    assert (err.code, "missing" in str(err)) == ("EMESSAGE", True)


def test_a_source_that_fails(send):
    def generate():
        raise LookupError("gone")
        yield b""

    mail = {"from": "a@x.org", "to": "b@x.org", "raw": generate()}
    err, _ = send(mail, streamTransport=True, buffer=True)
    assert (err.code, str(err)) == ("EMESSAGE", "'raw' cannot be read: gone")
    assert isinstance(err.__cause__, LookupError)


def test_what_is_wrong_is_told(send):
    for options in ({"streamTransport": True}, {"jsonTransport": True}):
        err, info = send({**MAIL, "to": []}, **options)
        assert (err.code, info) == ("EENVELOPE", None)


def test_there_is_always_room_and_nothing_to_verify(reactor):
    told = []
    for options in ({"streamTransport": True}, {"jsonTransport": True}):
        transport = createTransport(options, reactor=reactor)
        assert transport.isIdle()
        assert transport.transporter.name
        assert transport.transporter.version
        transport.verify(lambda err, ok: told.append((err, ok)))
        transport.close(lambda: told.append("closed"))
    reactor.run()
    assert told == [(None, True), "closed"] * 2


def test_json(send, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_bytes(b"from a file")
    mail = {
        "from": {"name": "A", "address": "a@x.org"},
        "to": "B <b@x.org>, c@x.org",
        "subject": "Hi",
        "text": {"path": str(file)},
        "html": b"<p>hi</p>",
        "date": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        "attachments": [
            {"filename": "a.bin", "content": b"\0\1"},
            {"path": str(file)},
            {"content": io.StringIO("text"), "contentType": "text/calendar"},
            {"filename": "parts", "content": [b"a", "b"]},
        ],
        "headers": {"X-One": ["1", "2"]},
        "bcc": None,
    }
    err, info = send(mail, jsonTransport=True)
    assert err is None
    assert json.loads(info.message) == {
        "from": {"address": "a@x.org", "name": "A"},
        "to": [{"address": "b@x.org", "name": "B"}, {"address": "c@x.org", "name": ""}],
        "subject": "Hi",
        "text": "from a file",
        "html": "<p>hi</p>",
        "date": "2026-01-02T00:00:00+00:00",
        "attachments": [
            {
                "filename": "a.bin",
                "contentType": "application/octet-stream",
                "content": "AAE=",
                "encoding": "base64",
            },
            {
                "filename": "notes.txt",
                "contentType": "text/plain",
                "content": base64.b64encode(b"from a file").decode(),
                "encoding": "base64",
            },
            {"filename": "attachment-3.ics", "contentType": "text/calendar", "content": "text"},
            {
                "filename": "parts",
                "contentType": "application/octet-stream",
                "content": "YWI=",
                "encoding": "base64",
            },
        ],
        "headers": {"X-One": ["1", "2"]},
        "messageId": info.messageId,
    }


def test_json_of_what_is_no_mere_text(send):
    mail = {
        "reply_to": "c@x.org",
        "from": "a@x.org",
        "bcc": ["b@x.org"],
        "text": {"content": "aGk=", "encoding": "base64", "headers": {"X-Part": "1"}},
        "icalEvent": {"method": "REQUEST", "content": b"BEGIN:VCALENDAR", "filename": "a.ics"},
        "alternatives": {"contentType": "text/x-web", "content": iter([b"a"])},
        "headers": [{"key": "X-A", "value": "1"}, {"key": "Subject", "value": "of a header"}],
        "priority": "high",
    }
    err, info = send(mail, jsonTransport=True, skipEncoding=True)
    assert err is None
    assert info.message == {
        "replyTo": [{"address": "c@x.org", "name": ""}],
        "from": {"address": "a@x.org", "name": ""},
        "bcc": [{"address": "b@x.org", "name": ""}],
        "text": {"headers": {"X-Part": "1"}, "content": "hi"},
        "icalEvent": {"filename": "a.ics", "method": "REQUEST", "content": "BEGIN:VCALENDAR"},
        "alternatives": [
            {
                "contentType": "text/x-web",
                "filename": "attachment-1.txt",
                "content": "YQ==",
                "encoding": "base64",
            }
        ],
        "priority": "high",
        "subject": "of a header",
        "headers": {"X-A": "1"},
        "messageId": info.messageId,
    }


def test_json_of_a_finished_message(send):
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Message-ID"] = "a@x.org", "b@x.org", "<1@x.org>"
    err, info = send(letter, jsonTransport=True, skipEncoding=True)
    assert err is None
    assert info.message["raw"].startswith("From: a@x.org\r\n")
    assert info.message["messageId"] == info.messageId == "<1@x.org>"


def test_nobody_reads_files_that_they_may_not_read(send, tmp_path):
    mail = {**MAIL, "html": {"path": str(tmp_path)}}
    for way in ("streamTransport", "jsonTransport"):
        err, info = send(mail, **{way: True}, disableFileAccess=True)
        assert (err.code, info) == ("EFILEACCESS", None)


def test_a_stream_shows_who_gets_blind_copies(send):
    err, info = send({**MAIL, "bcc": "c@x.org"}, streamTransport=True, buffer=True)
    assert err is None
    assert b"\r\nBcc: c@x.org\r\n" in info.message


def test_json_as_a_dict(send):
    mail = {**MAIL, "envelope": {"from": "x@x.org", "to": "y@x.org"}}
    err, info = send(mail, jsonTransport=True, skipEncoding=True)
    assert err is None
    assert info.message["subject"] == "Hi"
    assert "envelope" not in info.message
    assert info.envelope == {"from": "x@x.org", "to": ["y@x.org"]}
