"""Threads for what cannot be waited for with a selector: name look-ups, blocking sources."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Forked", "Job", "Jobs", "Workers", "release_workers", "renew_after_fork"]

# Starting a thread costs more than a short look-up, so a thread waits this long (seconds) for
# another task, unless so many wait already.
_IDLE_TIME = 5.0
_MOST_IDLE = 16


class Forked(Protocol):
    """What holds locks, or waits for threads, that a forked child does not have."""

    def _after_fork(self) -> None:
        """Begin anew, in the child: no other thread exists, and locks may be held by nobody."""


_forked: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_after_fork(owner: Forked) -> None:
    """Have ``owner._after_fork()`` called in each child that is forked while ``owner`` exists."""
    _forked.add(owner)


def _after_fork_in_child() -> None:
    for owner in list(_forked):
        owner._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Workers:
    """Daemon threads that take tasks from a queue, and end some seconds after the last one.

    Daemon, because a look-up that hangs for a minute must not hold up the end of the program (the
    threads of ``concurrent.futures`` are joined at exit).
    """

    def __init__(self, limit: int | None = None, idle_time: float = _IDLE_TIME) -> None:
        """``limit`` is the largest number of threads at a time; ``None`` means one a task.  A
        thread that has waited for a task for ``idle_time`` seconds ends."""
        self._limit = limit
        self._idle_time = idle_time
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Begin anew in a forked child: the tasks were the parent's, and so were the threads."""
        self._changed = threading.Condition(threading.Lock())  # guards all that follows
        self._tasks: deque[Callable[[], None]] = deque()
        self._threads = 0
        # Threads that wait for a task.  There may be one, which they have not yet woken up to take.
        self._idle = 0
        self._generation = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Run ``task`` on one of the threads; it must not raise.

        Raises ``RuntimeError`` if there is no thread to run it, and none can be started.
        """
        with self._changed:
            self._tasks.append(task)
            if len(self._tasks) <= self._idle:
                self._changed.notify()
                return
            if self._limit is not None and self._threads >= self._limit:
                return
            self._threads += 1
            generation = self._generation
        thread = threading.Thread(
            target=self._work, args=(generation,), name="smtp_connection worker", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            with self._changed:
                self._threads -= 1
                if self._threads or task not in self._tasks:
                    return  # another thread takes it, or has taken it
                self._tasks.remove(task)
            raise

    def withdraw(self, task: Callable[[], None]) -> None:
        """Take ``task`` back, unless a thread has begun with it."""
        with self._changed:
            if task in self._tasks:
                self._tasks.remove(task)

    def release(self) -> None:
        """Have each thread that there is end as soon as no task waits for it."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def _work(self, generation: int) -> None:
        while (task := self._next_task(generation)) is not None:
            task()
            del task  # what it knows must not live for as long as this thread waits for the next

    def _next_task(self, generation: int) -> Callable[[], None] | None:
        """Return a task; return ``None``, and count the thread out, if none comes in time."""
        with self._changed:
            waited_in_vain = False
            while not self._tasks:
                released = generation != self._generation
                if waited_in_vain or released or self._idle >= _MOST_IDLE:
                    self._threads -= 1
                    return None
                self._idle += 1
                waited_in_vain = not self._changed.wait(self._idle_time)
                self._idle -= 1
            return self._tasks.popleft()


def release_workers() -> None:
    """Call :meth:`Workers.release` for all workers of the process."""
    for owner in list(_forked):
        if isinstance(owner, Workers):
            owner.release()


class Job:
    """A function that runs on a worker thread as soon as the job is started; see
    :meth:`Reactor.job`.

    Whoever has to cancel a job, whatever may interrupt the caller, keeps it first, and starts it
    then.
    """

    __slots__ = ("_call_soon", "_callback", "_function", "_jobs", "_workers")

    def __init__(
        self,
        jobs: Jobs,
        function: Callable[[], Any],
        callback: Callable[[Any, BaseException | None], object],
        workers: Workers,
        call_soon: Callable[..., object],
    ) -> None:
        self._jobs = jobs
        self._function = function
        self._callback: Callable[[Any, BaseException | None], object] | None = callback
        self._workers = workers
        self._call_soon = call_soon

    def cancel(self) -> None:
        """Forget the job: its callback is not called and ``run()`` no longer waits for it.

        The function is not called if it still waits for a thread.  Otherwise its thread cannot be
        stopped; it is free when the function returns.
        """
        self._callback = None
        self._jobs.unfinished.discard(self)
        self._workers.withdraw(self._run)

    def start(self) -> None:
        """Have the function called, which is done once."""
        try:
            self._workers.submit(self._run)
        except RuntimeError as exc:  # there are no more threads to be had
            self._call_soon(self._finish, None, exc)
        # Last: an interrupt before this must not leave a job that never ends.
        self._jobs.unfinished.add(self)

    def _run(self) -> None:
        """Call the function (on a worker thread), and hand its end over to the reactor's."""
        try:
            result, error = self._function(), None
        except BaseException as exc:
            result, error = None, exc
        self._call_soon(self._finish, result, error)

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
