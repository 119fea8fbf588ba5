"""The dict that describes a mail: the names in it, what its values are checked for, its content.

Addresses have a module of their own.  What cannot be meant is refused under the name of its field.
"""

from __future__ import annotations

import base64
import os
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

from ..errors import SMTPError
from ..options.names import NameTable

__all__ = [
    "ADDRESS_FIELDS",
    "CONTROLS",
    "FIELDS",
    "NO_CONTROLS",
    "OWN_HEADERS",
    "content_of",
    "described_content",
    "files",
    "header_pairs",
    "is_line",
    "line_of",
    "mail_error",
    "mail_fields",
    "named_values",
    "shown",
    "wrong_value",
]

ADDRESS_FIELDS = {
    "from": "From",
    "sender": "Sender",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "replyTo": "Reply-To",
}
FIELDS = {
    **ADDRESS_FIELDS,
    "subject": "Subject",
    "date": "Date",
    "messageId": "Message-ID",
    "inReplyTo": "In-Reply-To",
    "references": "References",
}
_FIELD_OF_HEADER = {name.lower(): field for field, name in FIELDS.items()}
OWN_HEADERS = {"mime-version", "content-type", "content-transfer-encoding"}
OWN_HEADERS |= {"content-disposition", "content-id", "bcc", "resent-bcc"}

_AS_ALTERNATIVE = "give it in 'alternatives', with its 'contentType'"
_MAIL = NameTable(
    "field",
    (*FIELDS, "text", "html", "attachments", "alternatives", "headers", "priority"),
    {
        "amp": _AS_ALTERNATIVE,
        "icalEvent": _AS_ALTERNATIVE,
        "watchHtml": _AS_ALTERNATIVE,
        "list": "give the List-* headers in 'headers'",
        "envelope": "it is the first argument of send()",
        "raw": "hand the finished message itself to send()",
        "encoding": "each text gets the shortest encoding",
        "textEncoding": "each header gets the shortest encoding",
    },
)
_DOWNLOAD = "nothing is downloaded; give 'content' or a local 'path'"
_CONTENT = NameTable("field", ("content", "path", "encoding"), {"href": _DOWNLOAD})
_FILE_FIELDS = ["filename", "content", "path", "contentType", "cid", "encoding"]
_FILE = NameTable(
    "field",
    [*_FILE_FIELDS, "contentDisposition", "headers"],
    {
        "href": _DOWNLOAD,
        "raw": "give 'content' and 'contentType'",
        "contentTransferEncoding": "attachments travel in base64",
    },
)
_HEADER_OBJECT = NameTable("field", ("key", "value"))

# Tab is a blank.  U+0085, U+2028 and U+2029 end a line for str.splitlines(), which older email
# packages use on headers.
CONTROLS = r"\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL = re.compile(f"[{CONTROLS}]")
NO_CONTROLS = "without line breaks and control characters"
_HEADER_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 3.6.8

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80
shown = _repr.repr  # a value as error texts show it, shortened


# Checks


def mail_error(text: str, code: str = "EMESSAGE") -> SMTPError:
    """Return the error for a mail that cannot be sent as it is."""
    return SMTPError(text, code=code, command="API")


def wrong_value(field: str, value: object, takes: str, code: str = "EMESSAGE") -> SMTPError:
    """Return the error that says what ``field`` takes, and what it got."""
    return mail_error(f"{field!r} takes {takes}; got {shown(value)}", code)


def named_values(table: NameTable, field: str, given: object) -> dict[str, Any]:
    """Return what the dict ``given`` holds under the names of ``table``, without ``None``."""
    if not isinstance(given, Mapping):
        raise wrong_value(field, given, "a dict")
    try:
        named = table.canonical(given)
    except TypeError as error:
        raise mail_error(f"{field!r}: {error}") from error
    return {name: value for name, value in named.items() if value is not None}


def is_line(value: object) -> TypeGuard[str]:
    """Return whether ``value`` is text that cannot end a line, and that UTF-8 can express."""
    return isinstance(value, str) and not _CONTROL.search(value)


def line_of(field: str, value: object) -> str:
    """Return ``value``, which has to be one line of text."""
    if not is_line(value):
        raise wrong_value(field, value, f"a str {NO_CONTROLS}")
    return value


# Names


