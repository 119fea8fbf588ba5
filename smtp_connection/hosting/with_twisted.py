"""Twisted's reactor turns ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..reactor.loop import Reactor
from .core import Hosting, host

__all__ = ["attach_twisted"]

_log = Logger("smtp_connection.hosting")


@implementer(IReadDescriptor)
class _Twisted:
    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.call_soon_threadsafe = loop.callFromThread

    def watch(self, descriptor: int, readable: Callable[[], object]) -> Callable[[], object]:
        self.fileno = lambda: descriptor
        self._readable = readable
        self.loop.addReader(self)
        return lambda: self.loop.removeReader(self)

    def doRead(self) -> None:
        try:
            self._readable()
        except BaseException as exc:  # which would keep Twisted from reading again
            self.report(exc)

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: Twisted's reactor has ended."""

    def logPrefix(self) -> str:
        return "smtp_connection"

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Callable[[], object]:
        call = self.loop.callLater(seconds, callback)
        return lambda: call.cancel()

    def report(self, error: BaseException) -> None:
        _log.failure("A callback of smtp_connection has failed")


def attach_twisted(reactor: Reactor | None = None, *, loop: Any = None) -> Hosting:
    """Have Twisted's reactor turn ``reactor``, by default that of ``get_reactor()``.

    ``loop`` is a reactor of Twisted, by default ``twisted.internet.reactor``.  It need not run yet.
    What callbacks raise, and errors that nobody hears, are logged as failures.  Everything else is
    as with :func:`attach`.
    """
    if loop is None:
        from twisted.internet import reactor as loop  # now: it installs one, if there is none

    return host(loop, _Twisted, reactor)
