"""Every value of a caller's that becomes a part of a message: the fields of a mail, the headers of
an ``EmailMessage``, and the message itself."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from email.header import Header
from email.message import EmailMessage
from email.message import Message as LegacyMessage
from email.policy import SMTPUTF8, default
from typing import Any
from urllib.parse import quote

from tests.support.helpers import wire_of
from tests.support.mails import text_of

from .peers import received, shape, undoubled
from .values import Essence, Put, Value, nothing, unchanged
from .world import World

MAIL: Any = {"from": "a@x.org", "to": "b@y.org", "date": "2024-01-02T10:00:00+00:00", "text": "hi"}
FILE = {"filename": "numbers.csv", "content": "1,2", "contentType": "text/csv", "cid": "c@x"}


def text_lines(text: str) -> str:
    """The essence of text: line breaks may be of any kind, and the last one may be added."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def words(text: str) -> str:
    return " ".join(text.split())


def solid(text: str) -> str:
    """The essence of what the email package folds and unfolds, each release in its own way."""
    return "".join(text.split())


def put_in(build: Callable[[str], Any], sample: str, read: Callable[[Any], Any]) -> Put:
    """``build`` makes a message of the value, ``read`` finds it in what the receiver makes of it:
    a message with the same parts and headers as one with ``sample``."""

    usual: list[Any] = []

    def put(world: World, text: str) -> str:
        usual[:] = usual or shape(received(build(sample), world.reactor))
        message = received(build(text), world.reactor)
        assert shape(message) == usual
        return str(read(message))

    return put


def header(name: str) -> Callable[[Any], Any]:
    return lambda message: message[name]


# -- addresses ------------------------------------------------------------------------------------


def in_header(name: str, line: str) -> Value:
    whole = "Name <a@x.org>"
    put = put_in(lambda text: {**MAIL, name: text}, whole, header(line))
    return Value(f"mail.{name}", whole, put, f"'{name}'", words)


def in_envelope(name: str) -> Value:
    """The envelope is read from the message."""

    def put(world: World, text: str) -> str:
        recipient = {} if name in ("to", "cc", "bcc") else {"to": "b@y.org"}
        sender = {"from": "a@x.org"} if name in ("to", "cc", "bcc") else {}
        mail, rcpt = world.send(None, {"text": "hi", **sender, **recipient, name: text})
        command, start = (mail, "MAIL FROM:<") if recipient else (rcpt, "RCPT TO:<")
        command = re.sub(r" SIZE=\d+\Z", "", command)
        return command.removeprefix(start).removesuffix(">")

    return Value(f"mail.{name} (envelope)", "a@x.org", put, f"'{name}'", words)


def in_own_envelope(world: World, envelope: dict[str, str]) -> tuple[str, str]:
    """Return the addresses in the commands for a mail with an ``envelope`` of its own."""
    mail, rcpt = world.send(None, {"text": "hi", "envelope": envelope})
    mail = re.sub(r" SIZE=\d+\Z", "", mail)
    start, end = "MAIL FROM:<", ">"
    return mail.removeprefix(start).removesuffix(end), rcpt.removeprefix("RCPT TO:<")[:-1]


def group_name(message: Any) -> str:
    (group,) = message["To"].groups
    return str(group.display_name)


def to(key: str, sample: str, make: Callable[[str], Any], read: Callable[[Any], Any]) -> Value:
    put = put_in(lambda text: {**MAIL, "to": make(text)}, sample, read)
    return Value(key, sample, put, "'to'", words)


ADDRESSES = [
    in_header("from", "From"),
    in_header("sender", "Sender"),
    in_header("to", "To"),
    in_header("cc", "Cc"),
    in_header("replyTo", "Reply-To"),
    *map(in_envelope, ("from", "sender", "to", "cc", "bcc")),
    to("mail.to (list)", "Name <b@y.org>", lambda text: [text], header("To")),
    to("mail.to (group)", "Team", lambda text: f"{text}: b@y.org;", group_name),
    to(
        "address.name",
        "Name",
        lambda text: {"name": text, "address": "b@y.org"},
        lambda message: message["To"].addresses[0].display_name,
    ),
    to("address.address", "b@y.org", lambda text: {"address": text}, header("To")),
]


