"""The body of a part: its content in a transfer encoding, written piece by piece."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from .checks import mail_error, wrong_value
from .content import Content
from .transfer import (
    Base64Encoder,
    Encoder,
    PlainEncoder,
    QuotedPrintableEncoder,
    RawEncoder,
    base64_size,
)

__all__ = ["Body", "BodyWriter"]


class Body:
    """A content, and how it is encoded.

    - ``content`` (Content)
    - ``encoding`` (str): ``'base64'``, ``'quoted-printable'``, ``'7bit'`` or ``'8bit'``; ``''`` if
      the content is a part, or a message, that is finished already
    - ``is_text`` (bool): its line breaks are line breaks, and not data
    - ``is_utf8`` (bool): its content has to be UTF-8
    - ``delimiter`` (bytes): what no line of it may begin with
    """

    __slots__ = ("content", "delimiter", "encoding", "is_text", "is_utf8")

    def __init__(
        self, content: Content, encoding: str, *, is_text: bool = False, is_utf8: bool = False
    ) -> None:
        self.content = content
        self.encoding = encoding
        self.is_text = is_text
        self.is_utf8 = is_utf8
        self.delimiter = b""

    def size(self) -> int | None:
        """Return how many octets it takes, dots not doubled; ``None`` if only reading the content
        can tell."""
        if self.encoding == "base64" and not self.is_text:
            size = self.content.size()
            return None if size is None else base64_size(size)
        if self.content.held is None:
            return self.content.size() if not self.encoding else None  # as it is, or nearly
        return sum(map(len, self.pieces()))

    def last(self) -> bytes:
        """Return ``b"\\n"`` if it is known to end with a line break, else ``b""``."""
        held = self.content.held
        ends = held is not None and held[-1:] in ("\r", "\n", b"\r", b"\n")
        return b"\n" if ends and self.encoding != "base64" else b""

    def encoder(self) -> Encoder:
        """Return a new encoder of its kind."""
        if self.encoding == "base64":
            return Base64Encoder(is_text=self.is_text)
        if self.encoding == "quoted-printable":
            return QuotedPrintableEncoder(is_text=self.is_text)
        if self.encoding:
            return PlainEncoder(self.encoding, is_text=self.is_text, delimiter=self.delimiter)
        return RawEncoder(self.delimiter)

    def pieces(self) -> Iterator[bytes]:
        """Yield all of it, encoded, and wait where the content has to be waited for.

        Raises ``SMTPError`` (``'EMESSAGE'``) if it cannot be read, or not be encoded like that.
        """
        writer = BodyWriter(self)
        for piece in self.content.pieces():
            yield writer.write(piece)
        yield writer.finish()


class BodyWriter:
    """Encodes a body of which somebody else reads the content.

    - ``clean`` (bool): see :class:`.transfer.Encoder`
    """

    __slots__ = ("_body", "_check", "_encoder", "clean")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._encoder = body.encoder()
        self.clean = self._encoder.clean
        # What was held has been looked at.
        self._check: codecs.IncrementalDecoder | None = None
        if body.is_utf8 and body.content.held is None:
            self._check = codecs.getincrementaldecoder("utf-8")()

    def write(self, piece: bytes) -> bytes:
        """Return what ``piece`` of the content adds.

        Raises ``SMTPError`` (``'EMESSAGE'``) for what cannot be encoded like that.
        """
        return self._encoded(piece, last=False)

    def finish(self) -> bytes:
        """Return what is still to come; raises as :meth:`write` does."""
        return self._encoded(b"", last=True)

    def _encoded(self, piece: bytes, *, last: bool) -> bytes:
        label = self._body.content.label
        if self._body.content.kept is not None:
            self._body.content.kept.append(piece)
        try:
            if self._check is not None:
                self._check.decode(piece, last)
            return self._encoder.finish() if last else self._encoder.encode(piece)
        except UnicodeDecodeError as error:
            raise wrong_value(label, error.object, "text that UTF-8 can express") from error
        except ValueError as error:
            raise mail_error(f"{label!r}: {error}") from error
