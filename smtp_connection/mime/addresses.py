"""Address lists, in the fields of a mail and in the headers of a message, and their envelope.

They are read by a parser of our own: what the email package makes of them differs from one Python
release to the next, and has let crafted values through (CVE-2023-27043).  What is ambiguous is
refused, never repaired: nobody gets a mail whom the caller did not write down as an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from email.errors import HeaderParseError, InvalidHeaderDefect
from email.header import Header, decode_header
from email.message import Message
from typing import Any, NamedTuple

from ..options.names import NameTable
from .mail import CONTROLS, NO_CONTROLS, is_line, mail_error, mail_fields, shown, wrong_value

__all__ = [
    "PLAIN_ADDRESS",
    "Group",
    "Mailbox",
    "addresses_in",
    "entries_of",
    "envelope_of",
    "mailboxes",
]


class Mailbox(NamedTuple):
    """One whom a mail can be sent to: ``name`` (``''`` for none) and ``address``, decoded."""

    name: str
    address: str


class Group(NamedTuple):
    """Mailboxes that are listed under a name: ``'Team: a@x.org, b@x.org;'``."""

    name: str
    members: list[Mailbox]


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
        fields = mail_fields(mail)
        sender, author, *recipients = (
            [box.address for box in mailboxes(entries_of(field, fields.get(field), "EENVELOPE"))]
            for field in ("sender", "from", "to", "cc", "bcc")
        )
    if len(sender) > 1:
        raise mail_error(f"One sender is needed; got {shown(sender)}", "EENVELOPE")
    return {
        "from": (sender or author or [""])[0],
        "to": list(dict.fromkeys(address for part in recipients for address in part)),
    }


# The parser: RFC 5322 3.4, and the comments and loose phrases that people write

_LOCAL = rf'[^\s"(),:;<>@\[\]\\{CONTROLS}]+'
_DOMAIN = rf'(?:{_LOCAL}|\[[^\s"(),;<>@\[\]\\{CONTROLS}]*\])'
_QUOTED_LOCAL = rf'"(?:[^"\\<>\t{CONTROLS}]|\\[^<>\t{CONTROLS}])*"'
PLAIN_ADDRESS = re.compile(f"{_LOCAL}@{_DOMAIN}")
_FULL_ADDRESS = re.compile(f"(?:{_LOCAL}|{_QUOTED_LOCAL})@{_DOMAIN}")
# Without a domain it is a local user, whom only '<root>' and {'address': 'root'} mean for certain:
# the 'Doe' of 'Doe, John <john@example.com>' is no recipient.
_ANY_ADDRESS = re.compile(f"(?:{_LOCAL}|{_QUOTED_LOCAL})(?:@{_DOMAIN})?")
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<comment>\((?:[^()\\]|\\.)*\))
      | (?P<angle><[^<>]*>)
      | (?P<special>[,:;])
      | (?P<text>@\[[^\s\[\]]*\]|[^"(),:;<>\\@]+|@)""",
    re.VERBOSE | re.DOTALL,
)
_Tokens = list[tuple[str, str]]  # kind and text
_AN_ADDRESS = "'name@example.com' or '\"Name\" <name@example.com>'"


def _parse(text: str) -> list[Mailbox | Group]:
    """Read an address list.  Raises ``ValueError``, with the reason, unless it has one reading."""
    if PLAIN_ADDRESS.fullmatch(text):
        return [Mailbox("", text)]
    entries: list[Mailbox | Group] = []
    group: Group | None = None
    words: _Tokens = []
    for kind, token in [*_tokens(text), ("special", ",")]:
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
                raise ValueError(f"{shown(text)} has a semicolon where a comma belongs")
            group = None
        words = []
    if group is not None:
        raise ValueError(f"the group {shown(group.name)} does not end with a semicolon")
    return entries


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read {shown(text[position:])} in an address")
        yield str(match.lastgroup), match.group()
        position = match.end()


def _open_group(words: _Tokens, outer: Group | None) -> Group:
    name = _phrase_text(words)
    if outer is not None or not name or "@" in name or any(kind == "angle" for kind, _ in words):
        raise ValueError(f"cannot read the colon after {shown(name)}; quote the name")
    return Group(name, [])


