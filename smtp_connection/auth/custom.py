"""Authentication mechanisms of the caller's own: the option ``customAuth``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ..callbacks import Arguments, arguments_taken, refuse_coroutine
from ..errors import SMTPError
from ..protocol.commands import CommandReply
from ..protocol.replies import Reply
from ..protocol.secrets import SECRET, auth_shown
from ..protocol.session import Session
from ..protocol.steps import Ask, Command, Dialogue, Unanswered
from ..text import control_in

__all__ = ["AuthContext", "custom_login"]


class AuthContext:
    """The one argument of a handler.

    - ``auth``: a copy of the dict that ``login`` was called with, made at that call
    - ``method`` (str): the mechanism, upper case
    - ``extensions`` (list of str): the extensions that the server announced
    - ``authMethods`` (list of str): the mechanisms that it announced
    - ``maxAllowedSize`` (int or None): the server's SIZE limit, bytes

    The handler calls ``sendCommand`` as often as it wants, then ``resolve()`` or ``reject(err)``;
    all of these from any thread.  Instead of the last two, it may return a
    ``concurrent.futures.Future``, whose end is that of the login.
    """

    def __init__(self, auth: Any, method: str, session: Session) -> None:
        self.auth = auth
        self.method = method
        self.extensions = list(session.capabilities)
        self.authMethods = list(session.capabilities.auth)
        self.maxAllowedSize = session.capabilities.size
        self._requests: deque[_Request] = deque()
        self._wake: Callable[..., None] | None = None

    def sendCommand(self, cmd: str, callback: Callable[..., object] | None = None) -> None:
        """Send one command; ``callback(err, reply)`` with a :class:`CommandReply`.

        Only ``AUTH`` and the mechanism of ``cmd`` reach the log.  Raises ``TypeError`` if it is not
        a string, and ``ValueError`` if it contains a control character.
        """
        arguments = None if callback is None else arguments_taken(callback)
        if not isinstance(cmd, str):
            raise TypeError(f"a command is a string; got {type(cmd).__name__}")
        if control_in(cmd):
            raise ValueError("a command has no line break or other control character in it")
        self._request(_Request(cmd, callback, arguments))

    send_command = sendCommand

    def resolve(self, *_: object) -> None:
        """Report that the login has succeeded."""
        self._request(_Request())

    def reject(self, err: object = None) -> None:
        """Report that the login has failed; ``err`` is an exception or a text."""
        self._request(_Request(error=err or "rejected by the handler"))

    def _request(self, request: _Request) -> None:
        # Append first: another thread may be in _wait(), which sets _wake before it looks here.
        self._requests.append(request)
        if self._wake is not None:
            self._wake()

    def _wait(self, wake: Callable[..., None]) -> None:
        self._wake = wake
        if self._requests:
            wake()

    def _start(self, handler: Callable[[AuthContext], Any], wake: Callable[..., None]) -> None:
        future = handler(self)
        refuse_coroutine(future, "the handler")
        if callable(getattr(future, "add_done_callback", None)):
            future.add_done_callback(self._future_done)
        self._wait(wake)

    def _go_on(
        self,
        request: _Request,
        reply: CommandReply,
        wake: Callable[..., None],
    ) -> None:
        if request.callback is not None and request.arguments is not None:
            request.callback(*request.arguments.fit(None, reply))
        self._wait(wake)

    def _future_done(self, future: Any) -> None:
        error = "cancelled" if future.cancelled() else future.exception()
        if error is None:
            self.resolve()
        else:
            self.reject(error)


class _Request:
    """What a handler asks for next: a command, or without one the end of the login, which is a
    failure if there is an ``error``."""

    __slots__ = ("arguments", "callback", "command", "error")

    def __init__(
        self,
        command: str | None = None,
        callback: Callable[..., object] | None = None,
        arguments: Arguments | None = None,
        error: object = None,
    ) -> None:
        self.command = command
        self.callback = callback
        self.arguments = arguments
        self.error = error


def custom_login(
    handler: Callable[[AuthContext], Any], auth: Any, method: str, session: Session
) -> Dialogue[None]:
    """Log in as ``handler`` says.

    Raises :class:`SMTPError` (``EAUTH``) if it rejects the login, or if it or one of its callbacks
    raises.
    """
    context = AuthContext(auth, method, session)
    command = f"AUTH {method}"
    last: Reply | None = None
    try:
        yield Ask(partial(context._start, handler), between_commands=True)
        while True:
            request = context._requests.popleft()
            if request.error is not None:
                break
            if request.command is None:
                return
            shown = auth_shown(request.command) or SECRET
            # The hidden part may be a mere answer to a challenge, but also the password itself.
            reveals = method if shown != request.command else None
            last = yield Command(request.command, shown, reveals)
            reply = CommandReply(request.command, last)
            yield Ask(partial(context._go_on, request, reply))
    except (SMTPError, Unanswered):
        raise
    except Exception as exc:
        request = _Request(error=exc)
    cause = request.error
    error = SMTPError(
        f"Login with {method} failed: {cause}",
        code="EAUTH",
        command=command,
        response=last.text if last is not None else None,
    )
    raise error from (cause if isinstance(cause, Exception) else None)
