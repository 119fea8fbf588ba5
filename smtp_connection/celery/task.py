"""The task: sends a batch of messages, and comes again with those that need it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SMTPError, needs_extra
from ..ledger import Ledger
from .outcomes import Backoff, Outcome
from .sender import Sender, checked

__all__ = ["make_send_task"]

_VISIBILITY_TIMEOUT = 3600.0  # seconds, that of kombu for Redis


def make_send_task(
    app: Any,
    url: str | Mapping[str, Any],
    *,
    ledger: str | os.PathLike[str] | Callable[[], Ledger],
    limiter: Callable[[], Any] | None = None,
    options: Mapping[str, Any] | None = None,
    name: str = "smtp_connection.send",
    max_retries: int = 100,
    first_wait: float = 10.0,
    longest_wait: float = 1800.0,
    login_wait: float = 300.0,
    on_rejected: Callable[[str, dict[str, str]], object] | None = None,
    on_in_doubt: Callable[[str, list[str]], object] | None = None,
    on_login_refused: Callable[[SMTPError], object] | None = None,
) -> Any:
    """Return a task of the Celery ``app`` that sends messages, none of them twice.

    ``task.delay(messages)`` takes a list of ``{'name': ..., 'envelope': ..., 'message': ...}``, or
    one of them: ``name`` (str) is that in the ledger, ``envelope`` and ``message`` are those of
    ``send()``, as far as Celery's serializer takes them.  A task is a batch of some dozen messages:
    it is acknowledged, and comes again, as a whole.

    - ``url`` (str or dict): the server and the login, as :class:`SMTPPool` takes them; ``options``
      are further options of the pool
    - ``ledger``: what :class:`Ledger` takes, or a function that opens one in each process.  All
      workers must share it
    - ``limiter``: a function that makes the pool's ``rateLimiter``, in each process
    - ``name`` (str): that of the task
    - ``max_retries`` (int): after so many attempts the task fails with the last error
    - ``first_wait``, ``longest_wait`` (seconds): how long a task waits until it tries again;
      always less than the broker's visibility time-out
    - ``login_wait`` (seconds): how long, if the password was refused
    - ``on_rejected(name, {recipient: reason})``, ``on_in_doubt(name, recipients)``: told before the
      task is acknowledged; after a crash perhaps once more
    - ``on_login_refused(error)``: told by one worker, at most once an hour

    Each worker process has one pool, which it makes after the fork and drains when it ends.  Raises
    ``ModuleNotFoundError`` that names the extra if Celery is missing.
    """
    try:
        from celery import signals
    except ModuleNotFoundError as exc:
        if exc.name != "celery":
            raise
        raise ModuleNotFoundError(
            needs_extra("make_send_task()", "celery"), name="celery"
        ) from None
    transport = app.conf.broker_transport_options or {}
    visible = float(transport.get("visibility_timeout", _VISIBILITY_TIMEOUT))
    backoff = Backoff(first_wait, longest_wait, visible)
    login_backoff = Backoff(login_wait, login_wait, visible)
    process = _Process(url, options or {}, ledger, limiter)

    def send(task: Any, messages: Any) -> dict[str, int]:
        batch = checked(messages)
        retries = task.request.retries
        try:
            sender = process.sender()
            outcomes = sender.send(batch)
        except Exception as exc:  # the ledger cannot be reached, say; nothing was sent without it
            raise task.retry(exc=exc, countdown=backoff.wait(retries, None)) from exc
        _tell(outcomes, on_rejected, on_in_doubt)
        again = {each.name for each in outcomes if each.again}
        if again:
            error = next(each.error for each in outcomes if each.again)
            refused = next((each.error for each in outcomes if each.login_refused), None)
            waits = backoff
            if refused is not None:
                waits = login_backoff
                if sender.says_first(refused) and on_login_refused is not None:
                    on_login_refused(refused)
            raise task.retry(
                args=[[each for each in batch if each["name"] in again]],
                kwargs={},
                exc=refused or error,
                countdown=waits.wait(retries, error),
            )
        return {
            "sent": sum(each.sent for each in outcomes),
            "refused": sum(len(each.refused) for each in outcomes),
            "in doubt": sum(len(each.in_doubt) for each in outcomes),
        }

    for ends in (signals.worker_process_shutdown, signals.worker_shutdown):
        ends.connect(process.close, weak=False)
    return app.task(
        send,
        bind=True,
        name=name,
        max_retries=max_retries,
        # Acknowledged when it has been done; a worker that is killed has not done it.
        acks_late=True,
        reject_on_worker_lost=True,
    )


def _tell(
    outcomes: list[Outcome],
    on_rejected: Callable[[str, dict[str, str]], object] | None,
    on_in_doubt: Callable[[str, list[str]], object] | None,
) -> None:
    for each in outcomes:
        if each.refused and on_rejected is not None:
            on_rejected(each.name, each.refused)
        if each.in_doubt and on_in_doubt is not None:
            on_in_doubt(each.name, each.in_doubt)


class _Process:
    """Has the sender of this process, which is made when it is first needed: after the fork."""

    def __init__(
        self,
        url: str | Mapping[str, Any],
        options: Mapping[str, Any],
        ledger: str | os.PathLike[str] | Callable[[], Ledger],
        limiter: Callable[[], Any] | None,
    ) -> None:
        self._url = url
        self._options = options
        self._ledger = ledger
        self._limiter = limiter
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # tasks may run on several threads
        self._sender: Sender | None = None

    def sender(self) -> Sender:
        if self._pid != os.getpid():
            self._forget()
        with self._lock:
            if self._sender is None:
                limiter = self._limiter() if self._limiter is not None else None
                self._sender = Sender(self._url, self._options, self._open_ledger, limiter)
            return self._sender

    def _open_ledger(self) -> Ledger:
        return self._ledger() if callable(self._ledger) else Ledger(self._ledger)

    def close(self, **_: object) -> None:
        """Drain the pool; Celery calls this when the process ends."""
        if self._pid != os.getpid():
            return
        with self._lock:
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
