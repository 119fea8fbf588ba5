"""``AbortController`` and ``AbortSignal``, as JavaScript has them: how a program says that it does
not want something any more.

``abort()`` may be called from any thread, and by the handler of a signal, which may have
interrupted anything, another ``abort()`` as well.  So there is no lock.  Whoever follows a signal
is entered first and looks second, ``abort()`` sets the reason first and looks for followers second,
and who takes a follower out of the dict is the one who calls it.

A signal that depends on others, or on the time, does so only while it is followed.  So one that is
combined with others for each of many operations keeps nothing of them, and no timer outlives what
it is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

from .callbacks import Arguments, arguments_taken
from .errors import SMTPError
from .options.checks import Refusal, number
from .reactor.default import current_reactor, get_reactor
from .reactor.loop import Reactor
from .reactor.timers import Timer

__all__ = ["AbortController", "AbortEvent", "AbortSignal", "Following", "abort_error"]

_milliseconds = number("a number of milliseconds, 0 or more")
_numbers = count(1)


class AbortEvent(NamedTuple):
    """What a listener of ``'abort'`` is called with: ``type`` is ``'abort'``, ``target`` the
    signal."""

    type: str
    target: AbortSignal


class Following:
    """One who is told, once, that a signal is aborted; :meth:`cancel` takes that back."""

    __slots__ = ("_number", "_signal")

    def __init__(self, signal: AbortSignal, callback: Callable[[], object]) -> None:
        self._signal = signal
        self._number = next(_numbers)
        # It is not entered itself: that would make a circle of it and the signal.
        signal._followers[self._number] = callback

    @property
    def over(self) -> bool:
        """Whether the callback has been called, or is not to be called any more."""
        return self._number not in self._signal._followers

    def fire(self) -> None:
        """Call the callback, unless that has been done or taken back."""
        self._signal._fire(self._number)

    def cancel(self) -> None:
        """Forget the callback.  Nothing happens if it has been called."""
        if self._signal._followers.pop(self._number, None) is not None:
            self.let_go()

    def let_go(self) -> None:
        """Stop to wait for what would have called the callback."""


class AbortSignal:
    """Tells operations that nobody wants them any more; made by :class:`AbortController`,
    :meth:`timeout`, :meth:`any` and :meth:`abort`.

    Listeners of ``'abort'`` are called by the ``abort()`` that they hear of, on its thread.  Those
    of a time-out are called by the reactor that ran where the first of them was added, by default
    that of :func:`get_reactor`; a time-out that may still come does not keep it running.
    """

    __slots__ = ("__weakref__", "_followers", "_listeners", "_reason")

    def __init__(self) -> None:
        self._reason: Any = None
        self._followers: dict[int, Callable[[], object]] = {}
        self._listeners: dict[Callable[..., object], Arguments] | None = None

    # -- how one is made --------------------------------------------------------------------------

    @staticmethod
    def abort(reason: object = None) -> AbortSignal:
        """Return a signal that is aborted already."""
        signal = AbortSignal()
        signal._abort(reason)
        return signal

    @staticmethod
    def timeout(ms: float) -> AbortSignal:
        """Return a signal that is aborted, with a ``TimeoutError`` for the reason, as soon as
        ``ms`` milliseconds have passed."""
        try:
            return _TimeOut(_milliseconds(ms))
        except Refusal as exc:
            raise exc.error(exc.text("AbortSignal.timeout()", repr)) from None

    @staticmethod
    def any(signals: Iterable[AbortSignal]) -> AbortSignal:
        """Return a signal that is aborted as soon as one of ``signals`` is, for the same reason."""
        sources = tuple(signals)
        for source in sources:
            if not isinstance(source, AbortSignal):
                raise TypeError(f"AbortSignal.any() takes AbortSignals; got {source!r}")
        return _Any(sources)

    # -- what it tells ----------------------------------------------------------------------------

    @property
    def aborted(self) -> bool:
        """Whether it is aborted."""
        return self.reason is not None

    @property
    def reason(self) -> Any:
        """Why it is aborted; ``None`` as long as it is not."""
        self._look()
        return self._reason

    def throwIfAborted(self) -> None:
        """Raise the reason if it is aborted: as it is if it is an exception, else an
        :class:`SMTPError` (``EABORT``) that names it."""
        reason = self.reason
        if isinstance(reason, BaseException):
            raise reason
        if reason is not None:
            raise abort_error(reason)

    # -- who is told ------------------------------------------------------------------------------

    def addEventListener(
        self, event: str, listener: Callable[..., object], options: object = None
    ) -> None:
        """Call ``listener`` when the signal is aborted, with an event if it declares a
        parameter (its ``target`` is the signal); ``event`` is ``'abort'``.

        As in JavaScript, a listener that is added twice is called once, and one that is added after
        the fact never.  ``options`` change nothing: a signal is aborted only once.
        """
        _check_event(event)
        taken = arguments_taken(listener)
        if self.aborted:
            return
        if self._listeners is None:
            self._listeners = {}
        first = not self._listeners
        self._listeners[listener] = taken
        if first:
            self._listen(True)

    def on(self, event: str, listener: Callable[..., object]) -> AbortSignal:
        """Do the same as :meth:`addEventListener`, and return the signal."""
        self.addEventListener(event, listener)
        return self

    once = on

    def removeEventListener(self, event: str, listener: Callable[..., object]) -> None:
        """Do not call ``listener`` any more; an unknown one is ignored."""
        _check_event(event)
        if self._listeners and self._listeners.pop(listener, None) and not self._listeners:
            self._listen(False)

    def off(self, event: str, listener: Callable[..., object]) -> AbortSignal:
        """Do the same as :meth:`removeEventListener`, and return the signal."""
        self.removeEventListener(event, listener)
        return self

    def follow(self, callback: Callable[[], object], reactor: Reactor | None = None) -> Following:
        """Call ``callback()``, once, when the signal is aborted, or now if it is; on any thread.

        ``reactor`` is the one that a time-out uses, by default the one that runs here.
        """
        following = Following(self, callback)
        # Entered first, looked second.
        if self.aborted:
            following.fire()
        return following

    def _listen(self, listening: bool) -> None:
        """There are listeners from now on, or there are none any more."""

    # -- how it is aborted ------------------------------------------------------------------------

    def _look(self) -> None:
        """Take the reason, if what it depends on has brought one."""

    def _abort(self, reason: object) -> None:
        if self._reason is None:
            self._reason = abort_error() if reason is None else reason
        first: Exception | None = None
        # Again, if an interrupt has kept an earlier call from coming to its end.
        for follower in list(self._followers):
            try:
                self._fire(follower)
            except Exception as exc:  # a listener's of another signal; others must be told
                first = first or exc
        self._call_listeners(first)

    def _fire(self, follower: int) -> None:
        callback = self._followers.pop(follower, None)
        if callback is not None:
            self._look()
            callback()

    def _call_listeners(self, first: Exception | None = None) -> None:
        """Call all listeners, whatever they raise; then raise the ``first`` of that."""
        listeners = self._listeners or {}
        for listener in list(listeners):
            taken = listeners.pop(listener, None)
            try:
                if taken is not None:
                    listener(*taken.fit(AbortEvent("abort", self)))
            except Exception as exc:
                first = first or exc
        if first is not None:
            raise first

    def __repr__(self) -> str:
        return f"<AbortSignal{f', aborted: {self.reason}' if self.aborted else ''}>"


class AbortController:
    """Aborts what its ``signal`` (:class:`AbortSignal`) was given to."""

    __slots__ = ("signal",)

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: object = None) -> None:
        """Abort, for ``reason``: by default an :class:`SMTPError` (``EABORT``).

        May be called from any thread and from a signal handler; only the first call counts.  What
        listeners raise is raised when all of them have been called.
        """
        self.signal._abort(reason)


class _Dependent(AbortSignal):
    """Depends on something that it waits for only while it is followed or has listeners."""

    __slots__ = ("_listening",)

    def __init__(self) -> None:
        super().__init__()
        self._listening: Following | None = None

    def _listen(self, listening: bool) -> None:
        before, self._listening = self._listening, None
        if before is not None:
            before.cancel()
        if listening:
            self._listening = self.follow(self._call_listeners)


# -- the time --------------------------------------------------------------------------------------


class _TimeOut(_Dependent):
    """Is aborted when its time has come, whether or not there is a timer."""

    __slots__ = ("_deadline", "_milliseconds")

    def __init__(self, milliseconds: float) -> None:
        super().__init__()
        self._milliseconds = milliseconds
        self._deadline = time.monotonic() + milliseconds / 1000

    def _look(self) -> None:
        if self._reason is None and time.monotonic() >= self._deadline:
            self._reason = self._passed()

    def follow(self, callback: Callable[[], object], reactor: Reactor | None = None) -> Following:
        following = _Timed(self, callback, reactor or current_reactor() or get_reactor())
        if self.aborted:
            following.fire()
        else:
            following.wait(self._deadline - time.monotonic())
        return following

    def expire(self) -> None:
        """The time has come, by the clock of a reactor."""
        self._abort(self._passed())

    def _passed(self) -> TimeoutError:
        return TimeoutError(f"{self._milliseconds:g} ms have passed")


class _Timed(Following):
    """One who follows a time-out, by a timer of his own."""

    __slots__ = ("_reactor", "_timer")

    def __init__(self, signal: _TimeOut, callback: Callable[[], object], reactor: Reactor) -> None:
        self._reactor = reactor
        # The timer keeps the signal, which its owner may have forgotten.
        self._timer: Timer | None = reactor.timer(signal.expire)
        self._timer.unref()
        super().__init__(signal, _letting_go(self, callback))

    def wait(self, seconds: float) -> None:
        """Let the time have come when ``seconds`` have passed."""
        self._on_its_thread(self._start, seconds)

    def _start(self, seconds: float) -> None:
        # It may have been cancelled, on another thread.
        if self._timer is not None:
            self._timer.start(seconds)

    def let_go(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._on_its_thread(timer.cancel)

    def _on_its_thread(self, call: Callable[..., object], *args: float) -> None:
        if self._reactor.on_thread():
            call(*args)
        else:
            self._reactor.call_soon(call, *args)


# -- others ----------------------------------------------------------------------------------------


class _Any(_Dependent):
    """Is aborted when one of its sources is."""

    __slots__ = ("_sources",)

    def __init__(self, sources: tuple[AbortSignal, ...]) -> None:
        super().__init__()
        self._sources = sources

    def _look(self) -> None:
        if self._reason is None:
            reasons = (source.reason for source in self._sources)
            self._reason = next((reason for reason in reasons if reason is not None), None)

    def follow(self, callback: Callable[[], object], reactor: Reactor | None = None) -> Following:
        following = _Several(self, callback)
        following.parts = [source.follow(following.fire, reactor) for source in self._sources]
        if following.over:
            following.let_go()  # one was aborted before there were parts to let go of
        return following


class _Several(Following):
    """One who follows the sources of a signal."""

    __slots__ = ("parts",)

    def __init__(self, signal: _Any, callback: Callable[[], object]) -> None:
        self.parts: list[Following] = []
        super().__init__(signal, _letting_go(self, callback))

    def let_go(self) -> None:
        parts, self.parts = self.parts, []
        for part in parts:
            part.cancel()


def _letting_go(following: Following, callback: Callable[[], object]) -> Callable[[], object]:
    """Return what lets ``following`` go before it calls ``callback``."""

    def call() -> None:
        following.let_go()
        callback()

    return call


# -- the error -------------------------------------------------------------------------------------


def abort_error(reason: object = None) -> SMTPError:
    """Return the error (``EABORT``) of what was aborted for ``reason``, the cause of it."""
    if isinstance(reason, SMTPError) and reason.code == "EABORT" and reason.__cause__ is None:
        reason = None  # the usual one, which says nothing more
    why = "" if reason is None else f": {str(reason) or type(reason).__name__}"
    error = SMTPError(f"The operation was aborted{why}", code="EABORT", command="API")
    if isinstance(reason, BaseException):
        error.__cause__ = reason
    return error


def _check_event(event: str) -> None:
    if event != "abort":
        raise ValueError(f"an AbortSignal has the event 'abort' and no other; got {event!r}")
