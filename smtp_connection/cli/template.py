"""A message with placeholders: ``$name`` or ``${name}`` in its headers and texts."""

from __future__ import annotations

import copy
import hashlib
import html
import re
from collections.abc import Mapping, Set
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from email.utils import formatdate
from string import Template as Text

__all__ = ["Template"]

_PLACEHOLDER = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_OWN_HEADERS = {"date", "message-id", "bcc", "mime-version"}


class Template:
    """A message that is read once, and filled in for each recipient.

    - ``names`` (set of str): the placeholders
    - ``sender`` (str): the address in From
    """

    def __init__(self, content: bytes) -> None:
        """``content`` is the message, headers and all.  Raises ``ValueError`` if it has no From,
        or a ``$`` that is neither a placeholder nor ``$$``."""
        message = BytesParser(policy=default).parsebytes(content)
        assert isinstance(message, EmailMessage)
        senders = message["From"].addresses if message["From"] is not None else ()
        if not senders:
            raise ValueError("the template has no From header with an address")
        self.sender = str(senders[0].addr_spec)
        self._domain = senders[0].domain or "localhost"
        self._headers = [
            (name, str(value))
            for name, value in message.items()
            if name.lower() not in _OWN_HEADERS and not name.lower().startswith("content-")
        ]
        self._has_to = message["To"] is not None
        for name in {name for name, _ in self._headers} | {"Date", "Message-ID", "Bcc"}:
            del message[name]
        self._body = message
        self._texts = {
            number: part.get_content()
            for number, part in enumerate(message.walk())
            if part.get_content_maintype() == "text" and not part.is_attachment()
        }
        self.names: Set[str] = set()
        for text in [*self._texts.values(), *(value for _, value in self._headers)]:
            self.names |= _names_in(text)

    def fill(self, values: Mapping[str, str], recipient: str, campaign: str) -> EmailMessage:
        """Return the message for ``recipient``.

        In HTML, ``values`` are text: their markup is escaped.  The Message-ID is the same each time
        that ``campaign`` comes to ``recipient``.  Raises ``ValueError`` for a value that cannot
        stand in a header, one with a line break for example.
        """
        message = copy.deepcopy(self._body)
        escaped = {name: html.escape(value) for name, value in values.items()}
        for number, part in enumerate(message.walk()):
            text = self._texts.get(number)
            if text is not None:
                subtype = part.get_content_subtype()
                filled = Text(text).substitute(escaped if subtype == "html" else values)
                part.set_content(filled, subtype=subtype)
        for name, value in self._headers:
            filled = Text(value).substitute(values)
            if any(ord(each) < 32 for each in filled):
                raise ValueError(f"the header {name} would have a control character in it")
            message[name] = filled
        if not self._has_to:
            message["To"] = recipient
        digest = hashlib.sha256(f"{campaign}\0{recipient}".encode()).hexdigest()[:32]
        message["Date"] = formatdate(localtime=True)
        message["Message-ID"] = f"<{digest}@{self._domain}>"
        return message


def _names_in(text: str) -> set[str]:
    names = set()
    rest = _PLACEHOLDER.sub("", text)
    at = rest.find("$")
    if at >= 0:
        around = rest[max(0, at - 20) : at + 20]
        raise ValueError(f"a $ that is no placeholder is written $$; see {around!r}")
    for escaped, bare, braced in _PLACEHOLDER.findall(text):
        if not escaped:
            names.add(bare or braced)
    return names
