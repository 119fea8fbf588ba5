"""Address lists: how they are read, and the envelope that they make.

The parser is our own: what the email package makes of an address list differs from one Python
release to the next, and has let crafted values through (CVE-2023-27043).  An ambiguous list is
refused and never repaired: nobody gets a mail whom the caller did not write down as an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..options.names import NameTable
from ..text import CONTROLS
from .checks import NO_CONTROLS, is_line, mail_error, shown, wrong_value
from .words import decoded

__all__ = [
    "ANY_ADDRESS",
    "PLAIN_ADDRESS",
    "Group",
    "Mailbox",
    "envelope_of",
    "mailboxes",
    "parse_addresses",
    "read_addresses",
]


class Mailbox(NamedTuple):
    """One address and the name of its owner (``''`` for none), both decoded."""

    name: str
    address: str


class Group(NamedTuple):
    """Mailboxes that are listed under a name: ``'Team: a@x.org, b@x.org;'``."""

    name: str
    members: list[Mailbox]


def mailboxes(entries: Iterable[Mailbox | Group]) -> list[Mailbox]:
    """Return the mailboxes among ``entries``, and those in its groups, in order."""
    found: list[Mailbox] = []
    for entry in entries:
        if isinstance(entry, Group):
            found += entry.members
        else:
            found.append(entry)
    return found


def envelope_of(addresses: Iterable[list[str]]) -> dict[str, Any]:
    """Return the envelope for the addresses of Sender, From, To, Cc and Bcc, in this order.

    ``from`` is the sender's address, else the first author's, else ``''``; ``to`` are those of To,
    Cc and Bcc, each one once, exactly as they are written.
    """
    sender, author, *recipients = addresses
    return {
        "from": (sender or author or [""])[0],
        "to": list(dict.fromkeys(address for part in recipients for address in part)),
    }


# The parser: RFC 5322 3.4, and the comments and loose phrases that people write.

_LOCAL = rf'[^\s"(),:;<>@\[\]\\{CONTROLS}]+'
_DOMAIN = rf'(?:{_LOCAL}|\[[^\s"(),;<>@\[\]\\{CONTROLS}]*\])'
_QUOTED_LOCAL = rf'"(?:[^"\\<>{CONTROLS}]|\\[^<>{CONTROLS}])*"'
PLAIN_ADDRESS = re.compile(f"{_LOCAL}@{_DOMAIN}")
_FULL_ADDRESS = re.compile(f"(?:{_LOCAL}|{_QUOTED_LOCAL})@{_DOMAIN}")
# An address without a domain belongs to a local user.  Only '<root>' and {'address': 'root'} name
# one: the 'Doe' of 'Doe, John <john@example.com>' is no recipient.
ANY_ADDRESS = re.compile(f"(?:{_LOCAL}|{_QUOTED_LOCAL})(?:@{_DOMAIN})?")
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


def parse_addresses(text: str) -> list[Mailbox | Group]:
    """Parse an address list.

    Raises ``ValueError``, with the reason, unless there is exactly one way to read it.
    """
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
    looks_like_address = any(
        kind == "angle" or (kind == "text" and "@" in token) for kind, token in words
    )
    if outer is not None or not name or looks_like_address:
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
            name = decoded(" ".join(comment[1:-1] for comment in comments).strip())
            if is_line(name):
                return Mailbox(name, address)
    elif angles == solid[-1:]:
        before = words[: angles[0]]
        name = _phrase_text(before)
        address = words[angles[0]][1][1:-1].strip()
        # 'alice@good.example <bob@evil.example>' could mean either of the two.
        loose = "@" in "".join(token for kind, token in before if kind == "text")
        if ANY_ADDRESS.fullmatch(address) and not (loose and name != address):
            return Mailbox(name, address)
    raise ValueError(f"cannot read {shown(whole)} as one address; write {_AN_ADDRESS}")


def _phrase_text(words: _Tokens) -> str:
    """Return the name that ``words`` are; only outside of quotes, encoded words are such."""
    text = "".join(
        _unquoted(token) if kind == "quoted" else decoded(token) for kind, token in words
    ).strip(" \t")
    if not is_line(text):
        raise ValueError(f"a name is text {NO_CONTROLS}; got {shown(text)}")
    return text


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)


# The values of a mail's address fields.

_OBJECT = NameTable("field", ("name", "address"))
_DEEPEST = 100  # lists in lists; reading a list that contains itself would never end


def read_addresses(field: str, value: object, code: str, depth: int = 0) -> list[Mailbox | Group]:
    """Read the addresses of one field of a mail: a str, a dict, or a list of those or of lists.

    Raises ``SMTPError`` with ``code``.  ``depth`` is the number of lists around ``value``.
    """
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        if depth == _DEEPEST:
            text = f"{field!r}: a list contains itself, or lists are nested over {_DEEPEST} deep"
            raise mail_error(text, code)
        return [entry for item in value for entry in read_addresses(field, item, code, depth + 1)]
    try:
        if isinstance(value, Mapping):
            return [_given_mailbox(value)]
        if is_line(value):
            return parse_addresses(value.strip())
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
    if not ANY_ADDRESS.fullmatch(address.strip()):
        raise ValueError(f"cannot read {shown(address)} as one address, 'name@example.com'")
    return Mailbox(name.strip(), address.strip())
