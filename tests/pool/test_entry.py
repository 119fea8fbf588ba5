"""One message in a pool: what is kept of it, and whether it can be read again."""

from __future__ import annotations

import datetime
import io
import pathlib
import socket
from email.message import EmailMessage

import pytest
from pyee import EventEmitter

from smtp_connection import compose
from smtp_connection.message.sources import EmitterSource
from smtp_connection.pool.entry import Entry


@pytest.fixture
def entry(reactor):
    return lambda message: Entry({"from": "a@x.org", "to": "b@x.org"}, message, None, reactor)


def generate():
    yield b"x"


MAIL = {
    "from": "a@x.org",
    "to": ["b@x.org", {"name": "C", "address": "c@x.org"}],
    "date": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    "text": "hi",
    "attachments": [{"filename": "a", "content": b"a"}, {"path": pathlib.Path("/etc/hostname")}],
}


@pytest.mark.parametrize(
    "message",
    ["text", b"bytes", bytearray(b"x"), memoryview(b"x"), [b"a", b"b"], ("a",), MAIL, None],
    ids=lambda message: type(message).__name__,
)
def test_what_can_be_read_again(entry, message):
    assert entry(message).replayable


def test_an_email_can_be_read_again(entry):
    assert entry(EmailMessage()).replayable


@pytest.mark.parametrize("kind", ["content", "text"])
def test_a_mail_with_a_stream_in_it_cannot(entry, kind):
    stream = io.BytesIO(b"x")
    mail = {"text": stream} if kind == "text" else {"attachments": [{"content": stream}]}
    assert not entry({"from": "a@x.org", "to": "b@x.org", **mail}).replayable


def test_a_socket_or_an_emitter_cannot(entry):
    with socket.socket() as sock:
        assert not entry(sock).replayable
    emitter = EventEmitter()
    made = entry(emitter)
    assert isinstance(made.message, EmitterSource)
    assert emitter.listeners("data")
    assert not made.replayable
    made.settle(None)
    made.tell(print)
    assert not emitter.listeners("data")


def test_a_generator_can_until_it_has_run(entry):
    made = entry(generate())
    assert made.replayable
    assert next(iter(made.message)) == b"x"
    assert not made.replayable


def test_a_file_can_if_it_can_be_put_back(entry, tmp_path):
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    made = entry(file)
    assert not made.replayable  # nobody knows yet from where
    made.before_sending()
    assert file.read() == b"456789"
    assert made.replayable
    made.before_sending()
    assert file.read() == b"456789"
    file.close()
    assert not made.replayable


def test_what_cannot_be_put_back(entry):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    made = entry(Pipe(b"x"))
    made.before_sending()
    assert not made.replayable


def test_what_is_kept_does_not_change(entry, reactor):
    to = ["b@x.org"]
    envelope = {"from": "a@x.org", "to": to}
    made = Entry(envelope, dict(MAIL), None, reactor)
    to.append("c@x.org")
    envelope["from"] = "other@x.org"
    assert made.envelope == {"from": "a@x.org", "to": ["b@x.org"]}
    made = Entry(envelope, "text", None, reactor)
    to.append("d@x.org")
    envelope["to"] = "e@x.org"
    kept = made.envelope
    assert (kept.sender, kept.recipients) == ("other@x.org", ["b@x.org", "c@x.org"])
    odd = object()
    assert Entry(odd, "x", None, reactor).envelope is odd


def test_composed_messages_can_be_read_again_unless_a_stream_is_in_them(entry):
    mail = {"from": "a@x.org", "to": "b@x.org", "text": "hi" * 50_000}
    path, stream = {"path": "/etc/hostname"}, {"content": generate()}
    assert entry(compose(mail)).replayable
    assert entry(compose({**mail, "attachments": [path]})).replayable
    assert not entry(compose({**mail, "attachments": [path, stream]})).replayable


@pytest.mark.parametrize(
    ("message", "at_once"),
    [
        ("x", True),
        (b"x", True),
        (generate(), True),
        ({**MAIL, "attachments": []}, True),
        (MAIL, False),
        (EmailMessage(), True),
        ([b"x"], False),
    ],
    ids=["text", "bytes", "generator", "mail", "mail with files", "email", "list"],
)
def test_whether_mail_comes_first(entry, message, at_once):
    assert entry(message).begins_at_once is at_once


def test_the_first_outcome_counts_and_is_told_once(reactor):
    told = []
    made = Entry({}, "x", lambda err, info: told.append((err, info)), reactor)
    made.settle(None, "info")
    made.settle(None, "another")
    made.tell(print)
    made.tell(print)
    assert told == [(None, "info")]
    assert made.message is None


def test_callbacks_take_what_they_declare(reactor):
    told = []
    for callback in (lambda: told.append(()), lambda err, info="kept": told.append(info)):
        made = Entry({}, "x", callback, reactor)
        made.settle(LookupError("no"))
        made.tell(print)
    assert told == [(), "kept"]
    reported = []
    made = Entry({}, "x", None, reactor)
    made.settle(LookupError("no"))
    made.tell(reported.append)
    assert str(reported[0]) == "no"
