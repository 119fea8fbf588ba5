"""Correct programs, in which a type checker finds nothing.

This file is never run.
"""

from __future__ import annotations

import email.message
import io
import json
import logging
import os
import socket
import ssl
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from smtp_connection import (
    AbortSignal,
    LogEntry,
    Progress,
    Reactor,
    SendInfo,
    SMTPConnection,
    SMTPError,
    SMTPPool,
    aio,
    blocking,
    compose,
    console,
    createTransport,
    future,
    run,
)
from smtp_connection.transports import MailMessage
from smtp_connection.types import (
    Attachment,
    Auth,
    ConnectionOptions,
    Envelope,
    Mail,
    Message,
    PoolOptions,
    TransportOptions,
)
from smtp_connection.xoauth2 import createXOAuth2Generator

# -- options ---------------------------------------------------------------------------------------

reactor = Reactor()
SMTPConnection()
SMTPConnection({})
SMTPConnection(None, reactor=reactor)
SMTPConnection("smtps://user:p%40ss@mx.example.com:465/?requireTLS=true")
SMTPConnection("smtp://mx.example.com", port=587, require_tls=True)
SMTPConnection(host="mx.example.com", ignore_tls=True)
SMTPConnection({"host": "mx.example.com", "port": "587", "requireTLS": True, "name": None})
SMTPConnection({"port": 465, "tls": {"ca": ["a.pem", b"-----BEGIN"], "minVersion": "TLSv1.3"}})
SMTPConnection({"tls": ssl.create_default_context(), "logger": logging.getLogger("mail")})
SMTPConnection({"tls": {"context": ssl.create_default_context(), "session": False}})
SMTPConnection({"auth": {"user": "me", "pass": os.environ["PASSWORD"]}, "logger": True})
SMTPConnection({"customAuth": {"OAUTHBEARER": lambda context: context.resolve()}})
SMTPConnection({"proxy": "socks5h://proxy.example.com:1080", "socketTimeout": 1.5})


def gate(envelope: Mapping[str, Any], callback: Callable[[Exception | None], object]) -> None:
    callback(None)


SMTPConnection({"beforeCommit": gate})

# What comes from elsewhere.
loaded = json.loads(Path("mail.json").read_text())
SMTPConnection(loaded)
SMTPConnection(loaded["mail"])
from_anywhere: dict[str, Any] = {"prot": 25}
SMTPConnection(from_anywhere)
SMTPConnection(from_anywhere, debug=True)
SMTPConnection({"host": "mx.example.com", "tls": from_anywhere, "auth": from_anywhere})
any_mapping: Mapping[str, Any] = types.MappingProxyType(from_anywhere)
SMTPConnection(any_mapping)

# What is annotated.
options: ConnectionOptions = {"host": "mx.example.com"}
options["port"] = 587
SMTPConnection(options)
SMTPConnection({**options, "debug": True})
auth: Auth = {"user": "me", "xoauth2": "a token", "method": "XOAUTH2"}

# -- what methods are given ------------------------------------------------------------------------

connection = SMTPConnection(options)


def connected(err: SMTPError | None) -> None: ...


def sent(err: SMTPError | None, info: SendInfo | None) -> None:
    if info is not None:
        print(info.accepted, info["rejected"])


connection.connect(connected)
connection.connect(lambda: connection.quit())
connection.login(auth)
connection.login(auth, connected)
connection.login(connected)
connection.login()
connection.login({"user": "me", "pass": "it"}, lambda err, ok: print(err or ok))
connection.login({"credentials": {"user": "me", "pass": "it"}, "method": "PLAIN"})
connection.login({"xoauth2": createXOAuth2Generator({"user": "me"})})
connection.login(from_anywhere)

envelope: Envelope = {"from": "a@x.org", "to": ["b@x.org", {"name": "C", "address": "c@x.org"}]}
envelope["beforeCommit"] = gate
connection.send(envelope, "Subject: hi\n\nhello", sent)
connection.send(
    {"from": "", "to": "b@x.org", "size": 10, "dsn": {"ret": "HDRS", "notify": ["NEVER"]}}, b"hi"
)
connection.send(from_anywhere, loaded)
connection.send(None, from_anywhere, print)
connection.probe({"to": "b@x.org"}, sent)


def lines() -> Iterator[str]:
    yield "hello"


def pieces() -> Iterable[bytes]:
    return [b"hello"]


