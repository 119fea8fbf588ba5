"""How the bytes of a fuzzer are read, so that seeds can be written by hand and every mutation of
one is an input again; and what several targets check."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["CONTROL", "check_refusal", "fields", "pieces"]

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What could end a line for somebody, and what UTF-8 cannot express."""

_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None, "print": print}


def pieces(data: bytes) -> list[bytes]:
    """Cut ``data`` at each ``|``."""
    return data.split(b"|")


def fields(data: bytes) -> dict[str, Any]:
    """Read ``key=value|key=value`` as a dict.

    A value is text (bytes that are not UTF-8 become lone surrogates), ``#1`` a number, ``b'...``
    bytes, and ``True``, ``None`` and so on are what they are in Python.  A key that comes again
    makes a list, ``a.b=c`` a dict in the dict.
    """
    result: dict[str, Any] = {}
    for field in data.decode("utf-8", "surrogateescape").split("|"):
        key, _, text = field.partition("=")
        outer, dot, inner = key.partition(".")
        if dot:
            part = result.setdefault(outer, {})
            if isinstance(part, dict):
                _add(part, inner, _value(text))
        else:
            _add(result, key, _value(text))
    return result


def _add(to: dict[str, Any], key: str, value: Any) -> None:
    if key not in to:
        to[key] = value
    elif isinstance(to[key], list):
        to[key].append(value)
    else:
        to[key] = [to[key], value]


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith("#"):
        try:
            return float(text[1:]) if "." in text or "e" in text else int(text[1:20])
        except (ValueError, OverflowError):
            return text
    if text.startswith("b'"):
        return text[2:].encode("utf-8", "surrogateescape")
    return text


def check_refusal(error: Exception, *codes: str) -> None:
    """Check that ``error`` is fit to be printed, and, if it has a code, has one of ``codes``."""
    assert not CONTROL.search(str(error))
    assert getattr(error, "code", None) in (codes or (None,))
