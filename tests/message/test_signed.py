"""Messages that are signed before they are sent."""

from __future__ import annotations

import gc
import io
import os
import re
import sys
import tempfile
import tracemalloc
import weakref
from email.message import EmailMessage

import pytest
from pyee import EventEmitter

from smtp_connection.message.message import Message
from smtp_connection.message.signed import Signed
from smtp_connection.message.sources import EmitterSource
from smtp_connection.mime.compose import compose
from smtp_connection.options.dkim import DKIMOptions
from tests.support.helpers import open_files, turn_until, wire_of
from tests.support.mails import refused
from tests.support.signatures import BOTH, ED25519, is_verified, tags

DKIM = DKIMOptions.parse(ED25519)
TEXT = "From: a@x.org\nTo: b@y.org\nSubject: gr\u00fc\u00dfe\n\n.dot\n  two  blanks \r\n\n"
MAIL = {"from": "a@x.org", "to": "b@y.org", "subject": "grüße", "text": "hi\n.\n"}
LARGE = b"".join(b"%d\r\n.%s\n" % (number, b"x " * (number % 49)) for number in range(20_000))


class Reader:
    """Has nothing but ``read()``."""

    def __init__(self, text):
        self.pieces = [text[:7], text[7:]]

    def read(self, size):
        return self.pieces.pop(0) if self.pieces else b""


def email_message():
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@x.org", "b@y.org", "s" * 200
    message.set_content("Grüße\n")
    return message


def undoubled(wire):
    assert wire.endswith(b"\r\n.\r\n")
    return re.sub(rb"(?m)^\.\.", b".", wire[:-3])


def pulled(content, reactor, dkim=DKIM):
    """What ``content`` is on the wire, signed."""
    message = Message(content, reactor, {}, dkim)
    assert (message.whole, message.lazy, message.known_size()) == (False, False, 0)
    return wire_of(message, reactor)


def piped(text):
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    return open(reader, "rb")