class Upload:
    """A file of somebody else's."""

    def read(self, n: int = -1) -> bytes:
        return b""


class Stream:
    """An emitter of somebody else's."""

    def on(self, event: str, listener: Any) -> Stream:
        return self


letter = email.message.EmailMessage()
for content in ("text", b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), ["a", "b"], [b"a"]):
    connection.send(envelope, content)
connection.send(envelope, lines())
connection.send(envelope, pieces())
connection.send(envelope, (line for line in ("a", "b")))
connection.send(envelope, Upload())
connection.send(envelope, Stream())
connection.send(envelope, letter)
connection.send(None, email.message.Message())
connection.send(envelope, io.StringIO("text"))
connection.send(envelope, io.BytesIO(b"bytes"))
with open("letter.eml", "rb") as binary, open("letter.eml") as text:
    connection.send(envelope, binary)
    connection.send(envelope, text)

attachment: Attachment = {"filename": "numbers.csv", "content": "1,2", "contentType": "text/csv"}
message: Message = {
    "from": {"name": "A", "address": "a@x.org"},
    "to": ["b@x.org", "C <c@x.org>, d@x.org"],
    "subject": "Numbers",
    "date": datetime.now(),
    "text": {"path": "letter.txt"},
    "html": b"<p>hello</p>",
    "attachments": [attachment, {"path": Path("picture.png"), "cid": "picture@x.org"}],
    "headers": {"X-Mailer": "ours", "Received": ["one", "two"]},
    "references": ["<a@x.org>"],
    "priority": "high",
}
everything: Message = {
    "sender": "s@x.org",
    "xMailer": False,
    "watchHtml": "<b>hello</b>",
    "amp": {"href": "data:,hello", "contentTransferEncoding": "base64", "headers": {"X-A": 1}},
    "icalEvent": {"method": "REQUEST", "filename": "meeting.ics", "path": Path("meeting.ics")},
    "alternatives": [{"raw": "Content-Type: text/x\r\n\r\nhello"}],
    "attachments": {"path": False, "href": "data:,a", "contentTransferEncoding": False},
    "list": {
        "help": "a@x.org",
        "unsubscribe": [{"url": "http://x.org", "comment": "c"}, ["a", "b"]],
    },
    "headers": {"X-A": {"prepared": True, "value": "x", "foldLines": True}, "X-B": [1, "2"]},
    "envelope": {"from": "A <a@x.org>", "to": ["b@x.org"], "bcc": "c@x.org", "size": 5},
    "dsn": {"ret": "HDRS"},
    "requireTLSExtensionEnabled": True,
    "encoding": "quoted-printable",
    "textEncoding": "B",
    "baseBoundary": "fixed",
    "boundaryPrefix": "mine",
    "disableFileAccess": True,
    "disableUrlAccess": True,
    "attachDataUrls": True,
    "keepBcc": False,
    "dkim": {
        "domainName": "x.org",
        "keySelector": "2026",
        "privateKey": {"key": "-----BEGIN", "passphrase": b"sesame"},
        "headerFieldNames": "from:to",
        "skipFields": ["date"],
        "hashAlgo": "sha256",
        "cacheDir": False,
        "cacheTreshold": 1000,
    },
}
key = Ed25519PrivateKey.generate()
SMTPPool({"dkim": {"keys": [{"domainName": "x.org", "keySelector": "s", "privateKey": key}]}})
SMTPConnection(dkim={"domainName": "x.org", "keySelector": "s", "privateKey": "-----BEGIN"})
connection.send(None, everything)
connection.send(envelope, {"raw": letter})
SMTPConnection(disableFileAccess=True, disableUrlAccess=True, attachDataUrls=True)
SMTPConnection({"disableFileAccess": True, "disableUrlAccess": True, "attachDataUrls": True})
streams: Message = {
    "text": io.BytesIO(b"hello"),
    "attachments": [{"content": socket.socket()}, {"content": iter([b"a", b"b"])}],
}
composed = compose(message)
for piece in composed:
    print(len(piece), composed.envelope["to"], len(composed.build()))
connection.send(None, composed, sent)
connection.send(envelope, message, sent)
connection.send(None, message)
connection.send(None, {"from": "a@x.org", "to": "b@x.org", "headers": [{"key": "X", "value": "1"}]})
connection.command("VRFY postmaster", lambda err, reply: print(err or reply.status))

outcome: SendInfo = future(connection.send, envelope, "hi").result(60)
future(connection.login).add_done_callback(lambda done: print(done.cancelled()))

