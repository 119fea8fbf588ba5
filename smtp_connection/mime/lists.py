"""The List-* headers (RFC 2369, RFC 2919, RFC 8058) that the field ``list`` of a mail asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..options.names import NameTable
from .checks import line_of, named_values, wrong_value
from .words import encoded_words, folded

__all__ = ["list_headers"]

_ENTRY = NameTable("field", ("url", "comment"))
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_URL = re.compile(r"[!-;=?-~]+")
_SCHEME = re.compile(r"(?:https?|mailto|ftp|tel|sms|news|nntp):", re.IGNORECASE)
_TAKES = "a URL or an address, {'url', 'comment'}, or a list of these"
_ONE_CLICK = "List-Unsubscribe=One-Click"


def list_headers(given: object) -> Iterator[tuple[str, str]]:
    """Yield the headers, names and values as they are written, for ``given``: a dict of what comes
    behind ``List-``.

    Several entries are several headers; a list within the list is one header with several of them.
    Raises ``SMTPError`` (``'EMESSAGE'``) for what cannot be such a header.
    """
    if not isinstance(given, Mapping):
        raise wrong_value("list", given, "a dict of 'help', 'unsubscribe' and so on")
    for key, value in given.items():
        if value is None:
            continue
        if not isinstance(key, str) or not _NAME.fullmatch(key.strip(" ")):
            raise wrong_value("list", key, "names such as 'unsubscribe'")
        label = f"list.{key}"
        words = "-".join(word.capitalize() for word in key.strip(" ").split("-"))
        name = f"List-{'ID' if words == 'Id' else words}"
        if name == "List-Unsubscribe-Post":
            if value not in (_ONE_CLICK, True):
                raise wrong_value(label, value, f"{_ONE_CLICK!r}")
            yield name, _ONE_CLICK
            continue
        for entry in value if isinstance(value, (list, tuple)) else [value]:
            written: list[str] = []
            for one in entry if isinstance(entry, (list, tuple)) else [entry]:
                if written:
                    written[-1] += ","
                written += _id(label, one) if name == "List-ID" else _place(label, one)
            if written:
                yield name, folded(name, written)


def _place(label: str, given: Any) -> list[str]:
    """Write ``<url> (comment)``."""
    url, comment = _read(label, given)
    return [f"<{_full_url(url)}>", *_comment(comment)]


def _id(label: str, given: Any) -> list[str]:
    """Write ``"comment" <id>``."""
    url, comment = _read(label, given)
    phrase: list[str] = []
    if comment and comment.isascii() and "=?" not in comment:
        phrase = ['"' + re.sub(r'(["\\])', r"\\\1", comment) + '"']
    elif comment:
        phrase = encoded_words(comment, 0)
    return [*phrase, f"<{re.sub('^[a-z]+:(?://)?', '', url, flags=re.IGNORECASE)}>"]


def _read(label: str, given: Any) -> tuple[str, str]:
    entry = given if isinstance(given, Mapping) else {"url": given}
    values = named_values(_ENTRY, label, entry)
    url = values.get("url")
    bare = url.strip(" \t") if isinstance(url, str) else ""
    if not _URL.fullmatch(bare):
        raise wrong_value(label, url, f"{_TAKES}, in ASCII without blanks and angle brackets")
    return bare, line_of(f"{label}.comment", values.get("comment", "")).strip(" \t")


def _full_url(url: str) -> str:
    if _SCHEME.match(url):
        return url
    return f"mailto:{url}" if re.fullmatch("[^@]+@[^@]+", url) else f"http://{url}"


def _comment(text: str) -> list[str]:
    if not text:
        return []
    if text.isascii() and "=?" not in text:
        return ("(" + re.sub(r"([()\\])", r"\\\1", text) + ")").split(" ")
    words = encoded_words(text, 0)
    words[0] = f"({words[0]}"
    words[-1] += ")"
    return words
