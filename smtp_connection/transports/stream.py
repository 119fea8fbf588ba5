"""Transports that send nothing: they give the mail to the program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import SMTPError, message_error
from ..options.transport import TransportOptions
from ..reactor.loop import Reactor
from .records import ComposedInfo

if TYPE_CHECKING:
    from .mail import MailMessage

__all__ = ["StreamTransport"]

_BREAKS = re.compile(rb"\r\n|\r|\n")


class StreamTransport:
    """Gives the composed message as a stream, or as bytes with the option ``buffer``; line breaks
    are CRLF, or those of the option ``newline``."""

    name = "StreamTransport"
    version = __version__
    runs_no_code_of_others = True

    def __init__(self, options: TransportOptions, reactor: Reactor) -> None:
        self._options = options
        self._reactor = reactor

    def send(self, mail: MailMessage, callback: Callable[..., object]) -> None:
        """Compose ``mail``; ``callback(err, info)``, see :class:`ComposedInfo`."""
        assert mail.message is not None
        stream = _with_breaks(mail.message.createReadStream(), self._options.newline)
        envelope, message_id = mail.sent_to, mail.message.messageId()
        if not self._options.buffer:
            self._reactor.call_soon(callback, None, ComposedInfo(envelope, message_id, stream))
            return

        def done(data: bytes | None, exc: BaseException | None) -> None:
            if exc is None:
                callback(None, ComposedInfo(envelope, message_id, data))
            else:
                callback(as_error(exc))

        # Files and streams may have to be waited for.
        self._reactor.run_in_thread(lambda: b"".join(stream), done)


def as_error(exc: BaseException) -> SMTPError:
    """Return the error of a mail that cannot be composed because of ``exc``."""
    if isinstance(exc, SMTPError):
        return exc
    error = message_error(f"The message cannot be composed: {str(exc) or type(exc).__name__}")
    error.__cause__ = exc
    return error


def _with_breaks(pieces: Iterator[Any], newline: str | None) -> Iterator[bytes]:
    """Yield ``pieces`` as bytes, with each line break as ``newline``, if that is not ``None``."""
    last = b""
    for each in pieces:
        piece = each.encode() if isinstance(each, str) else bytes(each)
        if newline is None:
            yield piece
            continue
        piece = last + piece
        # The LF of a CR at the end may be the first byte of the next piece.
        last = piece[-1:] if piece.endswith(b"\r") else b""
        yield _BREAKS.sub(newline.encode(), piece[: len(piece) - len(last)])
    if last and newline is not None:
        yield newline.encode()