# -- the other fields of a mail -------------------------------------------------------------------


def field(
    name: str, sample: str, read: Callable[[Any], Any], essence: Essence = unchanged, form: str = ""
) -> Value:
    put = put_in(lambda text: {**MAIL, name: text}, sample, read)
    return Value(f"mail.{name}{form}", sample, put, f"'{name}'", essence)


def first_file(message: Any) -> Any:
    return next(message.iter_attachments())


def in_file(
    key: str, sample: str, read: Callable[[Any], Any], essence: Essence = unchanged
) -> Value:
    put = put_in(
        lambda text: {**MAIL, "attachments": [{**FILE, key: text}]},
        sample,
        lambda message: read(first_file(message)),
    )
    return Value(f"file.{key}", sample, put, f"'attachments[0].{key}'", essence)


def own_header(build: Callable[[str], dict[str, Any]], read: Callable[[str, str], str]) -> Put:
    """A header of the caller's own, in the mail or in its one attachment."""

    def put(world: World, text: str) -> str:
        headers = [
            (name, str(value))
            for part in received({**MAIL, **build(text)}, world.reactor).walk()
            for name, value in part.items()
            if not name.startswith(("Content-", "MIME-")) and name not in USUAL
        ]
        ((name, value),) = headers
        return read(name, value)

    return put


USUAL = {"From", "To", "Date", "Message-ID"}


def their_name(name: str, value: str) -> str:
    return name


def their_value(name: str, value: str) -> str:
    return value


def at_path(where: Callable[[str], dict[str, Any]], read: Callable[[Any], str]) -> Put:
    """The value is the name of a file on the disk, if there can be one of that name."""

    def put(world: World, text: str) -> str:
        path = os.path.join(world.folder, text)
        try:
            with open(path, "w") as file:
                file.write(text)
        except (OSError, ValueError):
            pass  # whoever wants to read it is told so
        return read(received({**MAIL, **where(path)}, world.reactor))

    return put


def event_part(message: Any) -> Any:
    """The part of a calendar event that clients show."""
    return next(part for part in message.walk() if part.get_content_type() == "text/calendar")


def event_file(message: Any) -> Any:
    return next(part for part in message.walk() if part.get_content_type() == "application/ics")


def in_event(
    key: str, sample: str, read: Callable[[Any], Any], essence: Essence = unchanged
) -> Value:
    build = lambda text: {**MAIL, "icalEvent": {"content": "BEGIN", key: text}}  # noqa: E731
    if key in ("content", "href"):
        build = lambda text: {**MAIL, "icalEvent": {key: text}}  # noqa: E731
    put = put_in(build, sample, read)
    return Value(f"event.{key}", sample, put, f"'icalEvent.{key}'", essence)


def finished_part(text: str) -> str:
    """A part that is finished."""
    return f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"


def boundary(message: Any) -> str:
    return str(message.get_boundary()).rpartition("_")[0]


def transfer(value: str) -> str:
    return value.lower()


def parameter(text: str) -> dict[str, Any]:
    return {"attachments": {**FILE, "contentType": f'text/csv; header="{text}"'}}


def alternative(text: str) -> dict[str, Any]:
    return {**MAIL, "alternatives": {"content": text, "contentType": "text/calendar"}}


def in_attachment(text: str) -> dict[str, Any]:
    return {"attachments": {**FILE, "headers": {"X-Own": text}}}


def text_from(path: str) -> dict[str, Any]:
    return {"text": {"path": path}}


