"""Dict to ``EmailMessage``, and any ``Message`` to bytes, on the standard ``email`` package.

Headers are encoded and folded here, then stored in the message as if they had been parsed, and
address lists are read by a parser of our own: what the email package does there differs from one
Python release to the next, and has let crafted values through (CVE-2023-27043, CVE-2024-6923).
What is ambiguous is refused, never repaired: nobody gets a mail whom the caller did not write down
as an address.
"""

from __future__ import annotations

import base64
import binascii
import copy
import io
import mimetypes
import os
import re
import reprlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from email.charset import Charset
from email.errors import HeaderParseError, InvalidHeaderDefect
from email.generator import BytesGenerator
from email.header import Header, decode_header
from email.message import EmailMessage, Message
from email.policy import SMTPUTF8, EmailPolicy, Policy, default
from email.utils import format_datetime, parsedate_to_datetime
from itertools import repeat
from typing import Any, NamedTuple
from urllib.parse import quote

from .errors import SMTPError
from .names import NameTable

__all__ = ["compose", "envelope_of", "serialize"]

_ADDRESS_FIELDS = {
    "from": "From",
    "sender": "Sender",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "replyTo": "Reply-To",
}
_FIELDS = {
    **_ADDRESS_FIELDS,
    "subject": "Subject",
    "date": "Date",
    "messageId": "Message-ID",
    "inReplyTo": "In-Reply-To",
    "references": "References",
}
_FIELD_OF_HEADER = {name.lower(): field for field, name in _FIELDS.items()}
_OWN_HEADERS = {"mime-version", "content-type", "content-transfer-encoding"}
_OWN_HEADERS |= {"content-disposition", "content-id", "bcc", "resent-bcc"}
_PRIORITIES = {
    "high": {"X-Priority": "1 (Highest)", "X-MSMail-Priority": "High", "Importance": "High"},
    "normal": {},
    "low": {"X-Priority": "5 (Lowest)", "X-MSMail-Priority": "Low", "Importance": "Low"},
}

_AS_ALTERNATIVE = "give it in 'alternatives', with its 'contentType'"
_MAIL = NameTable(
    "field",
    (*_FIELDS, "text", "html", "attachments", "alternatives", "headers", "priority"),
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
_ATTACHMENT = NameTable(
    "field",
    [*_FILE_FIELDS, "contentDisposition", "headers"],
    {
        "href": _DOWNLOAD,
        "raw": "give 'content' and 'contentType'",
        "contentTransferEncoding": "attachments travel in base64",
    },
)
_ADDRESS_OBJECT = NameTable("field", ("name", "address"))
_HEADER_OBJECT = NameTable("field", ("key", "value"))

# Tab is a blank.  U+0085, U+2028 and U+2029 end a line for str.splitlines(), which older email
# packages use on headers.
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_NO_CONTROLS = "without line breaks and control characters"
_HEADER_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 3.6.8
_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]{1,75}", re.ASCII)
_AN_ADDRESS = "'name@example.com' or '\"Name\" <name@example.com>'"
_A_DATE = "a datetime, or a date as RFC 5322 or ISO 8601 write it"
_MESSAGE_ID = re.compile(r"[!-;=?-~]+")
_TOKEN = r"[\w!#$%&'*+.^`{|}~-]+"
_PARAMETER = rf'{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_PARAMETER})*", re.ASCII)
_CHARSET = re.compile("charset=", re.IGNORECASE)
_OPAQUE = "application/octet-stream"

_LINE = 76  # what RFC 2047 2 and RFC 2045 6.7 allow; RFC 5322 2.1.1 would like 78
_LONGEST_LINE = 998
_LONGEST_WORD = 900  # leaves room for the name of a header
# refold_source: what is folded already stays as it is, on every release.
_POLICY = default.clone(refold_source="none")
_UTF8 = Charset("utf-8")

_show = reprlib.Repr()
_show.maxstring = _show.maxother = 80