def _mailbox(words: _Tokens) -> Mailbox:
    whole = "".join(token for _, token in words).strip()
    solid = [at for at, (kind, token) in enumerate(words) if kind != "comment" and token.strip()]
    angles = [at for at in solid if words[at][0] == "angle"]
    if not angles:
        # RFC 822's way to give a name: 'address (name)'
        first, last = (solid[0], solid[-1] + 1) if solid else (0, 0)
        address = "".join(token for _, token in words[first:last]).strip()
        if _FULL_ADDRESS.fullmatch(address):
            comments = [token for kind, token in words[:first] + words[last:] if kind == "comment"]
            return Mailbox(" ".join(comment[1:-1] for comment in comments).strip(), address)
    elif angles == solid[-1:]:
        before = words[: angles[0]]
        name = _phrase_text(before)
        address = words[angles[0]][1][1:-1].strip()
        # 'alice@good.example <bob@evil.example>': which one is meant?
        loose = "@" in "".join(token for kind, token in before if kind == "text")
        if _ANY_ADDRESS.fullmatch(address) and not (loose and name != address):
            return Mailbox(name, address)
    raise ValueError(f"cannot read {shown(whole)} as one address; write {_AN_ADDRESS}")


def _phrase_text(words: _Tokens) -> str:
    return "".join(
        re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if kind == "quoted" else token
        for kind, token in words
    ).strip()


def mailboxes(entries: Iterable[Mailbox | Group]) -> Iterator[Mailbox]:
    """Yield the mailboxes among ``entries``, and those in its groups."""
    for entry in entries:
        if isinstance(entry, Group):
            yield from entry.members
        else:
            yield entry


# Fields of a mail

_OBJECT = NameTable("field", ("name", "address"))
_DEEPEST = 100  # lists in lists; there would be no end to one that contains itself


def entries_of(field: str, value: object, code: str, depth: int = 0) -> list[Mailbox | Group]:
    """Read the addresses of one field of a mail: a str, a dict, or a list of those or of lists.

    Raises ``SMTPError`` with ``code``; ``depth`` is how many lists ``value`` lies in.
    """
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        if depth == _DEEPEST:
            text = f"{field!r}: a list contains itself, or lists are nested over {_DEEPEST} deep"
            raise mail_error(text, code)
        return [entry for item in value for entry in entries_of(field, item, code, depth + 1)]
    try:
        if isinstance(value, Mapping):
            return [_given_mailbox(value)]
        if is_line(value):
            return _parse(value.strip())
    except (TypeError, ValueError) as error:
        raise mail_error(f"{field!r}: {error}", code) from error
    takes = f"{_AN_ADDRESS} {NO_CONTROLS}, {{'name', 'address'}}, or a list of those"
    raise wrong_value(field, value, takes, code)


def _given_mailbox(given: Mapping[str, Any]) -> Mailbox:
    named = _OBJECT.canonical(given)
    address: Any = named.get("address")
    name: Any = named.get("name")
    if name is None:
        name = ""
    for value in (address, name):
        if not is_line(value):
            raise ValueError(f"name and address are str {NO_CONTROLS}; got {shown(value)}")
    if not _ANY_ADDRESS.fullmatch(address.strip()):
        raise ValueError(f"cannot read {shown(address)} as one address, 'name@example.com'")
    return Mailbox(name.strip(), address.strip())


# Headers of a message


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
            raise mail_error(f"{name!r} is there {len(given)} times; give an envelope", "EENVELOPE")
        try:
            yield [address for value in given for address in addresses_in(value)]
        except (ValueError, HeaderParseError) as error:
            raise mail_error(f"{name!r}: {error}", "EENVELOPE") from error


def addresses_in(value: Any) -> list[str]:
    """Read one header as a Message stores it: parsed, in a ``Header``, or as it was received.

    Raises ``ValueError``, with the reason, unless it has one reading, and ``HeaderParseError`` for
    a ``Header`` that cannot be encoded.
    """
    if hasattr(value, "addresses"):
        # Its text is what the email package made of the caller's, so both must agree.
        found = [box.address for box in mailboxes(_parse(str(value)))]
        invalid = [defect for defect in value.defects if isinstance(defect, InvalidHeaderDefect)]
        if invalid or found != [address.addr_spec for address in value.addresses]:
            reason = invalid[0] if invalid else "more than one reading"
            raise ValueError(f"cannot rely on {shown(str(value))} ({reason})")
        return found
    if isinstance(value, Header):
        # In several pieces, only the encoded form tells names from addresses for certain.
        value = str(value) if len(decode_header(value)) == 1 else value.encode()
    if not isinstance(value, str):
        raise ValueError(f"cannot read {shown(value)} as addresses")
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value).strip()
    return [box.address for box in mailboxes(_parse(unfolded))]