MAILS = [
    *ADDRESSES,
    field("subject", "Hello", header("Subject")),
    field("subject", "Grüße", header("Subject"), unchanged, " (not ASCII)"),
    field("date", "2024-01-02T10:00:00+00:00", nothing, nothing),
    field("date", "Tue, 02 Jan 2024 10:00:00 +0000", nothing, nothing, " (RFC 5322)"),
    field("messageId", "<a@x>", header("Message-ID"), words),
    field("inReplyTo", "<a@x>", header("In-Reply-To"), words),
    field("references", "<a@x> <b@x>", header("References"), words),
    field("priority", "high", nothing, nothing),
    field("text", "hello", text_of, text_lines),
    field("text", "Grüße", text_of, text_lines, " (not ASCII)"),
    field("html", "<p>hello", lambda m: text_of(m.get_body(["html"])), text_lines),
    in_file("filename", "numbers.csv", lambda part: part.get_filename(), str.strip),
    in_file("content", "1,2", lambda part: part.get_payload(decode=True).decode()),
    in_file("contentType", "text/csv", lambda part: part.get_content_type(), words),
    in_file("cid", "<c@x>", header("Content-ID"), words),
    in_file("contentDisposition", "inline", lambda part: part.get_content_disposition()),
    in_file("encoding", "utf-8", nothing, nothing),
    Value(
        "file.contentType (parameter)",
        "present",
        put_in(
            lambda text: {**MAIL, **parameter(text)},
            "present",
            lambda message: first_file(message)["Content-Type"].params["header"],
        ),
        "'attachments[0].contentType'",
    ),
    Value(
        "file.content (alternative)",
        "BEGIN",
        put_in(alternative, "BEGIN", lambda m: text_of(m.get_payload(1))),
        "'alternatives[0].content'",
        text_lines,
    ),
    Value(
        "file.path",
        "numbers.csv",
        at_path(
            lambda path: {"attachments": {"path": path}}, lambda m: first_file(m).get_filename()
        ),
        "'attachments[0]",
        str.strip,
    ),
    Value(
        "file.headers",
        "x",
        own_header(in_attachment, their_value),
        "'attachments[0].headers.X-Own'",
    ),
    Value(
        "file.headers (name)",
        "X-Own",
        own_header(lambda text: {"attachments": {**FILE, "headers": {text: "x"}}}, their_name),
        "'attachments[0].headers'",
    ),
    Value(
        "mail.headers",
        "x",
        own_header(lambda text: {"headers": {"X-Own": text}}, their_value),
        "'headers.X-Own'",
    ),
    Value(
        "mail.headers (name)",
        "X-Own",
        own_header(lambda text: {"headers": {text: "x"}}, their_name),
        "'headers'",
    ),
    Value(
        "header.value",
        "x",
        own_header(lambda text: {"headers": [{"key": "X-Own", "value": text}]}, their_value),
        "'headers.X-Own'",
    ),
    Value(
        "header.key",
        "X-Own",
        own_header(lambda text: {"headers": [{"key": text, "value": "x"}]}, their_name),
        "'headers'",
    ),
    Value(
        "content.content",
        "hello",
        put_in(lambda text: {**MAIL, "text": {"content": text}}, "hello", text_of),
        "'text.content'",
        text_lines,
    ),
    Value(
        "content.encoding",
        "hex",
        put_in(lambda text: {**MAIL, "text": {"content": "00", "encoding": text}}, "hex", nothing),
        "'text.encoding'",
        nothing,
    ),
    Value("content.path", "hello.txt", at_path(text_from, text_of), "'text'", text_lines),
    field("xMailer", "Mailer", header("X-Mailer")),
    field("watchHtml", "<p>hello", lambda m: text_of(m.get_payload(1)), text_lines),
    field("amp", "<p>hello", lambda m: text_of(m.get_payload(1)), text_lines),
    field("encoding", "base64", nothing, nothing),
    field("textEncoding", "Q", nothing, nothing),
    Value(
        "mail.baseBoundary",
        "fixed",
        put_in(lambda text: {**MAIL, "baseBoundary": text, "attachments": FILE}, "fixed", boundary),
        "'baseBoundary'",
        lambda text: text.removeprefix("=_"),
    ),
    Value(
        "mail.boundaryPrefix",
        "mine",
        put_in(
            lambda text: {**MAIL, "boundaryPrefix": text, "attachments": FILE},
            "mine",
            lambda message: boundary(message).partition("=_")[0],
        ),
        "'boundaryPrefix'",
    ),
    in_file("contentTransferEncoding", "base64", nothing, nothing),
    Value(
        "file.href",
        "data:text/csv,hello",
        put_in(
            lambda text: {**MAIL, "attachments": {"href": text}},
            "data:text/csv,hello",
            lambda message: first_file(message).get_payload(decode=True).decode(),
        ),
        "'attachments[0].",
        lambda text: text.partition(",")[2] or text,
    ),
    Value(
        "file.raw",
        "hello",
        put_in(
            lambda text: {**MAIL, "attachments": {"raw": finished_part(text)}},
            "hello",
            lambda message: text_of(message.get_payload(1)),
        ),
        "'attachments[0].raw'",
        text_lines,
    ),
    Value(
        "content.raw",
        "hello",
        put_in(
            lambda text: {**MAIL, "text": {"raw": finished_part(text)}},
            "hello",
            lambda message: text_of(message.get_payload(0)),
        ),
        "'text.raw'",
        text_lines,
    ),
    Value(
        "content.href",
        "data:,hello",
        put_in(lambda text: {**MAIL, "text": {"href": text}}, "data:,hello", text_of),
        "'text.",
        lambda text: text_lines(text.partition(",")[2] or text),
    ),
    Value(
        "content.contentTransferEncoding",
        "base64",
        put_in(
            lambda text: {**MAIL, "text": {"content": "hi", "contentTransferEncoding": text}},
            "base64",
            nothing,
        ),
        "'text.contentTransferEncoding'",
        nothing,
    ),
    Value(
        "content.headers",
        "x",
        own_header(
            lambda text: {"text": {"content": "hi", "headers": {"X-Own": text}}}, their_value
        ),
        "'text.headers.X-Own'",
    ),
    Value(
        "headerValue.value",
        "x",
        own_header(lambda text: {"headers": {"X-Own": {"value": text}}}, their_value),
        "'headers.X-Own'",
    ),
    Value(
        "headerValue.value (prepared)",
        "x",
        own_header(
            lambda text: {"headers": {"X-Own": {"value": text, "prepared": True}}}, their_value
        ),
        "'headers.X-Own'",
        str.strip,
    ),
    Value(
        "headerValue.value (folded)",
        "x",
        own_header(
            lambda text: {
                "headers": {"X-Own": {"value": text, "prepared": True, "foldLines": True}}
            },
            their_value,
        ),
        "'headers.X-Own'",
        str.strip,
    ),
    in_event("method", "REQUEST", lambda m: event_part(m)["Content-Type"].params["method"], words),
    in_event("filename", "meeting.ics", lambda m: event_file(m).get_filename(), str.strip),
    in_event("content", "BEGIN", lambda m: text_of(event_part(m)), text_lines),
    in_event("encoding", "utf-8", nothing, nothing),
    Value(
        "event.href",
        "data:,BEGIN",
        put_in(
            lambda text: {**MAIL, "icalEvent": {"href": text}},
            "data:,BEGIN",
            lambda message: text_of(event_part(message)),
        ),
        "'icalEvent.",
        lambda text: text_lines(text.partition(",")[2] or text),
    ),
    Value(
        "event.path",
        "meeting.ics",
        at_path(lambda path: {"icalEvent": {"path": path}}, lambda m: text_of(event_part(m))),
        "'icalEvent'",
        text_lines,
    ),
    Value(
        "event.headers",
        "x",
        put_in(
            lambda text: {**MAIL, "icalEvent": {"content": "BEGIN", "headers": {"X-Own": text}}},
            "x",
            lambda message: event_part(message)["X-Own"],
        ),
        "'icalEvent.headers.X-Own'",
    ),
    Value(
        "list.url",
        "http://x.org/help",
        put_in(
            lambda text: {**MAIL, "list": {"help": {"url": text}}},
            "http://x.org/help",
            lambda message: message["List-Help"].strip("<>"),
        ),
        "'list.help'",
        str.strip,
    ),
    Value(
        "list.comment",
        "Help",
        put_in(
            lambda text: {**MAIL, "list": {"help": {"url": "http://x.org", "comment": text}}},
            "Help",
            lambda message: message["List-Help"].partition(" ")[2].strip("()"),
        ),
        "'list.help.comment'",
        words,
    ),
    Value(
        "listName",
        "List-Help",
        own_header(lambda text: {"list": {text.removeprefix("List-"): "http://x.org"}}, their_name),
        "'list",
    ),
    Value(
        "mail.envelope (from)",
        "a@x.org",
        lambda world, text: in_own_envelope(world, {"from": text, "to": "b@x.org"})[0],
        "'envelope.from'",
        words,
    ),
    Value(
        "mail.envelope (to)",
        "b@x.org",
        lambda world, text: in_own_envelope(world, {"from": "a@x.org", "to": text})[1],
        "'envelope.to'",
        words,
    ),
]