# -- connections that wait -------------------------------------------------------------------------

with blocking.SMTPConnection(options) as waiting:
    waiting.login(auth)
    waiting.login()
    in_time = AbortSignal.timeout(10_000)
    refused: list[str] = waiting.send(envelope, lines(), signal=in_time).rejected
    said: str = waiting.command("HELP").text
    waiting.on("error", print).once("end", lambda: None).quit()
blocking.sendMail("smtp://mx.example.com", {"from": "a@x.org", "to": "b@x.org", "text": "hi"})
blocking.sendMail(options, letter)
blocking.sendMail(loaded, from_anywhere)
blocking.sendMail(from_anywhere, {"envelope": envelope, "raw": lines()})
mail: Mail = {"envelope": envelope, "raw": {"path": "letter.eml"}}
accepted: list[str] = blocking.sendMail(None, mail).accepted

# -- coroutines ------------------------------------------------------------------------------------


async def converse() -> SendInfo:
    async def failed(err: SMTPError) -> None: ...

    async with aio.SMTPConnection(options) as awaited:
        awaited.on("error", failed).on("end", lambda: None)
        await awaited.login(auth)
        await awaited.noop(signal=in_time)
        return await awaited.send(envelope, lines())


# -- pools and transports --------------------------------------------------------------------------

pool_options: PoolOptions = {"host": "mx", "maxConnections": 3, "rateLimit": 10, "secure": True}
with_tokens: TransportOptions = {
    "service": "Gmail",
    "pool": True,
    "auth": {"type": "OAuth2", "user": "me", "clientId": "id", "refreshToken": "secret"},
}
pool = SMTPPool(pool_options)
pool.send(envelope, lines(), sent, signal=in_time)
pool.on("idle", lambda: None).close({"drain": True}, lambda: None)
SMTPPool("smtps://mx.example.com/?maxConnections=3", maxMessages=float("inf"), getSocket=print)


class Sender:
    def send(self, mail: MailMessage, callback: Callable[..., object]) -> None:
        callback(None, {"messageId": mail.data["messageId"]})


templates: dict[str, Any] = json.loads("{}")


def fill(mail: MailMessage, callback: Callable[..., object]) -> None:
    mail.data["text"] = templates[mail.data["template"]]
    callback()


for transport in (
    createTransport(with_tokens, {"from": "me@x.org"}),
    createTransport("smtps://mx.example.com", host="mx"),
    createTransport(loaded),
    createTransport(pool),
    createTransport(Sender(), from_anywhere),
    createTransport({"jsonTransport": True, "skipEncoding": True}),
):
    transport.use("compile", fill).set("key", 1)
    transport.sendMail({"to": "b@x.org", "text": "hi", "dsn": {"ret": "HDRS"}}, print)
    transport.sendMail(letter, sent, signal=in_time)
    transport.sendMail(from_anywhere)
with blocking.createTransport(with_tokens) as many:
    ids: list[str | None] = [many.sendMail(letter).messageId]


async def send_many() -> bool:
    async with aio.createTransport(with_tokens) as transport:
        print((await transport.sendMail(letter)).envelope)
        return await transport.verify()


# -- events ----------------------------------------------------------------------------------------

failures: list[SMTPError] = []


def log(entry: LogEntry) -> None: ...


def progress(entry: Progress) -> None: ...


def bare() -> None: ...


def tolerant(err: Exception, more: object = None) -> None: ...


class Listener:
    """Methods are listeners, too."""

    def failed(self, err: SMTPError) -> None: ...

    def __call__(self, *args: object) -> None: ...


connection.on("connect", bare).once("end", bare).on("error", print).connect()
connection.on("error", failures.append).on("error", bare).on("error", Listener().failed)
connection.on("error", tolerant).on("error", Listener()).on("end", Listener())
connection.on("error", lambda err: print(err.code)).on("error", lambda: None)
connection.on("log", log).on("log", console()).on("log", lambda entry: print(entry.type))
connection.once("progress", progress).addListener("end", bare).prependListener("end", bare)
connection.prependOnceListener("log", log).off("log", log).removeListener("end", bare)
connection.removeAllListeners("log").setMaxListeners(20).close()
connection.on("new_listener", print)


@connection.on("error")
def heard(err: SMTPError) -> str:
    return str(err.code)


@connection.once("end")
def ended() -> None: ...


code: str = heard(failures[0])
ended()
run()
