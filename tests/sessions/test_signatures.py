"""Signed messages in whole sessions, by every way in which messages are sent."""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from functools import partial

import pytest
from pyee import EventEmitter

import smtp_connection
from smtp_connection import AbortController, SMTPConnection, SMTPPool, aio, createTransport
from tests.support.mail_server import mail_server
from tests.support.signatures import BOTH, ED25519, RSA, is_verified, tags
from tests.support.smtp_server import Session

MAIL = {"from": "a@x.org", "to": "b@y.org", "subject": "grüße", "text": "hi\n.\n"}
ENVELOPE = {"from": "a@x.org", "to": "b@y.org"}
TEXT = "From: a@x.org\nSubject: s\n\nhello\n"


@pytest.fixture
def talk(talk):
    """Sign all that is sent."""
    return partial(talk, dkim=ED25519)


def received(message):
    """A message that the server has taken, without doubled dots."""
    return re.sub(rb"(?m)^\.\.", b".", message.removesuffix(b"\r\n") + b"\r\n")


# -- on a connection ------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [[], ["PIPELINING"]])
@pytest.mark.parametrize("content", [TEXT, io.StringIO(TEXT), iter([TEXT]), MAIL])
def test_its_size_is_declared(talk, diary, extensions, content):
    connection, session, go_on = talk("SIZE 100000", "SMTPUTF8", *extensions)
    if hasattr(content, "seek"):
        content.seek(0)
    elif not isinstance(content, (str, dict)):
        content = iter([TEXT])
    connection.send(ENVELOPE, content, diary.callback("sent"))
    go_on()
    assert diary.of("sent")[0][0] is None
    (message,) = session.messages
    message = received(message)
    assert is_verified(message)
    (command,) = [line for line in diary.commands() if line.startswith("MAIL")]
    assert f" SIZE={len(message)}" in command


def test_a_message_that_is_too_large_once_it_is_signed(talk, diary):
    connection, _, go_on = talk(f"SIZE {len(TEXT) + 50}")
    connection.send(ENVELOPE, iter([TEXT]), diary.callback("sent"))
    go_on()
    error = diary.error("sent")
    assert error.code == "EMESSAGE"
    assert "larger than" in str(error)
    assert not [line for line in diary.commands() if line.startswith("MAIL")]


@pytest.mark.parametrize("extensions", [[], ["PIPELINING"]])
def test_what_cannot_be_signed_fails_alone(talk, diary, extensions):
    def fail():
        yield TEXT
        raise LookupError("gone")

    connection, session, go_on = talk(*extensions)
    for name, content in (("one", "hello"), ("two", fail()), ("three", TEXT)):
        connection.send(ENVELOPE, content, diary.callback(name))
    go_on()
    assert (diary.error("one").code, diary.error("two").code) == ("EMESSAGE", "ESTREAM")
    assert diary.of("three")[0][0] is None
    assert len(session.messages) == 1
    assert is_verified(received(session.messages[0]))


def test_in_several_transactions(talk, diary):
    connection, session, go_on = talk("PIPELINING", "LIMITS RCPTMAX=1")
    connection.send({**ENVELOPE, "to": ["b@y.org", "c@y.org"]}, TEXT, diary.callback("sent"))
    go_on()
    assert diary.of("sent")[0][1].accepted == ["b@y.org", "c@y.org"]
    assert [is_verified(received(each)) for each in session.messages] == [True, True]


def test_progress_knows_the_total(talk, diary):
    connection, _, go_on = talk()
    seen = []
    connection.on("progress", seen.append)
    connection.send(ENVELOPE, TEXT + ".line\n" * 100_000, diary.callback("sent"))
    go_on()
    info = diary.of("sent")[0][1]
    assert {each.total for each in seen} == {info.messageSize}
    assert seen[-1].sent == info.messageSize


def test_a_wrong_key_of_a_mail(talk, diary):
    connection, _, go_on = talk()
    wrong = {**RSA, "privateKey": RSA["privateKey"][:300]}
    connection.send(None, {**MAIL, "dkim": wrong}, diary.callback("sent"))
    go_on()
    error = diary.error("sent")
    assert (error.code, error.permanent) == ("EMESSAGE", True)
    assert "cannot be read as one" in str(error)
    assert "MIIC" not in str(error)
    assert not [line for line in diary.commands() if line.startswith("MAIL")]


@pytest.fixture
def spools(monkeypatch):
    """The temporary files that are made."""
    made = []
    original = tempfile.SpooledTemporaryFile

    def note(*args, **more):
        made.append(original(*args, **more))
        return made[-1]

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", note)
    return made


@pytest.mark.parametrize("how", ["abort", "close", "the server hangs up"])
def test_what_is_given_up_while_it_is_read_leaves_nothing(by_hand, diary, spools, how):
    connection, peer = by_hand(dkim=ED25519)
    session = Session("PIPELINING")
    connection.connect()
    peer.feed(session.greet())
    peer.settle()
    peer.feed(session.take(peer.heard()))
    stream, controller = EventEmitter(), AbortController()
    connection.send(ENVELOPE, stream, diary.callback("given up"), signal=controller.signal)
    stream.emit("data", TEXT * 1000)
    peer.settle()
    assert not peer.heard()
    assert [spool.closed for spool in spools] == [False]
    if how == "abort":
        controller.abort()
        connection.send(ENVELOPE, TEXT, diary.callback("sent"))
        while heard := (peer.settle(), peer.heard())[1]:
            peer.feed(session.take(heard))
        assert diary.of("sent")[0][0] is None
        assert is_verified(received(session.messages[0]))
    elif how == "close":
        connection.close()
    else:
        peer.hang_up()
    peer.settle()
    assert diary.error("given up").code == ("EABORT" if how == "abort" else "ECONNECTION")
    assert not stream.listeners("data")
    assert all(spool.closed for spool in spools)


