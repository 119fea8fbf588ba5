"""Threads for what cannot be waited for with a selector: name look-ups, blocking sources."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Workers"]


class Workers:
    """Daemon threads that take tasks from a queue and end as soon as it is empty.

    Daemon, because a look-up that hangs for a minute must not hold up the end of the program (the
    threads of ``concurrent.futures`` are joined at exit); short-lived, so that none is left over.
    """

    def __init__(self, limit: int | None = None) -> None:
        """``limit`` is the largest number of threads at a time; ``None`` means one a task."""
        self._limit = limit
        self._lock = threading.Lock()
        self._tasks: deque[Callable[[], None]] = deque()
        self._threads = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Run ``task`` on one of the threads; it must not raise.

        Raises ``RuntimeError`` if there is no thread to run it, and none can be started.
        """
        with self._lock:
            self._tasks.append(task)
            if self._limit is not None and self._threads >= self._limit:
                return
            self._threads += 1
        thread = threading.Thread(target=self._work, name="smtp_connection worker", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                if self._threads or task not in self._tasks:
                    return  # another thread takes it, or has taken it
                self._tasks.remove(task)
            raise

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._threads -= 1
                    return
                task = self._tasks.popleft()
            task()
