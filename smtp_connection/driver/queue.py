"""What a connection is asked to do, in turn, and who is told how each of it ended.

An operation is settled once: the first outcome counts, and its callback is called once, however
often an end of the connection that was interrupted, and taken up again, settles it anew.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..callbacks import Arguments, arguments_taken
from ..errors import SMTPError, auth_error
from ..message.message import Message
from ..protocol.envelope import Envelope
from ..protocol.steps import Dialogue
from ..reactor.loop import Reactor

__all__ = [
    "NOT_ITS_TURN",
    "Connect",
    "Login",
    "Operation",
    "Operations",
    "Quit",
    "Spoken",
    "connection_error",
]

NOT_ITS_TURN = "Connection closed before it was this operation's turn"

# Places at the head of the queue that are given up together.
_MANY_PLACES = 500


def connection_error(text: str, response: str | None = None) -> SMTPError:
    """Return the error of an operation that the end of the connection has prevented."""
    return SMTPError(text, code="ECONNECTION", command="API", response=response)


class Cancellable(Protocol):
    """What waits for something that concerns one operation."""

    def cancel(self) -> None:
        """The operation has ended."""


class Operation:
    """A call of a method, as of ``send`` or ``reset``: the callback, and what to do.

    - ``arguments`` (Arguments or None): how many arguments the callback takes, if there is one
    - ``dialogue`` (Dialogue or None): what to say to the server
    - ``message`` (Message or None): the message of a ``send``, and ``envelope`` (Envelope or None)
    - ``aborting`` (Cancellable or None): what waits for its signal to be aborted, if it has one
    - ``told`` (bool): the outcome has been told
    """

    __slots__ = (
        "_callback",
        "_outcome",
        "aborting",
        "arguments",
        "dialogue",
        "envelope",
        "message",
        "told",
    )

    def __init__(self, callback: Callable[..., object] | None) -> None:
        """Raises ``TypeError`` for a ``callback`` that cannot be called."""
        self._callback = callback
        self._outcome: tuple[SMTPError | None, Any] | None = None
        self.told = False
        self.arguments: Arguments | None = None if callback is None else arguments_taken(callback)
        self.dialogue: Dialogue[Any] | None = None
        self.message: Message | None = None
        self.envelope: Envelope | None = None
        self.aborting: Cancellable | None = None

    @property
    def has_callback(self) -> bool:
        """Whether somebody wants to know how it ends."""
        return self.arguments is not None

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        return self._outcome is not None

    @property
    def error(self) -> SMTPError | None:
        """The error that it has ended with; ``None`` if it has not ended, or has succeeded."""
        return self._outcome[0] if self._outcome is not None else None

    def settle_silently(self) -> None:
        """Take note that it has ended, and that nobody has to be told."""
        self.heed_no_more()
        if self._outcome is None:
            self._outcome, self.told = (None, None), True

    def heed_no_more(self) -> None:
        """Let go of the signal: it has ended."""
        aborting, self.aborting = self.aborting, None
        if aborting is not None:
            aborting.cancel()

    def tell(self, report: Callable[[SMTPError], object]) -> None:
        """Tell the outcome to the callback, or an error to ``report`` where there is none; do
        nothing if that has been done."""
        if self._outcome is None or self.told:
            return
        error, value = self._outcome
        callback, arguments = self._callback, self.arguments
        if callback is not None and arguments is not None:
            fitting = arguments.fit_outcome(error, value)
            self._callback, self.told = None, True
            callback(*fitting)
        else:
            self.told = True
            if error is not None:
                report(error)


class Connect(Operation):
    """``connect``: its callback is a listener of ``'connect'``, and gets no value."""

    __slots__ = ()

    @property
    def hears_errors(self) -> bool:
        """Whether the callback has a parameter for the error; otherwise it is called only on
        success."""
        return self.arguments is not None and self.arguments.most != 0

    def succeed(self) -> None:
        """Take note of the success, which ``'connect'`` tells of."""
        self._outcome = (None, None)

    def call_on_success(self) -> None:
        """Call the callback, unless that has been done."""
        callback, arguments = self._callback, self.arguments
        if callback is not None and arguments is not None and self.settled and not self.told:
            fitting = arguments.fit(None)
            self._callback, self.told = None, True
            callback(*fitting)

    def tell(self, report: Callable[[SMTPError], object]) -> None:
        if self.error is None:
            self.call_on_success()
        else:
            super().tell(report)


class Login(Operation):
    """``login``: what is sent behind it is sent only if it succeeds."""

    __slots__ = ("__weakref__",)


class Spoken(Operation):
    """``command`` or ``probe``: like a message, it is for the session that its caller believes
    in."""

    __slots__ = ()


class Quit(Operation):
    """``quit``: it has no callback, and what comes after it is not carried out."""

    __slots__ = ()


class Operations:
    """The operations of one connection that have not ended yet.

    - ``connecting`` (Connect or None): the ``connect`` whose callback has still to be called
    - ``current`` (Operation or None): the one whose dialogue is under way
    """

    __slots__ = (
        "_latest",
        "_login",
        "_queue",
        "_reactor",
        "_report",
        "_start",
        "_unfinished",
        "connecting",
        "current",
    )

    def __init__(self, reactor: Reactor, report: Callable[[SMTPError], object]) -> None:
        """``report(error)`` is called, on a later turn, for a failure that no callback hears."""
        self._reactor = reactor
        self._report = report
        # A list, because an empty deque takes 600 bytes and most connections have an empty queue.
        # Any thread may append at any time; so a place is emptied before it is given up.
        self._queue: list[Operation | None] = []
        self._start = 0  # no operation is in front of this place
        self._latest: Operation | None = None  # that was settled
        self._unfinished: list[Operation] = []  # when the connection ended
        # The last login.  Weak, because nobody else needs it once its outcome has been told.
        self._login: weakref.ref[Login] | None = None
        self.connecting: Connect | None = None
        self.current: Operation | None = None

    def add(self, operation: Operation) -> None:
        """Queue ``operation``; may be called from any thread.

        A message, a command or a probe is for the session that its caller believes in.  If the
        caller does not yet know how the login before it ends, it is sent only if that login
        succeeds.
        """
        if isinstance(operation, Login):
            # Noted first, queued second: no message of another thread gets behind it unnoticed.
            self._login = weakref.ref(operation)
        elif self._login is not None and (
            operation.message is not None or isinstance(operation, Spoken)
        ):
            login = self._login()
            if login is not None and not login.told and operation.dialogue is not None:
                operation.dialogue = _behind(login, operation.dialogue)
        self._queue.append(operation)

    def start_next(self) -> Dialogue[Any] | None:
        """Make the first operation of the queue the current one and return its dialogue, ``None``
        if the queue is empty."""
        queue, place = self._queue, self._start
        while place < len(queue) and queue[place] is None:
            place += 1
        if place == len(queue):
            return None
        self.current = operation = queue[place]
        assert operation is not None
        queue[place] = None
        self._start = place = place + 1
        if place == len(queue) or place > _MANY_PLACES:
            self._start = 0
            del queue[:place]
        return operation.dialogue

    def take_out(self, operation: Operation) -> bool:
        """Take ``operation`` out of the queue; return whether it was there."""
        queue = self._queue
        # Those that are taken out one after another, in their order, are found at once.
        while self._start < len(queue) and queue[self._start] is None:
            self._start += 1
        try:
            queue[queue.index(operation, self._start)] = None
        except ValueError:
            return False
        return True

    @property
    def next_queued(self) -> Operation | None:
        """The operation that :meth:`start_next` would take."""
        queue = self._queue
        if not queue:
            return None  # at once: it is asked for each message
        for place in range(self._start, len(queue)):
            operation = queue[place]
            if operation is not None:
                return operation
        return None

    @property
    def latest_error(self) -> SMTPError | None:
        """The error of the operation that was settled last, if it has failed."""
        return None if self._latest is None else self._latest.error

    def settle(self, operation: Operation, error: SMTPError | None, value: Any = None) -> None:
        """Let ``operation`` end with ``error`` or ``value``: its callback is called on a later
        turn; without one, ``error`` is reported."""
        message = operation.message
        if message is not None and not message.whole:
            self._let_go_of_source(operation)
        if operation._outcome is None:
            operation._outcome = (error, value)
        if operation.aborting is not None:
            operation.heed_no_more()
        latest, self._latest = self._latest, operation
        if latest is not None and not latest.told:
            # Had no interrupt come between, both would have been done.
            self._reactor.call_soon(latest.tell, self._report)
            self._let_go_of_source(latest)
        self._reactor.call_soon(operation.tell, self._report)

    def refuse(self, operation: Operation, text: str) -> None:
        """Settle ``operation``, which is not carried out, with ``ECONNECTION``."""
        self.settle(operation, connection_error(text))

    @property
    def queued(self) -> list[Operation]:
        """The operations that have not begun, in order."""
        return [operation for operation in self._queue if operation is not None]

    def _let_go_of_source(self, operation: Operation) -> None:
        message = operation.message
        if message is not None and message.holds_source:
            # Not at once: it may be the source itself, a generator say, that calls close().
            self._reactor.call_soon(message.close)

    def tell_connected(self) -> None:
        """``'connect'`` has been emitted.  If one of its listeners has raised, and ``connect``'s
        own callback was not among those before, it is called on a later turn."""
        connecting = self.connecting
        if connecting is not None and not connecting.told:
            self._reactor.call_soon(connecting.call_on_success)
        else:
            self.connecting = None

    @property
    def unfinished(self) -> list[Operation]:
        """The operations whose callbacks are still due, in order."""
        connecting = self.connecting
        if connecting is not None and not (connecting.settled or connecting.hears_errors):
            connecting = None  # it is called on success alone
        first: list[Operation] = [one for one in (connecting, self.current) if one is not None]
        return first + [one for one in self.queued if one is not self.current]

    @property
    def awaited(self) -> bool:
        """Whether anybody would notice if the connection ended now."""
        return any(not (one.settled or isinstance(one, Quit)) for one in self.unfinished)

    def close_sources(self) -> None:
        """Let go of the sources of all messages, on a later turn."""
        for operation in self.unfinished:
            self._let_go_of_source(operation)

    def tell_again(self) -> bool:
        """Tell on a later turn what has been settled and not been told, because an interrupt came
        between; return whether there is anything of that kind."""
        ended = [*([] if self._latest is None else [self._latest]), *self._unfinished]
        for operation in ended:
            self._let_go_of_source(operation)
        untold = [one for one in ended if one.settled and not one.told]
        for operation in untold:
            self._reactor.call_soon(operation.tell, self._report)
        return bool(untold)

    def dissolve(self) -> None:
        """Let go of what has been told: an error that its receiver raises knows this connection."""
        if self._latest is not None and self._latest.told:
            self._latest = None
        self._unfinished = [operation for operation in self._unfinished if not operation.told]

    def forget(self) -> None:
        """Forget those that are settled; another thread may just have added one that is not."""
        self._unfinished = self.unfinished
        self.connecting = self.current = None
        for place, operation in enumerate(self._queue):
            if operation is not None and operation.settled:
                self._queue[place] = None


def _behind(login: Login, dialogue: Dialogue[Any]) -> Dialogue[Any]:
    """Carry out ``dialogue``, unless ``login``, which had its turn before, has failed."""
    if login.error is not None:
        error = auth_error(f"Not sent, because the login before it failed: {login.error}")
        raise error from login.error
    return (yield from dialogue)
