"""A transport that gives the mail as JSON, to be stored or sent in some other way."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..options.transport import TransportOptions
from ..reactor.loop import Reactor
from .records import ComposedInfo
from .stream import as_error

if TYPE_CHECKING:
    from ..mime.content import Access, Content
    from ..mime.mail import Mail
    from .mail import MailMessage

__all__ = ["JSONTransport"]

_CONTENTS = ("text", "html", "watchHtml", "amp", "icalEvent", "raw")


class JSONTransport:
    """Gives the fields of the mail: addresses parsed, files and streams read, what is binary in
    base64.  With the option ``skipEncoding`` it is a dict, else the text of one."""

    name = "JSONTransport"
    version = __version__
    runs_no_code_of_others = True

    def __init__(self, options: TransportOptions, reactor: Reactor) -> None:
        self._options = options
        self._reactor = reactor

    def send(self, mail: MailMessage, callback: Callable[..., object]) -> None:
        """Normalize ``mail``; ``callback(err, info)``, see :class:`ComposedInfo`."""
        message = mail.message
        assert message is not None
        envelope, message_id = mail.sent_to, message.messageId()

        def normalize() -> Any:
            data = _normalized(message.mail, message_id)
            return data if self._options.skipEncoding else json.dumps(data, ensure_ascii=False)

        def done(data: Any, exc: BaseException | None) -> None:
            if exc is None:
                callback(None, ComposedInfo(envelope, message_id, data))
            else:
                callback(as_error(exc))

        # Files and streams may have to be waited for.
        self._reactor.run_in_thread(normalize, done)


def _normalized(mail: Mail, message_id: str | None) -> dict[str, Any]:
    from ..mime.addresses import mailboxes
    from ..mime.content import files_of
    from ..mime.mail import ADDRESS_FIELDS

    result: dict[str, Any] = {}
    for name, value in mail.fields.items():
        if name in ADDRESS_FIELDS:
            boxes = [
                {"address": box.address, "name": box.name or ""}
                for box in mailboxes(mail.addresses(name))
            ]
            result[name] = boxes[0] if name in ("from", "sender") and boxes else boxes
        elif name in _CONTENTS:
            result[name] = _text_or_part(name, value, mail.access)
        elif name in ("attachments", "alternatives"):
            files = enumerate(files_of(name, value), 1)
            result[name] = [_file(*file, number, mail.access) for number, file in files]
        elif name not in ("envelope", "keepBcc"):
            result[name] = _plain(value)
    if mail.headers:
        result["headers"] = _headers(mail.headers)
    if message_id is not None:
        result["messageId"] = message_id
    return result


def _headers(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(str(text))
    return {name: each if len(each) > 1 else each[0] for name, each in texts.items()}


def _text_or_part(name: str, value: Any, access: Access) -> Any:
    from ..mime.content import FILE, described

    if not isinstance(value, Mapping):
        return _text(_content(name, value, access))
    method = {key: each for key, each in value.items() if key == "method"}
    given = described(FILE, name, {key: value[key] for key in value if key not in method})
    content = _content(name, given, access)
    more = {key: _plain(each) for key, each in given.items() if key in ("filename", "headers")}
    more.update(method)
    return {**more, "content": _text(content)} if more else _text(content)


def _file(label: str, given: dict[str, Any], number: int, access: Access) -> Any:
    from ..mime.filetypes import extension_of, type_of

    apart = ("content", "path", "href", "raw", "encoding")
    file = {key: _plain(value) for key, value in given.items() if key not in apart}
    path = given.get("path")
    filename = given.get("filename")
    if filename is None:
        filename = os.path.basename(os.fsdecode(path)) if path else f"attachment-{number}"
        if not os.path.splitext(filename)[1]:
            filename += extension_of(given.get("contentType") or "application/octet-stream")
    file["filename"] = filename
    file.setdefault("contentType", type_of(str(filename)))
    content = _content(label, given, access)
    if content.held is None or isinstance(content.held, bytes):
        encoded = base64.b64encode(b"".join(content.pieces())).decode()
        return {**file, "content": encoded, "encoding": "base64"}
    return {**file, "content": content.held}


def _content(label: str, value: Any, access: Access) -> Content:
    from ..mime.content import content_of, described_content
    from ..mime.email_message import serialize

    if isinstance(value, Mapping):
        return described_content(label, value, access)
    if callable(getattr(value, "as_bytes", None)):
        value = serialize(value)
    return content_of(label, value, access)


def _text(content: Content) -> str:
    if isinstance(content.held, str):
        return content.held
    return b"".join(content.pieces()).decode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON has it."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Iterable):
        return [_plain(each) for each in value]
    return str(value)