def compose(mail: Mapping[str, Any]) -> EmailMessage:
    """Compose the message that ``mail`` describes, in the words of nodemailer's message fields.

    - ``from``, ``sender``, ``to``, ``cc``, ``bcc``, ``replyTo``: ``'a@x.org'`` and
      ``'Name <a@x.org>'``, separated by commas, ``{'name', 'address'}``, or a list of all that
    - ``subject`` (str), ``date`` (datetime, or str as RFC 5322 or ISO 8601 have it),
      ``priority`` (``'high'``, ``'normal'``, ``'low'``)
    - ``messageId``, ``inReplyTo``, ``references``: ids, with or without angle brackets
    - ``text``, ``html``: str, UTF-8 as bytes or from ``read()``, ``{'path'}`` or ``{'content'}``
    - ``attachments``, ``alternatives``: dicts of ``content`` or ``path``, ``filename``,
      ``contentType``, ``cid``, ``encoding`` (of a str), ``contentDisposition`` and ``headers``
    - ``headers``: name to text or texts, or a list of ``{'key', 'value'}``

    ``None`` stands for absent.  The result is 7-bit throughout, but for addresses that are not
    ASCII (RFC 6532), and it never has a Bcc header.

    Raises ``SMTPError`` with the code ``'EMESSAGE'`` for a name that is unknown, for a value that
    cannot be sent (a line break in a header among them), and for a file that cannot be read.
    """
    fields = _mail_fields(mail)
    if not fields:
        raise _error("Empty message")  # Node's words
    folded = [(name, _folded(name, words)) for name, words in _headers(fields)]
    body = _body(fields)
    utf8 = any(not value.isascii() for _, value in folded)
    message = EmailMessage(_POLICY.clone(utf8=True) if utf8 else _POLICY)
    for name, value in [*folded, ("MIME-Version", "1.0"), *body.raw_items()]:
        message.set_raw(name, value)
    message.set_payload(body.get_payload())
    return message


def serialize(message: Message) -> bytes:
    """Return what goes over the wire for ``message``: CRLF line ends, no Bcc, no Resent-Bcc.

    Headers are ASCII unless an address is not, which has no ASCII form (RFC 6532).  The caller's
    object is left as it is.  Raises ``SMTPError`` with the code ``'EMESSAGE'``, and the cause
    chained, if the email package cannot write the message, or would write a header that breaks out
    of its field.
    """
    if not isinstance(message, Message):
        raise _wrong("message", message, "an email.message.Message")
    buffer = io.BytesIO()
    try:
        twin = _twin(message)
        del twin["Bcc"], twin["Resent-Bcc"]
        policy = _wire_policy(twin)
        _check_headers(twin, policy)
        BytesGenerator(buffer, mangle_from_=False, policy=policy).flatten(twin)
    except Exception as error:
        raise _error(f"The message cannot be written: {error}") from error
    wire = buffer.getvalue()
    if not wire.count(b"\r\n") == wire.count(b"\n") == wire.count(b"\r"):
        wire = re.sub(rb"\r\n?|\n", b"\r\n", wire)
    return wire


def envelope_of(mail: Mapping[str, Any] | Message) -> dict[str, Any]:
    """Return ``{'from': address, 'to': [address, ...]}``, read from fields or headers of ``mail``.

    ``from`` is the sender's address, else the first author's, else ``''``; ``to`` are those of To,
    Cc and Bcc, each one once, exactly as they are written.  A message that was resent is taken by
    its Resent- headers (RFC 5322 3.6.6).  Raises ``SMTPError`` with the code ``'EENVELOPE'`` for an
    address that cannot be read, or that can be read in more than one way.
    """
    if isinstance(mail, Message):
        sender, author, *recipients = _header_addresses(mail)
    else:
        fields = _mail_fields(mail)
        sender, author, *recipients = (
            [box.address for box in _mailboxes(_entries(field, fields.get(field), "EENVELOPE"))]
            for field in ("sender", "from", "to", "cc", "bcc")
        )
    if len(sender) > 1:
        raise _error(f"One sender is needed; got {_show.repr(sender)}", "EENVELOPE")
    return {
        "from": (sender or author or [""])[0],
        "to": list(dict.fromkeys(address for part in recipients for address in part)),
    }


# Errors


def _error(text: str, code: str = "EMESSAGE") -> SMTPError:
    return SMTPError(text, code=code, command="API")


def _wrong(field: str, value: object, takes: str, code: str = "EMESSAGE") -> SMTPError:
    return _error(f"{field!r} takes {takes}; got {_show.repr(value)}", code)


