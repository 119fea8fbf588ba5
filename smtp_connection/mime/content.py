"""The content of texts, attachments and alternatives, in all the ways in which it can be given."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..options.names import NameTable
from .checks import mail_error, named_values, shown, wrong_value

__all__ = ["content_of", "described_content", "files_of"]

_DOWNLOAD = "nothing is downloaded; give 'content' or a local 'path'"
_CONTENT = NameTable("field", ("content", "path", "encoding"), {"href": _DOWNLOAD})
_FILE = NameTable(
    "field",
    (
        "filename",
        "content",
        "path",
        "contentType",
        "cid",
        "encoding",
        "contentDisposition",
        "headers",
    ),
    {
        "href": _DOWNLOAD,
        "raw": "give 'content' and 'contentType'",
        "contentTransferEncoding": "attachments travel in base64",
    },
)


def files_of(field: str, given: object) -> list[tuple[str, dict[str, Any]]]:
    """Return attachments or alternatives: the name of each one in errors, and its dict."""
    items = given if isinstance(given, (list, tuple)) else [given]
    labelled = [(f"{field}[{number}]", item) for number, item in enumerate(items)]
    return [(label, named_values(_FILE, label, item)) for label, item in labelled]


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
        return _file_content(field, given["path"])
    content = content_of(f"{field}.content", given["content"])
    encoding = given.get("encoding", "utf-8")
    decode = _DECODERS.get(re.sub("[-_ ]", "", str(encoding)).lower())
    if decode is None:
        raise wrong_value(f"{field}.encoding", encoding, "'utf-8', 'base64', 'hex' or 'binary'")
    if isinstance(content, bytes):  # only text has an encoding; Node ignores it for a Buffer, too
        return content
    try:
        return decode(content)
    except ValueError as error:
        raise wrong_value(f"{field}.content", content, f"text in {encoding}") from error


def _file_content(field: str, path: Any) -> bytes:
    try:
        with open(os.fspath(path), "rb") as file:
            return file.read()
    except (OSError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise mail_error(f"{field!r}: cannot read the file {shown(path)}: {why}") from error


def _from_base64(text: str) -> bytes:
    compact = "".join(text.split()).rstrip("=")  # padding is optional in Node
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)


_DECODERS: Mapping[str, Callable[[str], str | bytes]] = {
    **dict.fromkeys(("utf8", "ascii", "usascii"), lambda text: text),
    **dict.fromkeys(("binary", "latin1"), lambda text: text.encode("latin-1")),
    "base64": _from_base64,
    "hex": bytes.fromhex,
}
