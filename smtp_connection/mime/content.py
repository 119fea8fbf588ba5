"""The content of texts, attachments and alternatives, in all the ways in which it can be given.

What is there is looked at when the mail is read.  A file is opened, and anything else is read, only
when it is the turn of the message.
"""

from __future__ import annotations

import base64
import codecs
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import FileIO
from typing import Any, NoReturn

from ..errors import SMTPError
from ..options.names import NameTable
from ..text import has_surrogate
from .checks import mail_error, named_values, shown, wrong_value
from .dataurls import is_data_url, parse_data_url

__all__ = [
    "FILE",
    "PIECE",
    "Access",
    "Content",
    "check_utf8",
    "content_of",
    "described",
    "described_content",
    "files_of",
]

_CONTENT = NameTable("field", ("content", "path", "href", "encoding"))
FILE = NameTable(
    "field",
    (
        *("filename", "content", "path", "href", "raw", "contentType", "cid", "encoding"),
        *("contentDisposition", "contentTransferEncoding", "headers"),
    ),
    {
        "httpHeaders": "nothing is downloaded",
        "tls": "nothing is downloaded",
    },
)
"""The names of an attachment, or of an alternative."""

PIECE = 57 * 630
"""Octets that are read at a time, which are 630 lines of base64."""

_TAKES = (
    "a str, bytes, an object with read(), a socket, an iterable or an emitter of bytes or str,"
    " or {'path'} or {'content'}"
)


class Content:
    """What one part consists of, wherever it comes from.

    - ``label`` (str): what errors call it, ``'attachments[0].content'``
    - ``held`` (bytes, str or None): all of it, if it is there
    - ``path`` (str, bytes or None): the file that it is in
    - ``stream`` (object or None): what it is to be read from, once
    - ``takes_text`` (bool): text that comes from the stream is UTF-8
    - ``kept`` (list of bytes or None): what has been read of the stream, if that is asked for
    - ``earlier`` (Content or None): another content, which is the same, and has been read before
    """

    __slots__ = ("_is_taken", "earlier", "held", "kept", "label", "path", "stream", "takes_text")

    def __init__(
        self,
        label: str,
        *,
        held: bytes | str | None = None,
        path: str | bytes | None = None,
        stream: object = None,
    ) -> None:
        self.label = label
        self.held = held
        self.path = path
        self.stream = stream
        self.takes_text = True
        self.kept: list[bytes] | None = None
        self.earlier: Content | None = None
        self._is_taken = False

    def octets(self) -> bytes:
        """Return what is held, text in UTF-8; raise ``ValueError`` if UTF-8 cannot express it."""
        assert self.held is not None
        return self.held if isinstance(self.held, bytes) else self.held.encode()

    def size(self) -> int | None:
        """Return how many octets it has, or, of a file, had just now; ``None`` if only reading it
        can tell."""
        if isinstance(self.held, str) and not self.held.isascii():
            return sum(map(len, self.held_pieces()))
        if self.held is not None:
            return len(self.held)
        if self.path is not None:
            try:
                found = os.stat(self.path)
            except OSError:
                return None  # whoever opens it is told
            return found.st_size if stat.S_ISREG(found.st_mode) else None
        return None

    def twin(self) -> Content:
        """Return the same content once more, to be read after this one."""
        other = Content(self.label, held=self.held, path=self.path)
        if self.stream is not None:
            self.kept = []
            other.earlier = self
        return other

    def held_pieces(self) -> Iterator[bytes]:
        """Yield what is held, or has been kept, piece by piece, text in UTF-8."""
        if self.earlier is not None:
            yield from self.earlier.kept or ()
            return
        assert self.held is not None
        held = self.held
        for start in range(0, len(held), PIECE):
            piece = held[start : start + PIECE]
            yield piece if isinstance(piece, bytes) else piece.encode()

    def open(self, *, wait: bool = False) -> FileIO:
        """Open the file; if it is a pipe, only with ``wait`` is its other end waited for, here and
        in reading.

        Raises ``SMTPError`` (``'EMESSAGE'``) if that cannot be done.
        """
        assert self.path is not None
        try:
            return open(self.path, "rb", buffering=0, opener=None if wait else _open_at_once)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            text = f"{self.label!r}: cannot read the file {shown(self.path)}: {why}"
            raise mail_error(text) from error

    def octets_of(self, piece: object) -> bytes:
        """Return ``piece`` of the stream as bytes, text in UTF-8; raise ``TypeError`` for anything
        that is neither."""
        if isinstance(piece, str) and self.takes_text:
            return piece.encode()
        try:
            return bytes(memoryview(piece))  # type: ignore[arg-type]
        except TypeError:
            takes = "bytes or str" if self.takes_text else "bytes"
            raise TypeError(f"it consists of {takes}; got {type(piece).__name__}") from None

    def take(self) -> Any:
        """Return the stream, once; raise ``SMTPError`` (``'EMESSAGE'``) after that."""
        if self._is_taken:
            raise mail_error(f"{self.label!r} has been read already, and can be read only once")
        self._is_taken = True
        return self.stream

    def pieces(self) -> Iterator[bytes]:
        """Yield all of it, piece by piece, and wait where it has to be waited for.

        Raises ``SMTPError`` (``'EMESSAGE'``) if it cannot be read.
        """
        if self.held is not None or self.earlier is not None:
            return self.held_pieces()
        return self._read(self._file_pieces() if self.path is not None else self._stream_pieces())

    def _read(self, pieces: Iterable[object]) -> Iterator[bytes]:
        try:
            for piece in pieces:
                yield self.octets_of(piece)
        except SMTPError:
            raise
        except Exception as error:
            raise mail_error(f"{self.label!r} cannot be read: {error}") from error

    def _file_pieces(self) -> Iterator[bytes]:
        with self.open(wait=True) as file:
            yield from iter(lambda: file.read(PIECE), b"")

    def _stream_pieces(self) -> Iterator[object]:
        stream = self.take()
        if callable(getattr(stream, "on", None)):
            raise mail_error(f"{self.label!r} is an emitter, which only send() can wait for")
        read = getattr(stream, "read", None) or getattr(stream, "recv", None)
        if not callable(read):
            yield from stream
            return
        while piece := read(PIECE):
            yield piece


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_utf8(content: Content) -> None:
    """Raise ``SMTPError`` (``'EMESSAGE'``) if ``content``, which is there, is not UTF-8."""
    try:
        codecs.utf_8_decode(content.octets(), "strict", True)
    except UnicodeError as error:
        takes = "text that UTF-8 can express"
        raise wrong_value(content.label, content.held, takes) from error