KINDS = {
    "str": lambda path: TEXT,
    "bytes": lambda path: TEXT.encode(),
    "bytearray": lambda path: bytearray(TEXT.encode()),
    "large": lambda path: TEXT.encode() + LARGE,
    "file": lambda path: path.open("rb"),
    "file in memory": lambda path: io.StringIO(TEXT),
    "pipe": lambda path: piped(TEXT.encode()),
    "reader": lambda path: Reader(TEXT.encode()),
    "list": lambda path: [TEXT[:10], TEXT[10:]],
    "generator": lambda path: (letter for letter in TEXT),
    "EmailMessage": lambda path: email_message(),
    "dict": lambda path: MAIL,
    "large dict": lambda path: {**MAIL, "attachments": [{"content": LARGE}, {"path": path}]},
    "raw": lambda path: {"envelope": {"from": "a@x.org"}, "raw": TEXT},
    "composed": lambda path: compose(MAIL),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_message_is_it_is_signed(reactor, tmp_path, kind):
    path = tmp_path / "message.eml"
    path.write_bytes(TEXT.encode() + LARGE)
    before = open_files()
    content = KINDS[kind](path)
    wire = pulled(content, reactor)
    assert is_verified(undoubled(wire))
    if hasattr(content, "close") and not hasattr(content, "send"):
        content.close()
    assert open_files() == before


def test_a_stream_of_node(reactor):
    emitter = EventEmitter()
    message = Message(emitter, reactor, {}, DKIM)
    reactor.call_soon(lambda: (emitter.emit("data", TEXT), emitter.emit("end")))
    assert is_verified(undoubled(wire_of(message, reactor)))


def test_what_is_sent_is_what_was_given_with_a_signature_in_front(reactor):
    wire = undoubled(pulled(TEXT.encode() + LARGE, reactor))
    _, found, rest = wire.partition(b"From: a@x.org\r\n")
    assert (found + rest).replace(b"\r\n", b"\n") == (TEXT.encode() + LARGE).replace(b"\r\n", b"\n")


def test_the_mail_wins_over_the_option(reactor):
    mail = {**MAIL, "dkim": BOTH}
    for content in (mail, compose(mail), Signed(compose(MAIL), DKIMOptions.parse(BOTH))):
        wire = undoubled(pulled(content, reactor))
        assert wire.count(b"DKIM-Signature:") == 2
        assert is_verified(wire, 2)
    message = Message(mail, reactor)
    assert is_verified(undoubled(wire_of(message, reactor)), 2)


def test_a_finished_mail_that_says_how_it_is_signed(reactor):
    mail = {"envelope": {"from": "a@x.org"}, "raw": io.BytesIO(TEXT.encode()), "dkim": ED25519}
    assert is_verified(undoubled(wire_of(Message(mail, reactor), reactor)))


# -- what is known of it, and when -----------------------------------------------------------------


@pytest.mark.parametrize("content", [TEXT, TEXT.encode() + LARGE, TEXT.rstrip(), MAIL])
def test_its_size_is_known_once_it_is_signed(reactor, content):
    message = Message(content, reactor, {}, DKIM)
    message.start(reactor, lambda: None)
    assert message.wire_size() is None
    while not message.has_begun():
        reactor.run_once(0)
    size, on_wire = message.known_size(), message.wire_size()
    pieces = []
    while (piece := message.next_wire()) is not None:
        pieces.append(piece)
    wire = b"".join(pieces)
    message.close()
    assert (size, on_wire) == (len(undoubled(wire)), len(wire))
    assert message.size == len(wire)


def test_headers_that_need_smtputf8(reactor):
    for content, international in ((TEXT, True), (TEXT.encode("ascii", "replace"), False)):
        message = Message(iter([content]), reactor, {}, DKIM)
        message.start(reactor, lambda: None)
        assert not message.is_international()
        assert message.has_begun()
        assert message.is_international() is international
        message.close()
    assert Message(TEXT, reactor, {}, DKIM).is_international()


def test_8bit_is_known_as_without_a_signature(reactor):
    mail = {**MAIL, "text": {"content": "ü", "contentTransferEncoding": "8bit"}}
    assert Message(mail, reactor, {}, DKIM).is_8bit()


def test_it_can_be_sent_again_before_it_was_read(reactor):
    message = Message({**MAIL, "attachments": {"content": LARGE}}, reactor, {}, DKIM)
    other = message.again()
    assert is_verified(undoubled(wire_of(message, reactor)))
    assert message.again() is None
    assert is_verified(undoubled(wire_of(other, reactor)))
    assert Message(iter([TEXT]), reactor, {}, DKIM).again() is None


# -- memory, and others ---------------------------------------------------------------------------


def test_memory_stays_flat_and_nobody_waits_for_long(reactor, tmp_path):
    """The message is many times as long as what may be held of it."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        for _ in range(60):
            file.write(os.urandom(512 * 1024))
    message = Message({**MAIL, "attachments": {"path": path}}, reactor, {}, DKIM)
    turns, read = [0], []

    def turn():
        turns[0] += 1
        if not read:
            reactor.call_soon(turn)

    def begin():
        if message.has_begun():
            read.append(True)

    tracemalloc.start()
    message.start(reactor, begin)
    reactor.call_soon(begin)
    reactor.call_soon(turn)
    turn_until(reactor, lambda: read)
    size = 0
    while (piece := message.next_wire()) is not None:
        size += len(piece)
        assert len(piece) < 200_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    message.close()
    assert size > 40_000_000
    assert most < 4_000_000
    # In each turn of the reactor, at most about 300 KB were signed.
    assert turns[0] > size / 320_000


def test_nothing_is_left_open(reactor, monkeypatch):
    files = []
    original = tempfile.TemporaryFile

    def note(*args, **more):
        files.append(original(*args, **more))
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", note)
    small = DKIMOptions.parse({**ED25519, "cacheTreshold": 1000})
    message = Message([TEXT, LARGE], reactor, {}, small)
    message.start(reactor, lambda: None)
    while not message.has_begun():
        reactor.run_once(0)
    assert not files[0].closed
    message.close()
    assert files[0].closed


def test_a_source_that_is_given_up_is_closed(reactor):
    closed = []

    def generate():
        try:
            yield TEXT
            yield ""
            yield LARGE * 10
        finally:
            closed.append(True)

    message = Message(generate(), reactor, {}, DKIM)
    message.start(reactor, lambda: None)
    message.has_begun()
    message.close()
    assert closed == [True]
    emitter = EventEmitter()
    message = Message(EmitterSource(emitter, reactor), reactor, {}, DKIM)
    message.close()
    assert not emitter.listeners("data")


def test_nobody_keeps_it(reactor):
    message = Message(TEXT, reactor, {}, DKIM)
    gone = weakref.ref(message._source)
    wire_of(message, reactor)
    del message
    gc.collect()
    assert gone() is None


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, lambda text: iter([text])], ids=["str", "iterator"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello", "one on each line, and line 1 is 'hello'"),
        ("\nhello", "it begins with an empty line, so that it has no headers"),
        ("A: b\n\0oops\n\nhello", r"line 2 is '\x00oops'"),
    ],
)
def test_what_cannot_be_signed(reactor, kind, text, says):
    error = refused(lambda content: pulled(content, reactor), kind(text))
    assert str(error).startswith("The message cannot be signed with DKIM: it ")
    assert says in str(error)
    assert error.permanent


def test_headers_that_do_not_end(reactor):
    endless = ("X: " + "x" * 60_000 + "\n" for _ in range(100))
    error = refused(lambda content: pulled(content, reactor), endless)
    assert str(error).endswith("its headers take more than 2,097,152 bytes")


def test_an_empty_message(reactor):
    for content in ([], iter([""]), io.BytesIO()):
        assert str(refused(lambda given: pulled(given, reactor), content)) == "Empty message"


def test_a_source_that_fails(reactor):
    def fail():
        yield TEXT
        raise LookupError("gone")

    error = refused(lambda content: pulled(content, reactor), fail(), "ESTREAM")
    assert str(error) == "The message source failed: gone"
    missing = {**MAIL, "attachments": {"path": "/nowhere/at.all"}}
    error = refused(lambda content: pulled(content, reactor), missing)
    assert "'attachments[0]': cannot read the file" in str(error)


def test_a_disk_that_is_full(reactor, tmp_path):
    nowhere = {**ED25519, "cacheDir": str(tmp_path / "gone"), "cacheTreshold": 10}
    dkim = DKIMOptions.parse(nowhere)
    error = refused(lambda content: pulled(content, reactor, dkim), TEXT, "ESTREAM")
    assert "the message cannot be kept while it is signed: No such file or directory" in str(error)


# -- compose() ------------------------------------------------------------------------------------


def test_compose_signs_what_says_so(tmp_path):
    message = compose({**MAIL, "dkim": BOTH, "attachments": {"content": LARGE}})
    assert is_verified(message.build(), 2)
    assert is_verified(b"".join(message), 2)
    assert message.build().count(b"DKIM-Signature") == 2
    assert "DKIM" not in b"".join(message.unsigned()).decode()
    assert tags(message.build())["h"].replace("\r\n ", "") == (
        "from:from:subject:date:message-id:to:mime-version:content-type"
    )


def test_what_compose_says_of_a_wrong_key():
    wrong = {**ED25519, "privateKey": "/etc/dkim.pem"}
    text = str(refused(compose, {**MAIL, "dkim": wrong}))
    assert text.startswith("dkim option 'privateKey' takes a private key")
    assert "/etc" not in text
    assert str(refused(compose, {**MAIL, "dkim": "x.org"})).startswith("dkim options are a dict")
    finished = {"envelope": {"from": "a@x.org"}, "raw": "hello", "dkim": ED25519}
    text = str(refused(lambda mail: compose(mail).build(), finished))
    assert text.startswith("The message cannot be signed with DKIM: ")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    text = str(refused(compose, {**MAIL, "dkim": ED25519}))
    assert text.startswith("DKIM needs the extra 'dkim' of smtp_connection")


@pytest.mark.parametrize("absent", [None, False, {}, ""])
def test_what_stands_for_no_signature(absent):
    assert b"DKIM" not in compose({**MAIL, "dkim": absent}).build()


def test_a_signature_alone_is_no_mail():
    assert str(refused(compose, {"dkim": ED25519})) == "Empty message"


def test_a_mail_of_somebody_else_chooses_no_folder(reactor, tmp_path):
    dkim = {**ED25519, "cacheDir": str(tmp_path)}
    mail = {**MAIL, "dkim": dkim}
    text = str(refused(compose, {**mail, "disableFileAccess": True}, "EFILEACCESS"))
    assert text.startswith("'dkim.cacheDir': files may not be read (disableFileAccess)")
    rules = {"disableFileAccess": True}
    refused(lambda given: Message(given, reactor, rules), mail, "EFILEACCESS")
    refused(lambda given: Message(given, reactor, rules), compose(mail), "EFILEACCESS")
