"""How long a session may take: each of its phases in turn, and silence at any time."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SMTPError
from ..reactor.loop import Reactor
from ..reactor.timers import Timer

__all__ = ["TimeOuts"]


class TimeOuts:
    """The time-outs of one session; ``expired(error)`` is called when one of them passes."""

    __slots__ = ("_expired", "_phase", "_reactor", "_silence")

    def __init__(self, reactor: Reactor, expired: Callable[[SMTPError], object]) -> None:
        self._reactor = reactor
        self._expired = expired
        self._phase: Timer | None = None
        self._silence: Timer | None = None

    def start_phase(self, milliseconds: float, describe: Callable[[], str]) -> None:
        """Begin the next phase; ``describe`` is asked what to say if it takes too long."""
        self.end_phase()
        self._phase = self._reactor.call_later(milliseconds / 1000, self._expire, describe)

    def end_phase(self) -> None:
        """The phase, if there is one, was finished in time."""
        if self._phase is not None:
            self._phase.cancel()
            self._phase = None

    def watch_silence(
        self, milliseconds: float, last_heard: Callable[[], float], describe: Callable[[], str]
    ) -> None:
        """Allow for silence of so long.

        ``last_heard`` is asked when, on the reactor's clock (seconds), something was last said or
        heard.  So there is one timer that looks at time stamps, not one that each reply moves.
        """
        rest = last_heard() + milliseconds / 1000 - self._reactor.now
        if rest > 0:
            self._silence = self._reactor.call_later(
                rest, self.watch_silence, milliseconds, last_heard, describe
            )
        else:
            self._expire(describe)

    def stop(self) -> None:
        """The session is over."""
        self.end_phase()
        if self._silence is not None:
            self._silence.cancel()

    def _expire(self, describe: Callable[[], str]) -> None:
        self._expired(SMTPError(describe(), code="ETIMEDOUT", command="CONN"))