# -- what is given --------------------------------------------------------------------------------


class Access:
    """What the contents of a mail may be read from (nodemailer's ``disableFileAccess`` and
    ``disableUrlAccess``): a mail that somebody else has described must not attach our files."""

    __slots__ = ("_no_files", "_no_urls")

    def __init__(self, *, files: bool = True, urls: bool = True) -> None:
        self._no_files = not files
        self._no_urls = not urls

    def check_path(self, field: str, path: object) -> None:
        """Raise ``SMTPError`` if the file may not be read, or is none: ``'EFILEACCESS'``,
        ``'EURLACCESS'``, or ``'EMESSAGE'`` for a URL, because nothing is downloaded."""
        if isinstance(path, str) and re.match("https?://", path.strip(), re.IGNORECASE):
            self.refuse_url(f"{field}.path", path)
        if self._no_files:
            text = f"{field!r}: files may not be read (disableFileAccess); got {shown(path)}"
            raise mail_error(text, "EFILEACCESS")

    def refuse_url(self, field: str, url: object) -> NoReturn:
        """Raise the error for ``url``."""
        if self._no_urls:
            text = f"{field!r}: URLs may not be read (disableUrlAccess); got {shown(url)}"
            raise mail_error(text, "EURLACCESS")
        text = (
            f"{field!r}: nothing is downloaded; download {shown(url)} yourself, and give it as"
            " 'content' or the 'path' of a file"
        )
        raise mail_error(text)


_ALL = Access()


def described(table: NameTable, field: str, given: object) -> dict[str, Any]:
    """Return the values of a dict that describes a content, under the names of ``table``.

    A ``data:`` URL becomes the ``content``, and its type the ``contentType``, unless that is given
    and if the table knows it.  Raises ``SMTPError`` (``'EMESSAGE'``) for what cannot be read.
    """
    values = named_values(table, field, given)
    for name in ("path", "href"):
        url = values.get(name)
        if url is False:  # as nodemailer has it
            del values[name]
        elif isinstance(url, str) and is_data_url(url):
            del values[name]
            try:
                kind, data = parse_data_url(url)
            except ValueError as error:
                raise mail_error(f"{f'{field}.{name}'!r}: {error}; got {shown(url)}") from error
            if "content" in values:
                raise wrong_value(field, dict(values), "either 'content' or 'path'")
            values["content"] = data
            values.setdefault("contentType", kind or "text/plain")
    return values