# -- an EmailMessage ------------------------------------------------------------------------------

POLICIES = {
    "as it is set": default,
    "never refolded": default.clone(refold_source="none"),
    "always refolded": default.clone(refold_source="all"),
    "UTF-8": SMTPUTF8,
    "legacy": None,
}


def finished(policy: Any, name: str, value: Any) -> LegacyMessage:
    """A message with a header as if it had been parsed, or set by somebody who knows better."""
    message = LegacyMessage() if policy is None else EmailMessage(policy)
    for each in {"From": "a@x.org", "To": "b@y.org", name: value}.items():
        message.set_raw(*each)
    message.set_payload("hi")
    return message


def with_boundary(text: str) -> LegacyMessage:
    """RFC 2231 hides a line break from whoever looks for it in the header."""
    message = LegacyMessage()
    encoded = quote(text, errors="surrogatepass")
    message.set_raw("Content-Type", f"multipart/mixed; boundary*=utf-8''{encoded}")
    message.set_payload([finished(None, "X-Own", "x")])
    return message


def at_most_one_address(message: Any) -> str:
    assert len(message["To"].addresses) <= 1
    return ""


def with_part(text: str) -> LegacyMessage:
    message = LegacyMessage()
    message.set_raw("Content-Type", 'multipart/mixed; boundary="=_1"')
    message.set_payload([finished(None, "X-Own", text)])
    return message


