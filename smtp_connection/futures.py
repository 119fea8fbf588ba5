"""Futures: how a thread waits for what the reactor of another thread carries out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .abort import AbortController, AbortSignal
from .errors import SMTPError
from .reactor.default import current_reactor
from .reactor.loop import Reactor

__all__ = ["OperationFuture", "future"]


class OperationFuture(Future[Any]):
    """The outcome of an operation, of which its callback tells: a ``concurrent.futures.Future``.

    Callbacks that ``add_done_callback`` adds are called by the reactor, or at once if it is over.
    ``result()`` and ``exception()`` raise ``RuntimeError`` where the reactor would have to wait for
    itself: in its own callbacks, and on the thread of the event loop that hosts it.
    """

    def __init__(self, reactor: Reactor | None = None) -> None:
        """``reactor`` is the one that carries the operation out."""
        super().__init__()
        self._reactor = reactor
        self._controller: AbortController | None = None
        self._cancelled_by_us = False

    def aborted_by(self, signal: AbortSignal | None) -> AbortSignal:
        """Return the signal of the operation: :meth:`cancel` aborts it, and so does ``signal``."""
        self._controller = controller = AbortController()
        return controller.signal if signal is None else AbortSignal.any([controller.signal, signal])

    def settle(self, err: SMTPError | None = None, value: Any = None) -> None:
        """Take the outcome: the callback of the operation."""
        if err is None:
            self.set_result(value)
        elif self._cancelled_by_us and err.code == "EABORT" and not err.inDoubt:
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            self.set_exception(err)

    def cancel(self) -> bool:
        """Ask for the operation to be aborted (:class:`AbortSignal`); return ``False`` if it is
        over, or cannot be aborted.

        Only its end tells what has become of it.  It counts as cancelled if nothing has come of it;
        a message that the server has accepted meanwhile has a result, and one that it may have
        accepted has an error that is in doubt.
        """
        if self._controller is None or self.done():
            return False
        self._cancelled_by_us = True
        self._controller.abort()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, as soon as there is one, or raise the error."""
        self._check_thread()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error, as soon as the operation is over, or ``None``."""
        self._check_thread()
        return super().exception(timeout)

    def _check_thread(self) -> None:
        reactor = self._reactor
        if reactor is None or self.done():
            return
        if reactor.hosting is not None and reactor.on_thread():
            raise RuntimeError(
                "the event loop that runs the reactor would wait for itself: use"
                " asyncio.wrap_future(), add_done_callback(), or wait on another thread"
            )
        if current_reactor() is reactor:
            raise RuntimeError(
                "a callback of the reactor would wait for that reactor itself: use"
                " add_done_callback(), or wait on another thread"
            )


def future(method: Callable[..., object], /, *args: Any, **more: Any) -> Future[Any]:
    """Call ``method(*args, callback)`` and return a ``concurrent.futures.Future`` for what the
    callback gets: ``future(connection.send, envelope, message).result()``.

    ``method`` is one that takes a callback: ``connect``, ``login``, ``send``, ``reset``, ``noop``,
    ``command`` or ``probe`` of a connection whose reactor runs on another thread.  ``more`` are
    further arguments by keyword, such as ``signal``.  Raises ``TypeError`` for a method that takes
    no callback.
    """
    taken = inspect.signature(method).parameters
    if "callback" not in taken:
        raise TypeError(
            "future() takes a method that takes a callback, connection.send for example; got"
            f" {getattr(method, '__qualname__', method)!r}"
        )
    reactor = getattr(getattr(method, "__self__", None), "reactor", None)
    operation = OperationFuture(reactor)
    if "signal" in taken:
        more["signal"] = operation.aborted_by(more.get("signal"))
    method(*args, callback=operation.settle, **more)
    return operation