def files_of(field: str, given: object) -> list[tuple[str, dict[str, Any]]]:
    """Return attachments or alternatives: the name of each one in errors, and its dict."""
    items = given if isinstance(given, (list, tuple)) else [given]
    labelled = [(f"{field}[{number}]", item) for number, item in enumerate(items)]
    return [(label, described(FILE, label, item)) for label, item in labelled]


def content_of(
    field: str, given: object, access: Access = _ALL, *, nested: bool = False
) -> Content:
    """Return the content that is given as it is, or in a dict of ``content`` or ``path``.

    Raises ``SMTPError``: ``'EMESSAGE'`` for what is no content, ``'EFILEACCESS'`` for a file that
    may not be read.
    """
    if isinstance(given, Mapping) and not nested:
        return described_content(field, described(_CONTENT, field, given), access, nested=True)
    if isinstance(given, (io.BytesIO, io.StringIO)):  # all of it is there
        try:
            given = given.read()
        except ValueError as error:
            raise mail_error(f"{field!r} cannot be read: {error}") from error
    if isinstance(given, str):
        if has_surrogate(given):
            raise wrong_value(field, given, "text that UTF-8 can express")
        return Content(field, held=given)
    if isinstance(given, bytes):
        return Content(field, held=given)
    if isinstance(given, Mapping) or (
        isinstance(given, (list, tuple))
        and not all(isinstance(piece, (str, bytes, bytearray, memoryview)) for piece in given)
    ):
        raise wrong_value(field, given, _TAKES)
    if any(callable(getattr(given, name, None)) for name in ("on", "read", "recv")):
        return Content(field, stream=given)
    try:
        return Content(field, held=bytes(memoryview(given)))  # type: ignore[arg-type]
    except TypeError as error:
        if isinstance(given, Iterable):
            return Content(field, stream=given)
        raise wrong_value(field, given, _TAKES) from error


def described_content(
    field: str, given: Mapping[str, Any], access: Access = _ALL, *, nested: bool = False
) -> Content:
    """Return the file at 'path', the 'content' in its 'encoding', or what is 'raw'.

    Raises ``SMTPError`` as :func:`content_of` does.
    """
    if "href" in given:
        access.refuse_url(f"{field}.href", given["href"])
    kinds = [name for name in ("content", "path", "raw") if name in given]
    if len(kinds) != 1:
        raise wrong_value(field, dict(given), "either 'content' or 'path'")
    (kind,) = kinds
    if kind == "path":
        access.check_path(field, given["path"])
        return Content(field, path=_path(field, given["path"]))
    content = content_of(f"{field}.{kind}", given[kind], access, nested=nested)
    encoding = given.get("encoding", "utf-8")
    decode = _DECODERS.get(re.sub("[-_ ]", "", str(encoding)).lower())
    if decode is None:
        raise wrong_value(f"{field}.encoding", encoding, "'utf-8', 'base64', 'hex' or 'binary'")
    if not isinstance(content.held, str):
        # Only text has an encoding; Node ignores it for a Buffer, too.
        content.takes_text = content.takes_text and decode is _as_it_is
        return content
    try:
        content.held = decode(content.held)
    except ValueError as error:
        raise wrong_value(content.label, content.held, f"text in {encoding}") from error
    return content


def _path(field: str, given: object) -> str | bytes:
    try:
        path: str | bytes = os.fspath(given)  # type: ignore[call-overload]
        if 0 in os.fsencode(path):
            raise ValueError("embedded null byte")
    except (TypeError, ValueError) as error:
        raise mail_error(f"{field!r}: cannot read the file {shown(given)}: {error}") from error
    return path


def _as_it_is(text: str) -> str:
    return text


def _from_base64(text: str) -> bytes:
    compact = "".join(text.split()).rstrip("=")  # padding is optional in Node
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)


_DECODERS: Mapping[str, Callable[[str], str | bytes]] = {
    **dict.fromkeys(("utf8", "ascii", "usascii"), _as_it_is),
    **dict.fromkeys(("binary", "latin1"), lambda text: text.encode("latin-1")),
    "base64": _from_base64,
    "hex": bytes.fromhex,
}