def in_email(form: str, name: str, policy: Any, make: Callable[[str], Any] = str) -> Value:
    put = put_in(lambda text: finished(policy, name, make(text)), "Hello", header(name))
    return Value(f"EmailMessage.{name} ({form})", "Hello", put, "message", solid, hidden=True)


def in_email_addresses(form: str, policy: Any) -> Value:
    whole = "Name <b@y.org>"
    put = put_in(lambda text: finished(policy, "To", text), whole, at_most_one_address)
    return Value(f"EmailMessage.To ({form})", whole, put, "message", nothing, hidden=True)


def header_name(world: World, text: str) -> str:
    message = received(finished(default, text, "x"), world.reactor)
    assert len(message) == 3
    return message.keys()[2]


EMAILS = [
    *(in_email(form, name, POLICIES[form]) for form in POLICIES for name in ("Subject", "X-Own")),
    *(in_email_addresses(form, policy) for form, policy in POLICIES.items()),
    in_email("Header", "Subject", None, lambda text: Header(text, "utf-8", errors="replace")),
    Value("EmailMessage (name)", "X-Own", header_name, "message", hidden=True),
    Value(
        "EmailMessage (part)",
        "Hello",
        put_in(with_part, "Hello", lambda message: message.get_payload(0)["X-Own"]),
        "message",
        solid,
        hidden=True,
    ),
    Value(
        "EmailMessage (boundary)",
        "=_1",
        put_in(with_boundary, "=_1", lambda message: message.get_boundary()),
        "message",
        str.rstrip,
        hidden=True,
    ),
]


# -- the message itself ---------------------------------------------------------------------------


def content(make: Callable[[str], Any]) -> Put:
    return lambda world, text: undoubled(wire_of(make(text), world.reactor)).decode()


CONTENTS = [
    Value("message (str)", "hello", content(str), "message", text_lines),
    Value(
        "message (bytes)",
        "hello",
        content(lambda t: t.encode("utf-8", "replace")),
        "message",
        lambda text: text_lines(re.sub("[\ud800-\udfff]", "?", text)),
    ),
    Value("message (iterable)", "hello", content(lambda t: [t]), "message", text_lines),
    Value("message (characters)", "hello", content(list), "message", text_lines),
    Value(
        "mail.raw",
        "hello",
        content(lambda t: {"envelope": {"from": "a@x.org"}, "raw": t}),
        "'raw'",
        text_lines,
    ),
    Value("message (file)", "hello", content(io.StringIO), "message", text_lines),
]

VALUES = [*MAILS, *EMAILS, *CONTENTS]