def _named(table: NameTable, field: str, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise _wrong(field, given, "a dict")
    try:
        named = table.canonical(given)
    except TypeError as error:
        raise _error(f"{field!r}: {error}") from error
    return {name: value for name, value in named.items() if value is not None}


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or _CONTROL.search(value):
        raise _wrong(field, value, f"a str {_NO_CONTROLS}")
    return value


# Addresses: RFC 5322 3.4, and the comments and loose phrases that people write


class _Mailbox(NamedTuple):
    name: str
    address: str


class _Group(NamedTuple):
    name: str
    members: list[_Mailbox]


_LOCAL = rf'[^\s"(),:;<>@\[\]\\{_CONTROLS}]+'
_DOMAIN = rf'(?:{_LOCAL}|\[[^\s"(),;<>@\[\]\\{_CONTROLS}]*\])'
_QUOTED_LOCAL = rf'"(?:[^"\\<>\t{_CONTROLS}]|\\[^<>\t{_CONTROLS}])*"'
_PLAIN_ADDRESS = re.compile(f"{_LOCAL}@{_DOMAIN}")
_FULL_ADDRESS = re.compile(f"(?:{_LOCAL}|{_QUOTED_LOCAL})@{_DOMAIN}")
# Without a domain it is a local user, whom only '<root>' and {'address': 'root'} mean for certain:
# the 'Doe' of 'Doe, John <john@example.com>' is no recipient.
_ANY_ADDRESS = re.compile(f"(?:{_LOCAL}|{_QUOTED_LOCAL})(?:@{_DOMAIN})?")
_ADDRESS_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<comment>\((?:[^()\\]|\\.)*\))
      | (?P<angle><[^<>]*>)
      | (?P<special>[,:;])
      | (?P<text>@\[[^\s\[\]]*\]|[^"(),:;<>\\@]+|@)""",
    re.VERBOSE | re.DOTALL,
)
_Tokens = list[tuple[str, str]]  # kind and text


def _parse_addresses(text: str) -> list[_Mailbox | _Group]:
    """Read an address list.  Raises ``ValueError``, with the reason, unless it has one reading."""
    if _PLAIN_ADDRESS.fullmatch(text):
        return [_Mailbox("", text)]
    entries: list[_Mailbox | _Group] = []
    group: _Group | None = None
    words: _Tokens = []
    for kind, token in [*_address_tokens(text), ("special", ",")]:
        if kind != "special":
            words.append((kind, token))
            continue
        if token == ":":
            group = _open_group(words, group)
            entries.append(group)
        elif any(word.strip() for _, word in words):
            (entries if group is None else group.members).append(_mailbox(words))
        if token == ";":
            if group is None:
                raise ValueError(f"{_show.repr(text)} has a semicolon where a comma belongs")
            group = None
        words = []
    if group is not None:
        raise ValueError(f"the group {_show.repr(group.name)} does not end with a semicolon")
    return entries


def _address_tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _ADDRESS_TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read {_show.repr(text[position:])} in an address")
        yield str(match.lastgroup), match.group()
        position = match.end()


def _open_group(words: _Tokens, outer: _Group | None) -> _Group:
    name = _phrase_text(words)
    if outer is not None or not name or "@" in name or any(kind == "angle" for kind, _ in words):
        raise ValueError(f"cannot read the colon after {_show.repr(name)}; quote the name")
    return _Group(name, [])


def _mailbox(words: _Tokens) -> _Mailbox:
    whole = "".join(token for _, token in words).strip()
    solid = [at for at, (kind, token) in enumerate(words) if kind != "comment" and token.strip()]
    angles = [at for at in solid if words[at][0] == "angle"]
    if not angles:
        # RFC 822's way to give a name: 'address (name)'
        first, last = (solid[0], solid[-1] + 1) if solid else (0, 0)
        address = "".join(token for _, token in words[first:last]).strip()
        if _FULL_ADDRESS.fullmatch(address):
            comments = [token for kind, token in words[:first] + words[last:] if kind == "comment"]
            return _Mailbox(" ".join(comment[1:-1] for comment in comments).strip(), address)
    elif angles == solid[-1:]:
        before = words[: angles[0]]
        name = _phrase_text(before)
        address = words[angles[0]][1][1:-1].strip()
        # 'alice@good.example <bob@evil.example>': which one is meant?
        loose = "@" in "".join(token for kind, token in before if kind == "text")
        if _ANY_ADDRESS.fullmatch(address) and not (loose and name != address):
            return _Mailbox(name, address)
    raise ValueError(f"cannot read {_show.repr(whole)} as one address; write {_AN_ADDRESS}")


def _phrase_text(words: _Tokens) -> str:
    return "".join(
        re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if kind == "quoted" else token
        for kind, token in words
    ).strip()


def _entries(field: str, value: object, code: str) -> list[_Mailbox | _Group]:
    """Read the addresses of one field of a mail: a str, a dict, or a list of those or of lists."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [entry for item in value for entry in _entries(field, item, code)]
    try:
        if isinstance(value, Mapping):
            entries: list[_Mailbox | _Group] = [_given_mailbox(value)]
        elif isinstance(value, str) and not _CONTROL.search(value):
            entries = _parse_addresses(value.strip())
        else:
            takes = f"{_AN_ADDRESS} {_NO_CONTROLS}, {{'name', 'address'}}, or a list of those"
            raise _wrong(field, value, takes, code)
    except (TypeError, ValueError) as error:
        raise _error(f"{field!r}: {error}", code) from error
    return entries


def _given_mailbox(given: Mapping[str, Any]) -> _Mailbox:
    named = _ADDRESS_OBJECT.canonical(given)
    name = named.get("name")
    address = named.get("address")
    for value in (address, "" if name is None else name):
        if not isinstance(value, str) or _CONTROL.search(value):
            raise ValueError(f"name and address are str {_NO_CONTROLS}; got {_show.repr(value)}")
    if not _ANY_ADDRESS.fullmatch(str(address).strip()):
        raise ValueError(f"cannot read {_show.repr(address)} as one address, 'name@example.com'")
    return _Mailbox((name or "").strip(), str(address).strip())


def _mailboxes(entries: Iterable[_Mailbox | _Group]) -> Iterator[_Mailbox]:
    for entry in entries:
        if isinstance(entry, _Group):
            yield from entry.members
        else:
            yield entry


def _header_addresses(message: Message) -> Iterator[list[str]]:
    """Yield the addresses of Sender, From, To, Cc and Bcc, or of their Resent- kind."""
    values: dict[str, list[Any]] = {}
    for name, value in message.raw_items():
        values.setdefault(name.lower(), []).append(value)
    prefix = "resent-" if any(name.startswith("resent-") for name in values) else ""
    for name in ("sender", "from", "to", "cc", "bcc"):
        name = prefix + name
        given = values.get(name, [])
        if len(given) > 1 and (prefix or name in ("sender", "from")):
            raise _error(f"{name!r} is there {len(given)} times; give an envelope", "EENVELOPE")
        try:
            yield [address for value in given for address in _addresses_in(value)]
        except (ValueError, HeaderParseError) as error:
            raise _error(f"{name!r}: {error}", "EENVELOPE") from error


def _addresses_in(value: Any) -> list[str]:
    """Read one header as a Message stores it: parsed, in a ``Header``, or as it was received."""
    if hasattr(value, "addresses"):
        # Its text is what the email package made of the caller's, so both must agree.
        found = [box.address for box in _mailboxes(_parse_addresses(str(value)))]
        invalid = [defect for defect in value.defects if isinstance(defect, InvalidHeaderDefect)]
        if invalid or found != [address.addr_spec for address in value.addresses]:
            reason = invalid[0] if invalid else "more than one reading"
            raise ValueError(f"cannot rely on {_show.repr(str(value))} ({reason})")
        return found
    if isinstance(value, Header):
        # In several pieces, only the encoded form tells names from addresses for certain.
        value = str(value) if len(decode_header(value)) == 1 else value.encode()
    if not isinstance(value, str):
        raise ValueError(f"cannot read {_show.repr(value)} as addresses")
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value).strip()
    return [box.address for box in _mailboxes(_parse_addresses(unfolded))]


# Headers: words that are folded between, never within


def _headers(fields: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    addresses = {field: _entries(field, fields.get(field), "EMESSAGE") for field in _ADDRESS_FIELDS}
    senders = list(_mailboxes(addresses["sender"]))
    if len(senders) > 1:
        raise _wrong("sender", fields["sender"], "one address")
    for field, name in _ADDRESS_FIELDS.items():
        if field != "bcc" and addresses[field]:
            yield name, _address_words(addresses[field])
    subject = _text("subject", fields.get("subject", ""))
    if subject:
        yield "Subject", _text_words(subject)
    yield "Date", [_date(fields.get("date"))]
    author = next(_mailboxes(addresses["sender"] or addresses["from"]), _Mailbox("", ""))
    yield "Message-ID", [_message_id(fields.get("messageId"), author.address)]
    for field in ("inReplyTo", "references"):
        ids = _message_ids(field, fields.get(field, ""))
        if ids:
            yield _FIELDS[field], ids
    priority = str(fields.get("priority", "normal")).lower()
    if priority not in _PRIORITIES:
        raise _wrong("priority", fields["priority"], "'high', 'normal' or 'low'")
    urgency = _PRIORITIES[priority]
    yield from ((name, _text_words(value)) for name, value in urgency.items())
    ours = {name.lower() for name in urgency}
    for name, value in fields.get("headers", ()):
        if name.lower() not in ours:
            yield name, _text_words(value)


def _mail_fields(mail: object) -> dict[str, Any]:
    """Return the fields that are given, with 'headers' as pairs that have no field of their own."""
    fields = _named(_MAIL, "mail", mail)
    if "headers" in fields:
        pairs = list(_header_pairs("headers", fields["headers"]))
        fields["headers"] = []
        moved: dict[str, list[str]] = {}
        for name, value in pairs:
            field = _FIELD_OF_HEADER.get(name.lower())
            if field is None:
                if name.lower() in _OWN_HEADERS:
                    raise _error(f"'headers': {name!r} cannot be set; it follows from the content")
                fields["headers"].append((name, value))
            elif field not in fields:  # a field wins over the header of its name, as in nodemailer
                moved.setdefault(field, []).append(value)
        fields.update((field, v if len(v) > 1 else v[0]) for field, v in moved.items())
    return fields


def _header_pairs(field: str, headers: object) -> Iterator[tuple[str, str]]:
    if isinstance(headers, Mapping):
        pairs = list(headers.items())
    elif isinstance(headers, (list, tuple)):
        items = [_named(_HEADER_OBJECT, field, item) for item in headers]
        pairs = [(item.get("key"), item.get("value")) for item in items]
    else:
        raise _wrong(field, headers, "a dict, or a list of {'key', 'value'}")
    for name, value in pairs:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise _wrong(field, name, "names of printable ASCII without blanks and colons")
        for line in value if isinstance(value, (list, tuple)) else [value]:
            yield name, _text(f"{field}.{name}", line)


def _folded(name: str, words: list[str]) -> str:
    """Return ``words`` as the value of the header ``name``, in lines as short as they can be."""
    lines = [f"{name}:"]
    for at, word in enumerate(words):
        if at and len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append("")
        lines[-1] += f" {word}"
    for line in lines:
        if len(line.encode()) > _LONGEST_LINE:
            raise _error(f"{name!r} needs a line of {len(line)}, over {_LONGEST_LINE} octets")
    return "\n".join(lines)[len(name) + 2 :]


def _encoded_words(text: str) -> list[str]:
    # header_encode_lines() cuts between characters, never within one, as RFC 2047 5 has it.
    return [word for word in _UTF8.header_encode_lines(text, repeat(_LINE - 1)) if word]


def _text_words(text: str) -> list[str]:
    """Split unstructured text.  ASCII stays as it is, words that are already encoded included."""
    words = re.split(r"(?<=\S) (?=\S)", text)
    if text.isascii() and text == text.strip() and max(map(len, words)) <= _LONGEST_WORD:
        return words
    return _encoded_words(text)


def _phrase_words(name: str) -> list[str]:
    atoms = name.split(" ")
    if all(map(_ATOM.fullmatch, atoms)):
        return atoms
    if re.fullmatch(r"[ -~]{1,60}", name) and "=?" not in name:
        return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']
    return _encoded_words(name)


def _address_words(entries: Iterable[_Mailbox | _Group]) -> list[str]:
    words: list[str] = []
    for entry in entries:
        if words:
            words[-1] += ","
        if isinstance(entry, _Group):
            words += _phrase_words(entry.name)
            if words[-1].endswith("?="):  # RFC 2047 5 (3): a blank ends an encoded word
                words.append("")
            words[-1] += ":"
            words += _address_words(entry.members)
            words[-1] += ";"
        elif entry.name:
            words += [*_phrase_words(entry.name), f"<{entry.address}>"]
        else:
            plain = _PLAIN_ADDRESS.fullmatch(entry.address)
            words.append(entry.address if plain else f"<{entry.address}>")
    return words


def _parameter_words(name: str, value: str) -> list[str]:
    if re.fullmatch(r"[ !#-\[\]-~]{0,60}", value) and "=?" not in value and value == value.strip():
        return [f'{name}="{value}"']
    # RFC 2231: pieces of whole characters, since some readers decode each piece by itself.
    pieces = ["utf-8''"]
    for character in value:
        if len(pieces[-1]) > _LINE - 30:
            pieces.append("")
        pieces[-1] += quote(character, safe="")
    if len(pieces) == 1:
        return [f"{name}*={pieces[0]}"]
    return [f"{name}*{number}*={piece}" for number, piece in enumerate(pieces)]


def _listed(words: list[str], mark: str) -> list[str]:
    return [word + mark for word in words[:-1]] + words[-1:]


def _date(given: object) -> str:
    if given is None or given == "":
        given = datetime.now(timezone.utc)
    try:
        if isinstance(given, str):
            given = _parse_date(_text("date", given))
        if isinstance(given, datetime):
            return format_datetime(given)
    except (ValueError, OverflowError) as error:
        raise _wrong("date", given, _A_DATE) from error
    raise _wrong("date", given, _A_DATE)


def _parse_date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError:
        return parsedate_to_datetime(text)


def _message_ids(field: str, given: object) -> list[str]:
    texts = given if isinstance(given, (list, tuple)) else [given]
    ids = [word for text in texts for word in _text(field, text).split()]
    bare = [word[1:-1] if word[0] + word[-1] == "<>" else word for word in ids]
    if not all(map(_MESSAGE_ID.fullmatch, bare)):
        raise _wrong(field, given, "message ids of printable ASCII, '<id@domain>'")
    return [f"<{word}>" for word in bare]


def _one_id(field: str, given: object) -> str:
    ids = _message_ids(field, given)
    if len(ids) != 1:
        raise _wrong(field, given, "one id without blanks")
    return ids[0]


def _message_id(given: object, author: str) -> str:
    if given is not None and given != "":
        return _one_id("messageId", given)
    domain = author.rpartition("@")[2] if "@" in author and author.isascii() else "localhost"
    return f"<{uuid.uuid4()}@{domain}>"


# Bodies


def _body(fields: Mapping[str, Any]) -> EmailMessage:
    """Nest the parts as mail clients expect: mixed, then alternative, then related."""
    text, html = (_utf8_text(field, fields.get(field, "")) for field in ("text", "html"))
    attached: list[EmailMessage] = []
    related: list[EmailMessage] = []
    for number, (field, item) in enumerate(_items("attachments", fields), 1):
        part = _file_part(field, item, f"attachment-{number}")
        (related if html and "cid" in item else attached).append(part)
    versions = [_text_part("plain", text)] if text else []
    if html:
        page = _text_part("html", html)
        versions.append(
            _multipart(["related", 'type="text/html"'], [page, *related]) if related else page
        )
    versions += [_file_part(field, item, None) for field, item in _items("alternatives", fields)]
    if len(versions) > 1:
        versions = [_multipart(["alternative"], versions)]
    if attached:
        return _multipart(["mixed"], versions + attached)
    return versions[0] if versions else _text_part("plain", b"")


def _items(field: str, fields: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    given = fields.get(field, ())
    items = given if isinstance(given, (list, tuple)) else [given]
    labelled = [(f"{field}[{number}]", item) for number, item in enumerate(items)]
    return [(label, _named(_ATTACHMENT, label, item)) for label, item in labelled]


def _part(content_type: list[str], encoding: str, payload: str) -> EmailMessage:
    part = EmailMessage(_POLICY)
    part.set_raw("Content-Type", _folded("Content-Type", _listed(content_type, ";")))
    part.set_raw("Content-Transfer-Encoding", encoding)
    part.set_payload(payload)
    return part


def _text_part(subtype: str, data: bytes) -> EmailMessage:
    return _part([f"text/{subtype}", "charset=utf-8"], *_encoded_text(data))


def _multipart(subtype: list[str], parts: list[EmailMessage]) -> EmailMessage:
    part = EmailMessage(_POLICY)
    # '=_' is in no quoted-printable and no base64 (RFC 2045 6.7); in other text, chance decides.
    words = [f"multipart/{subtype[0]}", *subtype[1:], f'boundary="=_{uuid.uuid4().hex}"']
    part.set_raw("Content-Type", _folded("Content-Type", _listed(words, ";")))
    part.set_payload([*parts])
    return part


def _encoded_text(data: bytes) -> tuple[str, str]:
    """Return the transfer encoding for text with LF line ends, and the text in that encoding."""
    if not re.search(rb"[^\t\n -~]", data) and max(map(len, data.split(b"\n"))) <= _LINE + 2:
        return "7bit", data.decode("ascii")
    printable = binascii.b2a_qp(data)
    opaque = base64.encodebytes(data)
    if len(printable) < 1.5 * len(opaque):  # what can be read without decoding is worth that
        return "quoted-printable", printable.decode("ascii")
    return "base64", opaque.decode("ascii")


def _utf8_text(field: str, given: object) -> bytes:
    try:
        content = _content(field, given)
        data = content.encode() if isinstance(content, str) else content.decode().encode()
    except UnicodeError as error:
        raise _wrong(field, given, "text that UTF-8 can express") from error
    return _unix_lines(data)


def _unix_lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _content(field: str, given: object) -> str | bytes:
    if isinstance(given, Mapping):
        return _described_content(field, _named(_CONTENT, field, given))
    if callable(getattr(given, "read", None)):
        try:
            given = given.read()  # type: ignore[attr-defined]
        except Exception as error:
            raise _error(f"{field!r} cannot be read: {error}") from error
    if isinstance(given, str):
        return given
    try:
        return bytes(memoryview(given))  # type: ignore[arg-type]
    except TypeError as error:
        takes = "a str, bytes, an object with read(), or {'path'} or {'content'}"
        raise _wrong(field, given, takes) from error


def _described_content(field: str, given: Mapping[str, Any]) -> str | bytes:
    if ("path" in given) == ("content" in given):
        raise _wrong(field, dict(given), "either 'content' or 'path'")
    if "path" in given:
        try:
            with open(os.fspath(given["path"]), "rb") as file:
                return file.read()
        except (OSError, TypeError, ValueError) as error:
            raise _error(f"{field!r}: cannot read the file: {error}") from error
    content = _content(f"{field}.content", given["content"])
    encoding = given.get("encoding", "utf-8")
    decode = _DECODERS.get(re.sub("[-_ ]", "", str(encoding)).lower())
    if decode is None:
        raise _wrong(f"{field}.encoding", encoding, "'utf-8', 'base64', 'hex' or 'binary'")
    if isinstance(content, bytes):  # an encoding is one of text; Node ignores it with a Buffer too
        return content
    try:
        return decode(content)
    except ValueError as error:
        raise _wrong(f"{field}.content", content, f"text in {encoding}") from error


def _from_base64(text: str) -> bytes:
    compact = "".join(text.split()).rstrip("=")  # padding is optional in Node
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)


_DECODERS: Mapping[str, Callable[[str], str | bytes]] = {
    **dict.fromkeys(("utf8", "ascii", "usascii"), lambda text: text),
    **dict.fromkeys(("binary", "latin1"), lambda text: text.encode("latin-1")),
    "base64": _from_base64,
    "hex": bytes.fromhex,
}


def _file_part(field: str, given: Mapping[str, Any], stem: str | None) -> EmailMessage:
    """Make the part of an attachment, called ``stem`` for want of a name, or of an alternative."""
    content = _described_content(field, given)
    filename = given.get("filename")
    if filename is None and "path" in given:
        filename = os.path.basename(os.fsdecode(given["path"]))
    filename = "" if filename is None or filename is False else _text(f"{field}.filename", filename)
    content_type = _content_type(field, given, filename, "text/plain" if stem is None else _OPAQUE)
    if stem and not filename and given.get("filename") is not False:
        filename = stem + (mimetypes.guess_extension(content_type[0]) or ".bin")
    part = _encoded_part(field, content, content_type, readable=stem is None)
    for name, words in _part_headers(field, given, filename, attached=stem is not None):
        part.set_raw(name, _folded(name, words))
    return part


def _part_headers(
    field: str, given: Mapping[str, Any], filename: str, *, attached: bool
) -> Iterator[tuple[str, list[str]]]:
    usual = "attachment" if attached and "cid" not in given else "inline"
    disposition = given.get("contentDisposition", usual)
    if disposition not in ("inline", "attachment"):
        raise _wrong(f"{field}.contentDisposition", disposition, "'inline' or 'attachment'")
    if filename or attached or "contentDisposition" in given:
        words = _parameter_words("filename", filename) if filename else []
        yield "Content-Disposition", _listed([disposition, *words], ";")
    if "cid" in given:
        yield "Content-ID", [_one_id(f"{field}.cid", given["cid"])]
    for name, value in _header_pairs(f"{field}.headers", given.get("headers", {})):
        if name.lower() in _OWN_HEADERS:
            raise _error(f"'{field}.headers': {name!r} cannot be set; it has a field of its own")
        yield name, _text_words(value)


def _content_type(field: str, given: Mapping[str, Any], filename: str, fallback: str) -> list[str]:
    """Return the type and its parameters: those given, or what the file name tells."""
    if "contentType" not in given:
        guess, compression = mimetypes.guess_type(os.path.basename(filename))
        usable = guess is not None and not compression and not _is_composite(guess)
        return [str(guess)] if usable else [_OPAQUE if compression else fallback]
    text = _text(f"{field}.contentType", given["contentType"]).strip(" \t;")
    kind = text.partition(";")[0].rstrip()
    if _is_composite(kind) or not _CONTENT_TYPE.fullmatch(text):
        takes = "a type like 'image/png' or 'text/html; charset=utf-8', not of several parts"
        raise _wrong(f"{field}.contentType", text, takes)
    return [kind, *re.findall(_PARAMETER, text[len(kind) :], re.ASCII)]


def _is_composite(kind: str) -> bool:
    # What is inside these is parts and no content (RFC 2046 5.1, 5.2).
    return kind.lower().startswith(("multipart/", "message/")) and kind.lower() != "message/rfc822"


def _encoded_part(
    field: str, content: str | bytes, content_type: list[str], *, readable: bool
) -> EmailMessage:
    kind = content_type[0].lower()
    if isinstance(content, bytes):
        data = content
    else:
        named = [word.partition("=")[2].strip('"') for word in content_type if _CHARSET.match(word)]
        charset = named[0] if named else "utf-8"
        if kind.startswith("text/") and not named:
            content_type = [*content_type, "charset=utf-8"]
        try:
            data = content.encode(charset)
        except (LookupError, UnicodeError) as error:
            raise _wrong(f"{field}.content", content, f"text that {charset} can express") from error
        if readable and kind.startswith("text/") and charset.lower() == "utf-8":
            return _part(content_type, *_encoded_text(_unix_lines(data)))
    if kind == "message/rfc822":
        # It may not be encoded (RFC 2046 5.2.1), so one that is not 7-bit travels as a plain file.
        if not re.search(rb"[^\t\r\n -~]|[^\r\n]{999}", data):
            return _part(content_type, "7bit", _unix_lines(data).decode("ascii"))
        content_type = [_OPAQUE]
    return _part(content_type, "base64", base64.encodebytes(data).decode("ascii"))


# Writing

_WRITTEN_HEADER = re.compile(rb"[!-9;-~]+:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")


def _twin(message: Message) -> Message:
    """Copy the tree of parts: the generator writes a boundary into each part that has none."""
    twin = copy.copy(message)
    if message.is_multipart():
        parts: list[Any] = list(message.get_payload())
        twin.set_payload([_twin(part) for part in parts])
    return twin


def _wire_policy(message: Message) -> Policy[Any]:
    utf8 = False
    for name, value in message.raw_items():
        if name.lower().removeprefix("resent-") in ("from", "sender", "reply-to", "to", "cc"):
            try:
                utf8 = utf8 or not all(map(str.isascii, _addresses_in(value)))
            except ValueError:
                pass  # an explicit envelope may come with a header that nobody can read
    policy = message.policy
    if isinstance(policy, EmailPolicy):
        return policy.clone(linesep="\r\n", utf8=utf8)
    # The older policy has no form for such addresses; it would encode them beyond recognition.
    return SMTPUTF8.clone(refold_source="none") if utf8 else policy.clone(linesep="\r\n")


def _check_headers(message: Message, policy: Policy[Any]) -> None:
    """Raise ``ValueError`` for a header that would be written as more than one (CVE-2024-6923)."""
    for part in message.walk():
        for name, value in part.raw_items():
            if not _WRITTEN_HEADER.fullmatch(policy.fold_binary(name, value)):
                raise ValueError(f"the header {_show.repr(name)} would end before its value does")