def mail_fields(mail: object) -> dict[str, Any]:
    """Return the fields that are given, with 'headers' as pairs that have no field of their own."""
    fields = named_values(_MAIL, "mail", mail)
    if "headers" in fields:
        pairs = list(header_pairs("headers", fields["headers"]))
        fields["headers"] = []
        moved: dict[str, list[str]] = {}
        for name, value in pairs:
            field = _FIELD_OF_HEADER.get(name.lower())
            if field is None:
                if name.lower() in OWN_HEADERS:
                    text = f"'headers': {name!r} cannot be set; it follows from the content"
                    raise mail_error(text)
                fields["headers"].append((name, value))
            elif field not in fields:  # a field wins over the header of its name, as in nodemailer
                moved.setdefault(field, []).append(value)
        fields.update((field, v if len(v) > 1 else v[0]) for field, v in moved.items())
    return fields


def header_pairs(field: str, headers: object) -> Iterator[tuple[str, str]]:
    """Yield name and text of each header in ``headers``, a dict or Node's list of dicts."""
    if isinstance(headers, Mapping):
        pairs = list(headers.items())
    elif isinstance(headers, (list, tuple)):
        items = [named_values(_HEADER_OBJECT, field, item) for item in headers]
        pairs = [(item.get("key"), item.get("value")) for item in items]
    else:
        raise wrong_value(field, headers, "a dict, or a list of {'key', 'value'}")
    for name, value in pairs:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise wrong_value(field, name, "names of printable ASCII without blanks and colons")
        for line in value if isinstance(value, (list, tuple)) else [value]:
            yield name, line_of(f"{field}.{name}", line)


def files(field: str, fields: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the attachments or alternatives: how to call each one in errors, and its dict."""
    given = fields.get(field, ())
    items = given if isinstance(given, (list, tuple)) else [given]
    labelled = [(f"{field}[{number}]", item) for number, item in enumerate(items)]
    return [(label, named_values(_FILE, label, item)) for label, item in labelled]


# Content


def content_of(field: str, given: object) -> str | bytes:
    """Read text or bytes, given as they are, with ``read()``, or in a dict that describes them."""
    if isinstance(given, Mapping):
        return described_content(field, named_values(_CONTENT, field, given))
    if callable(getattr(given, "read", None)):
        try:
            given = given.read()  # type: ignore[attr-defined]
        except Exception as error:
            raise mail_error(f"{field!r} cannot be read: {error}") from error
    if isinstance(given, str):
        return given
    try:
        return bytes(memoryview(given))  # type: ignore[arg-type]
    except TypeError as error:
        takes = "a str, bytes, an object with read(), or {'path'} or {'content'}"
        raise wrong_value(field, given, takes) from error


def described_content(field: str, given: Mapping[str, Any]) -> str | bytes:
    """Read the file at 'path', or the 'content' in its 'encoding'."""
    if ("path" in given) == ("content" in given):
        raise wrong_value(field, dict(given), "either 'content' or 'path'")
    if "path" in given:
        try:
            with open(os.fspath(given["path"]), "rb") as file:
                return file.read()
        except (OSError, TypeError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            text = f"{field!r}: cannot read the file {shown(given['path'])}: {why}"
            raise mail_error(text) from error
    content = content_of(f"{field}.content", given["content"])
    encoding = given.get("encoding", "utf-8")
    decode = _DECODERS.get(re.sub("[-_ ]", "", str(encoding)).lower())
    if decode is None:
        raise wrong_value(f"{field}.encoding", encoding, "'utf-8', 'base64', 'hex' or 'binary'")
    if isinstance(content, bytes):  # an encoding is one of text; Node ignores it with a Buffer too
        return content
    try:
        return decode(content)
    except ValueError as error:
        raise wrong_value(f"{field}.content", content, f"text in {encoding}") from error


def _from_base64(text: str) -> bytes:
    compact = "".join(text.split()).rstrip("=")  # padding is optional in Node
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)


_DECODERS: Mapping[str, Callable[[str], str | bytes]] = {
    **dict.fromkeys(("utf8", "ascii", "usascii"), lambda text: text),
    **dict.fromkeys(("binary", "latin1"), lambda text: text.encode("latin-1")),
    "base64": _from_base64,
    "hex": bytes.fromhex,
}
