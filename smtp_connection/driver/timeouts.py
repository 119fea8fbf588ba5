"""How long a session may take: each of its phases in turn, and silence at any time."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SMTPError
from ..options.smtp import Options
from ..protocol.hints import about_black_hole, about_silence
from ..reactor.guard import guarded
from ..reactor.loop import Reactor

__all__ = ["TimeOuts"]


class TimeOuts:
    """The time-outs of one session; ``expired(error)`` is called when one of them passes, and
    ``broke(exc)`` for an exception that nobody has foreseen.

    Connecting, the greeting and the upgrade to TLS are phases, of which one at a time is watched.
    Silence is watched beside them.
    """

    __slots__ = (
        "_broke",
        "_describe",
        "_expired",
        "_last_heard",
        "_phase",
        "_reactor",
        "_settings",
        "_silence",
        "_step",
        "_waiting_for",
    )

    def __init__(
        self,
        reactor: Reactor,
        settings: Options,
        expired: Callable[[SMTPError], object],
        broke: Callable[[BaseException], object],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._expired = expired
        self._broke = broke
        self._describe: Callable[[], str] = str
        self._phase = reactor.timer(self._expire)
        self._silence = reactor.timer(self._look)
        self._last_heard: Callable[[], float] = float
        self._step: Callable[[], str] = str
        self._waiting_for: Callable[[], str] = str

    def watch_connecting(self, host: str, port: int, waiting_for: Callable[[], str]) -> None:
        """Allow connectionTimeout; ``waiting_for()`` is what the error then says was missing."""
        settings = self._settings

        def describe() -> str:
            missing = waiting_for()
            why = f", waiting for {missing}" if missing else f" ({about_black_hole(port)})"
            return (
                f"Connection timeout: no connection to {host}:{port}"
                f" in {settings.connectionTimeout:g} ms{why}"
            )

        self._start_phase(settings.connectionTimeout, describe)

    def watch_greeting(self, port: int) -> None:
        """Allow greetingTimeout for the greeting of the server at ``port``."""
        settings = self._settings

        def describe() -> str:
            hint = about_silence(port, settings.secure)
            return f"Greeting never received in {settings.greetingTimeout:g} ms ({hint})"

        self._start_phase(settings.greetingTimeout, describe)

    def watch_upgrade(self) -> None:
        """Allow greetingTimeout for the TLS handshake that follows STARTTLS."""
        milliseconds = self._settings.greetingTimeout
        self._start_phase(
            milliseconds, lambda: f"TLS handshake not finished in {milliseconds:g} ms"
        )

    def end_phase(self) -> None:
        """The phase, if there is one, was finished in time."""
        self._phase.cancel()

    def watch_silence(
        self,
        last_heard: Callable[[], float],
        waiting_for: Callable[[], str],
        step: Callable[[], str],
    ) -> None:
        """Allow silence of socketTimeout, from now on, or what commandTimeouts allows for
        ``step()``, if that is less.

        ``last_heard()`` is when, on the reactor's clock (seconds), something was last said or
        heard.  So there is one timer that looks at time stamps, not one that each reply moves.
        It looks once in the least time that is allowed for anything, because the step may be
        another one by then.
        """
        self._last_heard, self._waiting_for, self._step = last_heard, waiting_for, step
        self._look()

    def broke(self, exc: BaseException) -> None:
        """End the connection, because ``exc`` was raised where a time-out was looked at."""
        self._broke(exc)

    @guarded
    def _look(self) -> None:
        settings = self._settings
        own = getattr(settings.commandTimeouts, self._step(), 0)
        milliseconds = min(own or settings.socketTimeout, settings.socketTimeout)
        left = self._last_heard() + milliseconds / 1000 - self._reactor.now
        if left > 0:
            self._silence.start(min(left, settings.commandTimeouts.shortest / 1000))
            return
        missing = self._waiting_for()
        waiting = f", waiting for {missing}" if missing else ""
        self._fail(f"Timeout: silence for {milliseconds:g} ms{waiting}")

    def stop(self) -> None:
        """Watch nothing any more: the session is over."""
        self.end_phase()
        self._silence.cancel()

    def dissolve(self) -> None:
        """Let go of all callbacks: nothing is watched any more."""
        self._expired = self._broke = self._describe = self._waiting_for = str
        self._last_heard = float
        self._step = str
        self._phase = self._silence = self._reactor.timer(str)

    def _start_phase(self, milliseconds: float, describe: Callable[[], str]) -> None:
        self._describe = describe
        self._phase.start(milliseconds / 1000)

    @guarded
    def _expire(self) -> None:
        self._fail(self._describe())

    def _fail(self, text: str) -> None:
        self._expired(SMTPError(text, code="ETIMEDOUT", command="CONN"))
