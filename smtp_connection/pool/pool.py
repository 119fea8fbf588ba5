"""``SMTPPool``: the API of a pool, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .._version import __version__
from ..abort import AbortSignal
from ..callbacks import arguments_taken
from ..driver.trace import Trace
from ..emitter import NodeEmitter
from ..options.transport import ClosingOptions, PoolOptions
from ..reactor.default import get_reactor
from ..reactor.loop import Reactor
from ..records import LogEntry
from .dispatcher import Dispatcher
from .entry import Entry
from .login import login_for
from .records import PoolLogEntry, PoolStats
from .verification import Verification

if TYPE_CHECKING:
    from .. import types
    from ..types import Loaded

__all__ = ["SMTPPool"]


class SMTPPool(NodeEmitter):
    """Sends any number of messages over several connections to one server.

    ``options`` is a dict of the options that the manual lists, those of a connection among them, or
    a URL; ``more`` are options by keyword, which win.  ``reactor`` is the :class:`Reactor` that
    carries everything out, by default the one that :func:`get_reactor` returns.  Raises
    ``TypeError`` or ``ValueError`` for options that are unknown or wrong.

    Connections are opened when there are messages for them, log in if there is an ``auth``, and say
    QUIT when they have been idle for ``idleTimeout``.  ``close`` ends the pool; until then, or
    until the last connection has been idle for too long, ``run()`` does not return.

    The methods may be called from any thread.  The two rules of connections hold: a callback is
    called exactly once, from the reactor, with the arguments that it declares; a failure without a
    callback is an ``'error'`` event, which is raised by ``run()`` if nobody hears it.

    Events:

    - ``'idle'``: there is room in the queue (see :meth:`isIdle`)
    - ``'clear'``: nothing is queued or being sent, and the last connection is over
    - ``'error'`` (:class:`SMTPError`): a message without a callback has failed
    - ``'token'`` (:class:`~smtp_connection.xoauth2.Token`): there is a new access token
    - ``'log'`` (:class:`~smtp_connection.pool.records.PoolLogEntry`): with the option ``debug``,
      everything that is said on each connection, and what the pool decides

    Attributes:

    - ``name``, ``version`` (str): what it is, and the version of the package
    - ``options``: all options, with their defaults filled in
    - ``id`` (str): a random string that marks log entries of the pool itself
    - ``reactor`` (:class:`Reactor`): the one that carries everything out
    """

    _arguments: ClassVar[Mapping[str, int]] = {
        "idle": 0,
        "clear": 0,
        "error": 1,
        "token": 1,
        "log": 1,
    }

    name = "SMTP (pool)"
    version = __version__

    def __init__(
        self,
        options: types.PoolOptions | Loaded | str | None = None,
        *,
        reactor: Reactor | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        self.options = settings = PoolOptions.parse(options, more)
        self.reactor = reactor if reactor is not None else get_reactor()
        self.id = os.urandom(6).hex()
        login = login_for(settings.auth, self.reactor, self._new_token)
        self._dispatcher = Dispatcher(
            self.emit, self.reactor, settings, login, self._trace(settings)
        )
        # As in nodemailer: whoever feeds the pool in a listener of 'idle' can begin.
        self.reactor.call_soon(self._begin)
        if not self.reactor.has_run:
            from ..driver.unstarted import watch  # for what comes before the first run()

            watch(self)

    def _begin(self) -> None:
        if self._dispatcher.idling:
            self.emit("idle")

    def _new_token(self, token: object) -> None:
        self.emit("token", token)

    def _trace(self, settings: PoolOptions) -> Trace | None:
        traffic = settings.debug or settings.transactionLog
        if not traffic and settings.logger is None:
            return None

        def emit(event: str, entry: LogEntry) -> None:
            self.emit(event, PoolLogEntry(entry.type, entry.message, self.id))

        return Trace(
            self.reactor,
            emit,
            lambda: bool(self.listeners("log")),
            traffic=traffic,
            content=False,
            logger=settings.logger,
            sid=self.id,
        )

    def send(
        self,
        envelope: types.Envelope | Loaded | None,
        message: types.AnyMessage,
        callback: Callable[..., object] | None = None,
        *,
        signal: AbortSignal | None = None,
    ) -> None:
        """Queue one message; ``callback(err, info)``, see :class:`SendInfo`.

        ``envelope`` and ``message`` are those of :meth:`SMTPConnection.send`.  A dict, an
        ``EmailMessage`` or an envelope may be changed afterwards, and used for the next message.

        ``signal`` aborts it (``EABORT``): a message in the queue is taken back, one that is being
        sent is treated as :meth:`SMTPConnection.send` does it.

        The error is the one that the connection had.  Beside that: ``ECONNECTION`` if the pool is
        closed, ``EMAXLIMIT`` if the queue is full (option ``maxQueued``).
        """
        entry = Entry(envelope, message, callback, self.reactor, signal)
        self._dispatcher.accept(entry)

    def isIdle(self) -> bool:
        """Whether there is room in the queue: fewer messages wait than there may be connections.
        ``'idle'`` tells when it becomes true."""
        return self._dispatcher.idling

    @property
    def queued(self) -> int:
        """How many messages wait for their turn."""
        return self._dispatcher.queued

    def pendingCount(self) -> int:
        """Return how many messages have been queued whose outcome is not known yet."""
        return self._dispatcher.pending

    def stats(self) -> PoolStats:
        """Return what the pool has done so far, and what it does just now."""
        return self._dispatcher.stats()

    def close(
        self,
        options: Mapping[str, Any] | Callable[..., object] | None = None,
        callback: Callable[..., object] | None = None,
    ) -> None:
        """End the pool; ``callback(err)`` is called when the last connection is over.

        Idle connections say QUIT, messages that are being sent are finished, and those in the queue
        get ``ECONNECTION``.  With ``{'drain': True}`` everything that is queued is sent first.
        With ``{'force': True}`` all connections are closed at once, and their messages fail, in
        doubt where that is so.  Either way, nothing can be sent any more.

        May be called again: ``force`` ends what ``drain`` has begun.
        """
        if callback is None and callable(options) and not isinstance(options, Mapping):
            options, callback = None, options
        wishes = ClosingOptions.parse(options)
        done: Callable[[], object] | None = None
        if callback is not None:
            done = partial(callback, *arguments_taken(callback).fit(None))
        self._dispatcher.close(drain=wishes.drain, force=wishes.force, callback=done)

    def verify(self, callback: Callable[..., object], *, signal: AbortSignal | None = None) -> None:
        """Find out whether the server can be reached and takes the login: ``callback(err, True)``.

        That is done over a connection of its own, which sends nothing.  ``signal`` aborts it
        (``EABORT``).
        """
        logged = self._dispatcher.logged
        Verification(self.reactor, self.options, self._dispatcher.login, callback, signal, logged)

    def provide_tokens(self, provision: Callable[..., object]) -> None:
        """Have access tokens fetched by ``provision(user, renew, callback)``, if ``auth`` is of the
        type OAuth2 and has no ``provisionCallback``.  To be called before the first message."""
        self._dispatcher.login = login_for(
            self.options.auth, self.reactor, self._new_token, provision
        )

    @property
    def waits_for_run(self) -> bool:
        """Whether messages wait for a reactor that has never run."""
        return self._dispatcher.waits_for_run
