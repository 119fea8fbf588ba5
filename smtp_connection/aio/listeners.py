"""Listeners that are coroutine functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..callbacks import Arguments

__all__ = ["ListenerTasks"]


class ListenerTasks:
    """The tasks in which the coroutine functions run that listen to one connection."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()  # asyncio itself forgets them

    def starter(
        self, listener: Callable[..., Coroutine[Any, Any, Any]], taken: Arguments
    ) -> Callable[..., None]:
        """Return a function that starts ``listener``, with as many arguments as it takes."""

        def start(*args: Any) -> None:
            task = asyncio.get_running_loop().create_task(listener(*taken.fit(*args)))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

        return start

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        exception = task.exception()
        if exception is not None:
            task.get_loop().call_exception_handler(
                {
                    "message": "A listener of smtp_connection has failed",
                    "exception": exception,
                    "task": task,
                }
            )
