"""Mistakes, each of which a type checker has to find: a line that is wrong says with what error.

This file is never run.
"""

from __future__ import annotations

import socket

from smtp_connection import SMTPConnection, SMTPPool, aio, blocking, createTransport
from smtp_connection.types import (
    Attachment,
    Auth,
    ConnectionOptions,
    Envelope,
    Message,
    PoolOptions,
    TLSOptions,
)

# -- options ---------------------------------------------------------------------------------------

connection = SMTPConnection({"host": "mx.example.com"})
SMTPConnection({"prot": 25})  # E: incompatible type "dict[str, int]"; expected "ConnectionOptions
SMTPConnection({"host": "mx", "prot": 25})  # E: expected "ConnectionOptions | str | None"
SMTPConnection({"host": 25})  # E: expected "ConnectionOptions | str | None"
SMTPConnection({"port": 587, "secure": "no"})  # E: expected "ConnectionOptions | str | None"
SMTPConnection({"tls": {"minversion": "TLSv1.3"}})  # E: expected "ConnectionOptions | str | None"
SMTPConnection({"tls": {"minVersion": "TLS1.3"}})  # E: expected "ConnectionOptions | str | None"
SMTPConnection({"dkim": {"domain": "x.org"}})  # E: expected "ConnectionOptions | str | None"
SMTPConnection({"auth": {"usr": "me"}})  # E: expected "ConnectionOptions | str | None"
SMTPConnection(25)  # E: expected "ConnectionOptions | str | None"
SMTPConnection({}, None)  # E: Too many positional arguments

wrong_option: ConnectionOptions = {"prot": 25}  # E: Extra key "prot"
wrong_value: ConnectionOptions = {"port": [25]}  # E: "port" has type "int | str | None"
wrong_tls: TLSOptions = {"rejectUnauthorised": True}  # E: Extra key "rejectUnauthorised"

# -- what methods are given ------------------------------------------------------------------------

connection.login({"usr": 1})  # E: incompatible type "dict[str, int]"; expected "Auth
connection.login({"user": 1})  # E: incompatible type "dict[str, int]"; expected "Auth
connection.login({"user": "me", "password": "it"})  # E: expected "Auth
connection.send({"form": "a@x.org"}, "hi")  # E: expected "Envelope | None"
connection.send({"from": "a@x.org", "to": 1}, "hi")  # E: expected "Envelope | None"
connection.send({"to": "b@x.org"}, 7)  # E: Argument 2 to "send" of "SMTPConnection" has
connection.send({"to": "b@x.org"})  # E: Missing positional argument "message"
connection.probe({"too": "b@x.org"})  # E: "Envelope"
connection.command(220)  # E: incompatible type "int"; expected "str"
connection.reset("callback")  # E: incompatible type "str"; expected "Callable[..., object] | None"

wrong_auth: Auth = {"pas": "it"}  # E: Extra key "pas"
wrong_envelope: Envelope = {"from": "a@x.org", "rcpt": []}  # E: Extra key "rcpt"
wrong_message: Message = {"from": "a@x.org", "subjct": "hi"}  # E: Extra key "subjct"
wrong_priority: Message = {"priority": "urgent"}  # E: "priority" has type
wrong_file: Attachment = {"filname": "a.txt"}  # E: Extra key "filname"

# -- connections that wait -------------------------------------------------------------------------

waiting = blocking.SMTPConnection({"prot": 25})  # E: expected "ConnectionOptions | str | None"
waiting.login({"usr": 1})  # E: expected "Auth | None"
waiting.send({"form": "a@x.org"}, "hi")  # E: expected "Envelope | None"
print(waiting.send({"to": "b@x.org"}, "hi").acepted)  # E: "SendInfo" has no attribute "acepted"
waiting.on("eror", print)  # E: No overload variant of "on"
blocking.sendMail({"prot": 25}, {})  # E: expected "ConnectionOptions | str | None"
blocking.sendMail("smtp://mx", {"form": "a@x.org"})  # E: expected "smtp_connection.types.Message |
blocking.sendMail("smtp://mx", "hello")  # E: incompatible type "str"
blocking.sendMail("smtp://mx")  # E: Missing positional argument "message"

# -- coroutines ------------------------------------------------------------------------------------


async def converse() -> None:
    async with aio.SMTPConnection({"prot": 25}) as awaited:  # E: expected "ConnectionOptions |
        await awaited.login({"usr": 1})  # E: expected "Auth | None"
        await awaited.send({"form": "a@x.org"}, "hi")  # E: expected "Envelope | None"
        awaited.on("eror", print)  # E: No overload variant of "on"
        print(awaited.noop().accepted)  # E: "Coroutine[Any, Any, bool]" has no attribute "accepted"


# -- pools and transports --------------------------------------------------------------------------

pool = SMTPPool({"maxConnection": 3})  # E: expected "PoolOptions | str | None"
SMTPPool({"socket": socket.socket()})  # E: expected "PoolOptions | str | None"
pool.send({"form": "a@x.org"}, "hi")  # E: expected "Envelope | None"
createTransport({"pool": "yes"})  # E: expected "TransportOptions | Transporter | str | None"
createTransport({"auth": {"clientid": "id"}})  # E: expected "TransportOptions |
createTransport(25)  # E: expected "TransportOptions | Transporter | str | None"
createTransport("smtp://mx", {"form": "a@x.org"})  # E: expected "TransportMail | None"
createTransport("smtp://mx").sendMail({"form": "a@x.org"})  # E: expected "TransportMail |
createTransport("smtp://mx").sendMail("hello")  # E: incompatible type "str"
blocking.createTransport({"pol": True})  # E: expected "TransportOptions | Transporter | str | None"
print(blocking.createTransport().sendMail({}).acepted)  # E: "MailInfo" has no attribute "acepted"
wrong_pool: PoolOptions = {"rateLimits": 3}  # E: Extra key "rateLimits"

# -- events ----------------------------------------------------------------------------------------


def takes_two(first: object, second: object) -> None: ...


def takes_text(text: str) -> None: ...


connection.on("eror", print)  # E: No overload variant of "on"
connection.once("conect", print)  # E: No overload variant of "once"
connection.addListener("close", print)  # E: No overload variant of "addListener"
connection.prependListener("data", print)  # E: No overload variant of "prependListener"
connection.prependOnceListener("data", print)  # E: No overload variant of "prependOnceListener"
connection.on("error", takes_text)  # E: No overload variant of "on"
connection.on("error", takes_two)  # E: No overload variant of "on"
connection.on("end", takes_text)  # E: No overload variant of "on"
connection.on("connect").connect()  # E: has no attribute "connect"


@connection.on("eror")  # E: No overload variant of "on"
def heard(err: Exception) -> None: ...


@connection.on("error")  # E: Value of type variable "OnError"
def misunderstood(err: int) -> None: ...
