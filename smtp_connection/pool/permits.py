"""Who may begin a transaction: the limit of the options, the caller's own limiter, and pauses."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import SMTPError
from ..options.transport import PoolOptions
from ..reactor.loop import Reactor
from .entry import Entry
from .limiter import Window

__all__ = ["PERMIT_LASTS", "Permits"]

PERMIT_LASTS = 0.1
"""Seconds for which a permit of the caller's limiter can be used."""


class Permits:
    """Says whether the next transaction may begin, and when to ask again if it may not.

    The caller's limiter, an object that other processes may share, is asked on a thread: it may
    have to wait for them.
    """

    def __init__(
        self,
        reactor: Reactor,
        options: PoolOptions,
        again: Callable[[float], object],
        failed: Callable[[SMTPError], object],
    ) -> None:
        """``again(seconds)``: ask then; ``failed(error)``: the caller's limiter has failed."""
        self._reactor = reactor
        self._window = Window(options.rateLimit, options.rateDelta / 1000)
        self._limiter = options.rateLimiter
        self.limited = self._window.limited or self._limiter is not None
        """Whether there is a limit at all, be it the caller's own limiter."""
        self._again = again
        self._failed = failed
        self._given: deque[float] = deque()  # when the limiter gave the permits not yet used
        self._asking = False
        self._timer = reactor.timer(self._ask_again)

    def in_sight(self) -> int:
        """Return how many transactions might begin now, if there were connections for them; what
        the limiter of the caller's would say does not count."""
        now = self._reactor.time()
        return self._window.free(now) if self._wait_for(self._window.wait(now)) else 0

    def may_begin(self) -> bool:
        """Whether a transaction may begin now; it is then for the caller to begin one."""
        window = self._window
        if not (window.open or self._wait_for(window.wait(self._reactor.time()))):
            return False
        if self._limiter is None:
            return True
        now = self._reactor.time()
        while self._given:
            # One that was not used for so long would let too many begin now.
            if now - self._given.popleft() <= PERMIT_LASTS:
                return True
        if not self._asking:
            self._asking = True
            self._reactor.run_in_thread(self._limiter.acquire, self._answered)
        return False

    def _wait_for(self, seconds: float) -> bool:
        if not seconds:
            return True
        if seconds < math.inf:
            self._again(seconds)
        return False

    def _answered(self, seconds: Any, exc: BaseException | None) -> None:
        """The limiter of the caller's has given a permit (0), or says when to ask again."""
        if exc is None and not isinstance(seconds, (int, float, type(None))):
            exc = TypeError(f"acquire() returns a number of seconds; got {type(seconds).__name__}")
        if exc is None and seconds and seconds > 0:
            # It is not asked before: a turn in between changes nothing.
            self._timer.start(float(seconds))
            return
        self._asking = False
        if exc is None:
            self._given.append(self._reactor.time())
        else:
            text = f"The rate limiter failed: {str(exc) or type(exc).__name__}"
            error = SMTPError(text, code="ECONNECTION", command="API")
            error.__cause__ = exc
            self._failed(error)
        self._again(0.0)

    def _ask_again(self) -> None:
        self._asking = False
        self._again(0.0)

    # -- what becomes of a permit -----------------------------------------------------------------

    def begin(self, entry: Entry, send: Callable[[Entry], object]) -> None:
        """Let ``send(entry)`` begin a transaction, and take note of when it begins."""
        if not self._window.limited:
            send(entry)
            return
        self._window.take()
        at_once = entry.begins_at_once
        entry.holds_permit = not at_once
        send(entry)
        if at_once:
            # After the turn in which MAIL is written.
            self._reactor.call_soon(self._begun)

    def over(self, entry: Entry) -> None:
        """The transaction of ``entry`` has begun at some time, and is over."""
        if entry.holds_permit:
            entry.holds_permit = False
            self._begun()

    def _begun(self) -> None:
        self._window.began(self._reactor.time())
        self._again(0.0)

    def pause(self, error: SMTPError) -> float:
        """The server says that it gets too much; return for how many seconds nobody begins."""
        named = error.retryAfter
        return self._window.pause(self._reactor.time(), named / 1000 if named else None)

    def accepted(self) -> None:
        """The server has taken a message."""
        self._window.accepted()

    def forget(self) -> None:
        """Nothing is being sent: what has a permit was lost in an interrupt."""
        self._asking = False
        self._window.forget(self._reactor.time())

    def stop(self) -> None:
        """Ask nobody any more."""
        self._timer.cancel()
