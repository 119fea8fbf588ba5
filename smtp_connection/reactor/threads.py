"""Threads for what cannot be waited for with a selector: name look-ups, blocking sources."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Job", "Jobs", "Workers"]


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


class Job:
    """A function that runs on a worker thread; see :meth:`Reactor.run_in_thread`."""

    __slots__ = ("_callback", "_jobs")

    def __init__(self, jobs: Jobs, callback: Callable[[Any, BaseException | None], object]) -> None:
        self._jobs = jobs
        self._callback: Callable[[Any, BaseException | None], object] | None = callback

    def cancel(self) -> None:
        """Forget the job: its callback is not called and ``run()`` no longer waits for it.

        The thread itself cannot be stopped; it ends when the function returns.
        """
        self._callback = None
        self._jobs.unfinished.discard(self)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        callback, self._callback = self._callback, None
        self._jobs.unfinished.discard(self)
        if callback is not None:
            callback(result, error)


class Jobs:
    """The jobs of one reactor; ``unfinished`` are those that it still waits for."""

    __slots__ = ("unfinished",)

    def __init__(self) -> None:
        self.unfinished: set[Job] = set()

    def start(
        self,
        function: Callable[[], Any],
        callback: Callable[[Any, BaseException | None], object],
        workers: Workers,
        call_soon: Callable[..., object],
    ) -> Job:
        """Have one of ``workers`` run ``function()``; return the job.

        Its end, whatever that is, is handed over to the reactor's thread with ``call_soon``.
        """
        job = Job(self, callback)

        def run() -> None:
            try:
                result, error = function(), None
            except BaseException as exc:
                result, error = None, exc
            call_soon(job._finish, result, error)

        try:
            workers.submit(run)
        except RuntimeError as exc:  # there are no more threads to be had
            call_soon(job._finish, None, exc)
        # Last: an interrupt before this must not leave a job that never ends.
        self.unfinished.add(job)
        return job
