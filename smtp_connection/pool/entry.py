"""One message in a pool: what it is, how often it was tried, and who is told how it ended."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..abort import AbortSignal, Following
from ..callbacks import arguments_taken
from ..errors import SMTPError
from ..message.sources import EmitterSource, Source
from ..options.checks import is_instance
from ..protocol.envelope import usual_envelope
from ..reactor.loop import Reactor

__all__ = ["Entry"]

# In a mail, for which something may have to be opened or read first.
_FILES = ("attachments", "alternatives", "icalEvent", "raw", "amp", "watchHtml")


class _Untouched:
    """An iterator that nobody has asked for anything yet, as long as ``touched`` is false.

    To those who send it, it has no ``close()``: it can be handed to another connection if the first
    one was dropped before it was needed.
    """

    __slots__ = ("_iterator", "touched")

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self.touched = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.touched = True
        return next(self._iterator)

    def close(self) -> None:
        """Close a generator: nobody will ask it for anything any more."""
        close = getattr(self._iterator, "close", None)
        if close is not None and hasattr(self._iterator, "send"):
            close()


def _kept(message: Any, reactor: Reactor) -> Any:
    """Return ``message`` in a form that does not change while it waits: what the caller does to a
    dict or an ``EmailMessage`` afterwards, in order to send it to somebody else, changes nothing.
    """
    if isinstance(message, Mapping):
        return dict(message)
    if isinstance(message, (bytearray, memoryview)):
        return bytes(message)
    if is_instance(message, "email.message", "Message"):
        return copy.deepcopy(message)
    if callable(getattr(message, "on", None)):
        # Its listeners are added now, so that nothing is lost while it waits.
        return EmitterSource(message, reactor)
    if hasattr(message, "__next__") and not hasattr(message, "read"):
        return _Untouched(message)
    return message


def _kept_envelope(envelope: Any) -> Any:
    if type(envelope) is not dict and not isinstance(envelope, Mapping):
        return envelope
    kept = dict(envelope)
    to = kept.get("to")
    if isinstance(to, list):
        kept["to"] = to[:]
    return kept


def _position_of(message: Any) -> int | None:
    """Return where a file stands that can be read again from there."""
    try:
        return int(message.tell()) if message.seekable() else None
    except (AttributeError, OSError, TypeError, ValueError):
        return None


def _can_be_read_again(value: Any) -> bool:
    """Whether all of ``value`` is there, and not only a way to get it, which can be gone once."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return True
    if isinstance(value, Mapping):
        return all(map(_can_be_read_again, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_can_be_read_again, value))
    if isinstance(value, Source):
        return False
    if is_instance(value, "smtp_connection.message.signed", "Signed"):
        value = value.content
    if is_instance(value, "smtp_connection.mime.compose", "Composed"):
        contents = (each.content for each in value.segments if not isinstance(each, bytes))
        return all(each.held is not None or each.path is not None for each in contents)
    return not any(hasattr(value, name) for name in ("read", "on", "__next__", "recv"))


class Entry:
    """A message that a pool was given.

    - ``envelope``, ``message``: for ``send`` of a connection
    - ``is_plain`` (bool): the message is a str or bytes, all of which is there
    - ``requeues`` (int): how often it was queued again
    - ``signal`` (AbortSignal or None): tells that nobody wants it to be sent any more
    - ``since`` (int): how many failures to connect there had been when it was queued
    - ``error`` (SMTPError or None): why it was queued again
    - ``queued`` (bool): it waits for its turn
    - ``handed_over`` (bool): a connection has got it, so that it may have been sent
    - ``holds_permit`` (bool): its transaction counts, and when it began is not known yet
    - ``settled``, ``told`` (bool): the outcome is known, or even told
    """

    __slots__ = (
        "_arguments",
        "_callback",
        "_following",
        "_outcome",
        "_position",
        "envelope",
        "error",
        "handed_over",
        "holds_permit",
        "is_plain",
        "message",
        "queued",
        "requeues",
        "settled",
        "signal",
        "since",
        "told",
    )

    def __init__(
        self,
        envelope: Any,
        message: Any,
        callback: Callable[..., object] | None,
        reactor: Reactor,
        signal: AbortSignal | None = None,
    ) -> None:
        """Raises ``TypeError`` for a ``callback`` that cannot be called, and a ``signal`` that is
        none."""
        if signal is not None and not isinstance(signal, AbortSignal):
            raise TypeError(f"signal takes an AbortSignal; got {type(signal).__name__}")
        self._callback = callback
        self._following: Following | None = None
        self.signal = signal
        self._arguments = None if callback is None else arguments_taken(callback)
        self._outcome: tuple[SMTPError | None, Any] = None, None
        self._position: int | None = None
        self.is_plain = type(message) is bytes or type(message) is str
        if self.is_plain:
            self.envelope = usual_envelope(envelope) or _kept_envelope(envelope)
            self.message = message
        else:
            self.envelope = _kept_envelope(envelope)
            self.message = _kept(message, reactor)
        self.requeues = 0
        self.since = 0
        self.error: SMTPError | None = None
        self.queued = self.handed_over = self.holds_permit = False
        self.settled = self.told = False

    @property
    def begins_at_once(self) -> bool:
        """Whether MAIL is the first thing that happens when its turn comes: nothing has to be read
        before."""
        message = self.message
        if self.is_plain or isinstance(message, _Untouched):
            return True
        if isinstance(message, Mapping):
            return not any(message.get(name) for name in _FILES) and _can_be_read_again(message)
        return is_instance(message, "email.message", "Message")

    @property
    def may_ride(self) -> bool:
        """Whether its envelope can be sent while another message of the connection has still to be
        judged: all of it is there, and nobody may take it back."""
        return self.is_plain and self.signal is None

    def before_sending(self) -> None:
        """Take note of where a file stands, or put it there again."""
        message = self.message
        if not hasattr(message, "seek"):
            return
        if self._position is None:
            self._position = _position_of(message)
        else:
            message.seek(self._position)

    @property
    def replayable(self) -> bool:
        """Whether the message can be read once more."""
        message = self.message
        if isinstance(message, _Untouched):
            return not message.touched
        if self._position is not None:
            return not message.closed
        return _can_be_read_again(message)

    def follow(self, aborted: Callable[[], object], reactor: Reactor) -> None:
        """Call ``aborted()``, on any thread, when the signal is aborted."""
        assert self.signal is not None
        self._following = self.signal.follow(aborted, reactor)

    def settle(self, error: SMTPError | None, info: Any = None) -> None:
        """Take note of how it ends; the first outcome counts."""
        if not self.settled:
            self._outcome, self.settled = (error, info), True
        if self._following is not None:
            self._following.cancel()

    def tell(self, report: Callable[[SMTPError], object]) -> None:
        """Tell the outcome to the callback, or an error to ``report`` where there is none; do
        nothing if that has been done."""
        if self.told:
            return
        error, info = self._outcome
        callback, arguments, message = self._callback, self._arguments, self.message
        if isinstance(message, (_Untouched, EmitterSource)):
            message.close()
        if callback is not None and arguments is not None:
            fitting = arguments.fit_outcome(error, info)
            self._callback, self.message, self.told = None, None, True
            callback(*fitting)
        else:
            self.message, self.told = None, True
            if error is not None:
                report(error)