def test_the_key_is_shown_nowhere(talk, diary):
    connection, _, go_on = talk(dkim=RSA)
    connection.send(None, MAIL, diary.callback("sent"))
    go_on()
    logged = "".join(text for _, text in diary.log)
    assert "DKIM-Signature" in logged
    for text in (logged, repr(connection.options), repr(vars(connection))):
        assert "PRIVATE KEY" not in text
        assert "MIIC" not in text


# -- by every other way ---------------------------------------------------------------------------


def sent(server):
    """The messages that the server has got."""
    return [each.content for each in server.mailbox.envelopes]


def where(server, **options):
    return {"host": server.host, "port": server.port, "dkim": BOTH, **options}


def test_a_pool(reactor):
    infos = []
    with mail_server() as server:
        pool = SMTPPool(where(server), reactor=reactor)
        for content in (TEXT, MAIL, {**MAIL, "dkim": RSA}):
            pool.send(ENVELOPE, content, lambda err, info: infos.append(info))
        pool.close({"drain": True})
        reactor.run()
        messages = sent(server)
    assert None not in infos
    assert sorted(message.count(b"DKIM-Signature") for message in messages) == [1, 2, 2]
    assert all(is_verified(message, message.count(b"DKIM-Sig")) for message in messages)


@pytest.mark.parametrize("pool", [False, True])
def test_a_transport(reactor, pool):
    infos = []
    with mail_server() as server:
        transport = createTransport(where(server, pool=pool), reactor=reactor)
        for mail in (MAIL, {**MAIL, "dkim": RSA}, {"envelope": ENVELOPE, "raw": TEXT}):
            transport.sendMail(mail, lambda err, info: infos.append(info))
        transport.close({"drain": True})
        reactor.run()
        messages = sent(server)
    assert len(infos) == 3
    assert None not in infos
    assert all(is_verified(message, message.count(b"DKIM-Sig")) for message in messages)
    assert sorted(message.count(b"DKIM-Signature") for message in messages) == [1, 2, 2]


@pytest.mark.parametrize("own", [False, True])
def test_plugins_change_what_is_signed_then(reactor, own):
    def shout(mail, callback):
        mail.message.transform(lambda pieces: (piece.replace(b"hi", b"HI") for piece in pieces))
        assert b"DKIM" not in b"".join(mail.message.createReadStream())
        callback()

    infos = []
    with mail_server() as server:
        transport = createTransport(where(server), reactor=reactor)
        transport.use("stream", shout)
        mail = {**MAIL, "dkim": RSA} if own else MAIL
        transport.sendMail(mail, lambda err, info: infos.append(info))
        reactor.run()
        (message,) = sent(server)
    assert None not in infos
    assert b"HI" in message
    assert message.count(b"DKIM-Signature") == (1 if own else 2)
    assert is_verified(message, 1 if own else 2)


@pytest.mark.parametrize("buffer", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_a_transport_that_gives_the_message_to_the_program(reactor, buffer, own):
    options = {"streamTransport": True, "buffer": buffer, "dkim": BOTH}
    mail = {**MAIL, "dkim": RSA} if own else MAIL
    infos = []
    transport = createTransport(options, reactor=reactor)
    transport.sendMail(mail, lambda err, info: infos.append(info))
    transport.sendMail({"envelope": ENVELOPE, "raw": "hello"}, lambda *args: infos.append(args))
    reactor.run()
    first, second = sorted(infos, key=lambda each: isinstance(each, tuple))
    message = first.message if buffer else b"".join(first.message)
    assert message.count(b"DKIM-Signature") == (1 if own else 2)
    assert is_verified(message, 1 if own else 2)
    if buffer:
        error = second[0]
    else:
        with pytest.raises(smtp_connection.SMTPError) as caught:
            list(second[1].message)
        error = caught.value
    assert str(error).startswith("The message cannot be signed with DKIM: ")


def test_as_json_there_is_no_key(reactor):
    infos = []
    transport = createTransport({"jsonTransport": True}, reactor=reactor)
    transport.sendMail({**MAIL, "dkim": RSA}, lambda err, info: infos.append(info))
    reactor.run()
    assert "grüße" in infos[0].message
    assert "dkim" not in infos[0].message
    assert "PRIVATE" not in infos[0].message


def test_a_transporter_of_the_callers_own(reactor):
    class Transporter:
        def send(self, mail, callback):
            sent.append(b"".join(mail.message.createReadStream()))
            callback(None, "done")

    sent = []
    createTransport(Transporter(), {"dkim": BOTH}, reactor=reactor).sendMail(MAIL, lambda: None)
    reactor.run()
    assert is_verified(sent[0], 2)


def test_with_coroutines():
    async def main():
        async with aio.SMTPConnection(where(server)) as connection:
            await connection.send(ENVELOPE, TEXT)
        async with aio.createTransport(where(server)) as transport:
            await transport.sendMail(MAIL)

    with mail_server() as server:
        asyncio.run(main())
        messages = sent(server)
    assert [is_verified(message, 2) for message in messages] == [True, True]


def test_a_url_says_nothing_of_it():
    with pytest.raises((TypeError, ValueError), match="dkim"):
        SMTPConnection("smtp://mx.org?dkim=x")


def test_fields_that_are_chosen(talk, diary):
    options = {**ED25519, "headerFieldNames": "from:subject", "skipFields": "subject"}
    connection, session, go_on = talk("SMTPUTF8", dkim=options)
    connection.send(None, MAIL, diary.callback("sent"))
    go_on()
    assert tags(received(session.messages[0]))["h"].replace("\r\n ", "") == "from:from"
