"""The message argument of ``send``: what it may be, and how it is handed to the connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import SMTPError, envelope_error, message_error, stream_error
from ..options.checks import is_instance
from ..reactor.loop import Reactor
from .encoder import WireEncoder, encode_whole
from .sources import (
    PIECE,
    IterableSource,
    Source,
    UnsendableError,
    WholeSource,
    as_bytes,
    has_utf8_headers,
    stream_source,
)

if TYPE_CHECKING:
    from ..mime.mail import Mail
    from ..options.dkim import DKIMOptions

__all__ = ["Message", "completed_envelope", "own_envelope"]

_TAKES = (
    "a message is a str, bytes, a file or other object with read(), an iterable of bytes or str,"
    " an emitter of 'data' and 'end', an EmailMessage or a dict"
)


def _is_email(message: object) -> bool:
    return is_instance(message, "email.message", "Message")


def _is_mail(message: object) -> bool:
    return is_instance(message, "smtp_connection.mime.mail", "Mail")


def _is_composed(message: object) -> bool:
    return is_instance(message, "smtp_connection.mime.compose", "Composed")


def _is_signed(message: object) -> bool:
    return is_instance(message, "smtp_connection.message.signed", "Signed")


def _source_failed(exc: Exception) -> SMTPError:
    reason = str(exc) or type(exc).__name__
    return stream_error(f"The message source failed: {reason}")


def own_envelope(message: Any) -> tuple[dict[str, Any], Any]:
    """Return the envelope that the message's own headers ask for, and the message to be sent.

    The message is a dict, what ``compose()`` has made of one, or an ``EmailMessage``.  A dict is
    returned as the :class:`Mail` that it was read into, so that :class:`Message` does not read it
    again.

    Raises :class:`SMTPError` (``EENVELOPE``) for a message that has no headers to read, or whose
    headers name no sender.
    """
    if isinstance(message, Mapping):
        mail = _mail_of(message)
        if "raw" in mail.fields and mail.says_nobody:
            return mail.completed(own_envelope(mail.fields["raw"])[0]), mail
        return mail.envelope(), mail
    if _is_composed(message):
        return message.envelope, message
    if _is_email(message):
        from ..mime.email_message import message_envelope

        envelope = message_envelope(message)
        if not envelope["from"]:
            text = "No sender: the message has no From; the null sender needs an envelope with ''"
            raise envelope_error(text)
        return envelope, message
    raise envelope_error(
        "No envelope: only a dict or an EmailMessage can be sent without one;"
        f" got {type(message).__name__}",
    )


def completed_envelope(envelope: Any, message: Any) -> tuple[Any, Any]:
    """Return ``envelope`` with what a mail asks for besides, and the message to be sent, see
    :func:`own_envelope`."""
    if isinstance(message, Mapping):
        message = _mail_of(message)
        return message.completed(envelope), message
    if _is_composed(message):
        envelope = message.mail.completed(envelope)
    return envelope, message


def _mail_of(given: Mapping[str, Any]) -> Mail:
    from ..mime.mail import Mail

    return Mail(given)


def _content_of(
    message: Any, reactor: Reactor, rules: Mapping[str, bool], dkim: DKIMOptions | None
) -> bytes | Source:
    if isinstance(message, Mapping):
        message = _mail_of(message)
    if _is_mail(message):
        from ..mime.compose import Composed

        message.restrict(rules)
        message = Composed(message)
    if _is_composed(message):
        dkim = message.mail.dkim or dkim
    elif _is_signed(message):
        message, dkim = message.content, message.dkim
    content = _unsigned_content(message, reactor, rules)
    if dkim is None:
        return content
    from .signed import SignedSource

    return SignedSource(WholeSource(content) if isinstance(content, bytes) else content, dkim)


def _unsigned_content(message: Any, reactor: Reactor, rules: Mapping[str, bool]) -> bytes | Source:
    if message is None:
        raise message_error("Empty message")
    if isinstance(message, (str, bytes, bytearray, memoryview)):
        try:
            data = as_bytes(message)
        except UnicodeEncodeError as exc:
            raise message_error(f"the message cannot be sent as UTF-8: {exc}") from exc
        return _not_empty(data)
    if _is_composed(message):
        message.check(rules)
        whole: bytes | None = message.whole()
        if whole is not None:
            return whole
        from .composed import ComposedSource  # for the few that are large

        return ComposedSource(message, reactor)
    if _is_email(message):
        from ..mime.email_message import segments

        parts = segments(message)
        if len(parts) == 1 and isinstance(parts[0], bytes):
            return _not_empty(parts[0])
        from .segmented import SegmentedSource  # for the few that are large

        return SegmentedSource(parts)
    if isinstance(message, Source):
        return message  # made of what the caller gave, before its turn came
    if getattr(message, "closed", False) is True:
        raise stream_error(f"the message is a closed file: {message!r}")
    source = stream_source(message, reactor)
    if source is not None:
        return source
    try:
        data = as_bytes(message)  # array.array, numpy and others with the buffer protocol
    except TypeError:
        if isinstance(message, Iterable):
            return IterableSource(message)
        raise message_error(f"{_TAKES}; got {message!r}") from None
    return _not_empty(data)


def _not_empty(data: bytes) -> bytes:
    if not data:
        raise message_error("Empty message")
    return data


class Message:
    """A message on its way: pulls from its source, and encodes for the wire.

    Nothing is kept of it but what is still to be sent, so a message can be sent only once.  Before
    that, :meth:`again` may make another one.

    - ``whole`` (bool): all of it is there, so that nothing has to be waited for
    - ``is_ascii`` (bool): it is known to be ASCII alone
    - ``finished`` (bool): :meth:`next_wire` has returned the final dot
    - ``size`` (int): bytes on the wire so far, the final dot included
    """

    __slots__ = (
        "_encoder",
        "_first",
        "_small",
        "_source",
        "_wire",
        "finished",
        "is_ascii",
        "size",
        "whole",
    )

    def __init__(
        self,
        message: Any,
        reactor: Reactor,
        rules: Mapping[str, bool] = {},
        dkim: DKIMOptions | None = None,
    ) -> None:
        """Accept ``message``; ``rules`` are flags for a mail that is composed, see :class:`Mail`,
        and with ``dkim`` it is signed, unless it says itself how.

        Raises :class:`SMTPError`: ``EMESSAGE`` if it is empty or cannot be a message, ``ESTREAM``
        if it is a file that is closed or fails.
        """
        try:
            if dkim is None and type(message) is bytes and message:
                content: bytes | Source = message
            elif dkim is None and type(message) is str:
                content = _unsigned_content(message, reactor, rules)
            else:
                content = _content_of(message, reactor, rules, dkim)
        except SMTPError:
            raise
        except Exception as exc:
            raise _source_failed(exc) from exc
        if isinstance(content, bytes):
            self.whole, self.is_ascii = True, content.isascii()
        else:
            self.whole, self.is_ascii = content.is_whole, False
        self.finished = False
        self.size = 0
        # Nearly all messages are small.  These need no source, and are encoded in one go, which
        # saves a twentieth of what they cost.
        self._small: bytes | None = None
        self._wire: bytes | None = None  # of it, if its size was asked for
        self._source: Source | None = None
        self._first: bytes | None = b""
        self._encoder: WireEncoder | None = None
        if not isinstance(content, bytes):
            self._source = content
        elif len(content) <= PIECE:
            self._small = content
        else:
            self._source = WholeSource(content)

    def again(self) -> Message | None:
        """Return a message with the same content, if all of that is there and none of it has been
        sent; else ``None``: it can be read only once."""
        source = self._source.again() if self._source is not None else None
        if source is None and self._small is None:
            return None
        other = object.__new__(Message)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other._source = source
        return other

    @property
    def holds_source(self) -> bool:
        """Whether there is a source that :meth:`close` would let go of."""
        return self._source is not None and not self.whole

    @property
    def lazy(self) -> bool:
        """Whether its source is asked for the first piece only if somebody gets the message."""
        return self._source is not None and self._source.lazy

    def known_size(self) -> int:
        """Return the size to declare with SIZE (RFC 1870), bytes; 0 if it is not known yet."""
        if self._small is not None:
            self._wire, size = encode_whole(self._small)
            return size
        return self._source.known_size() if self._source is not None else 0

    def wire_size(self) -> int | None:
        """Return how many bytes it takes on the wire if all of it is there and it is sent in
        pieces, or ``None``.  This costs about as much time as to encode it."""
        return self._source.wire_size() if self._source is not None else None

    def is_international(self) -> bool:
        """Return whether its headers, as far as they are known, have bytes above 127 that are
        UTF-8, so that it needs SMTPUTF8 (RFC 6532)."""
        if self._small is not None:
            return has_utf8_headers(self._small)
        if self._first:
            return has_utf8_headers(self._first)
        return self._source is not None and self._source.is_international()

    def is_8bit(self) -> bool:
        """Return whether it is known to have bytes above 127 in its content."""
        return self._source is not None and self._source.is_8bit()

    def start(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        """Begin to read; ``wake`` is called when :meth:`next_wire` is worth calling again.

        Raises :class:`SMTPError`: ``ESTREAM`` if the source cannot be read, ``EMESSAGE`` if a file
        that belongs into the message cannot be opened.
        """
        if self._source is not None:
            try:
                self._source.start(reactor, wake)
            except SMTPError:
                raise
            except Exception as exc:
                raise _source_failed(exc) from exc

    def has_begun(self) -> bool:
        """Read the first piece, and return whether it is there.

        This is asked before the first byte of the message is sent.  Raises :class:`SMTPError`:
        ``EMESSAGE`` if the source ends before there is a piece, or what it has given cannot be
        signed, ``ESTREAM`` if it fails.
        """
        if self._small is not None:
            return True
        if not self._first:
            self._first = self._pull()
            if self._first is None:
                raise message_error("Empty message")
        return bool(self._first)

    def next_wire(self) -> bytes | None:
        """Return the next bytes for the wire, ``b''`` if there are none yet, ``None`` after the
        final dot.

        Raises :class:`SMTPError` (``ESTREAM``) if the source fails.
        """
        if self._small is not None:
            wire = self._wire or encode_whole(self._small)[0]
            self.size = len(wire)
            self.finished = True
            self._small = self._wire = None
            return wire
        if self.finished:
            return None
        if self._encoder is None:
            self._encoder = WireEncoder()
        encoder, wire = self._encoder, b""
        while not wire:
            piece = self._first or self._pull()
            self._first = b""
            if piece is None:
                wire = encoder.finish()
                self.close()
            elif not piece:
                break
            elif self._source is not None and self._source.clean:
                wire = encoder.encode_clean(piece)
            else:
                wire = encoder.encode(piece)
        self.size = encoder.size
        return wire

    def _pull(self) -> bytes | None:
        assert self._source is not None
        try:
            return self._source.next_piece()
        except UnsendableError as exc:
            raise message_error(str(exc)) from exc.__cause__
        except Exception as exc:
            raise _source_failed(exc) from exc

    def close(self) -> None:
        """Let go of the source; the message cannot be sent any more."""
        self.finished = True
        self._small = self._wire = None
        if self._source is not None:
            self._source.close()
            self._source = None  # last: an interrupt may come before
