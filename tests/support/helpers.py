"""What several test modules need to take a part of the package by the hand."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import select
import selectors
import signal
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smtp_connection import Reactor, SMTPError
from smtp_connection.message.message import Message
from smtp_connection.protocol.replies import Reply, ReplyParser
from smtp_connection.protocol.steps import Abandon, Ask, Command, Compute, Pipeline
from smtp_connection.reactor.threads import release_workers


def garbage_of(function: Callable[[], object]) -> list[str]:
    """Return what only a collection finds when ``function()`` has been called."""
    function()  # what is made once is no garbage
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        function()
        gc.collect()
        return [repr(each) for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def unused_port() -> int:
    """Return a port of this machine that is free for a program which cannot choose one by itself.

    It is none of those that systems hand out, so that nobody else gets it in the meantime.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        try:
            socket.create_server(("localhost", port)).close()
        except OSError:
            continue
        return port


class Clock:
    """A clock that only goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class MovableClock:
    """The real time, and ``ahead`` seconds more."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def fail_with(text: str) -> None:
    """Raise ``LookupError``, for callbacks that are to fail."""
    raise LookupError(text)


@contextlib.contextmanager
def raising_once(place: str, kind: type[BaseException]) -> Iterator[None]:
    """Have the function at ``place`` (a dotted path) raise ``kind`` when it is called next, and be
    itself again from then on."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*args: object, **more: object) -> None:
            patch.undo()
            raise kind

        patch.setattr(place, refuse)
        yield


def in_thread(function: Callable[..., object], *args: Any) -> threading.Thread:
    """Call ``function(*args)`` on a new thread, and return the thread."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def worker_threads() -> list[threading.Thread]:
    """Return the threads that work for reactors or look names up, or wait for such work."""
    return [each for each in threading.enumerate() if each.name == "smtp_connection worker"]


def end_workers() -> None:
    """Wait until the worker threads have done their tasks and ended."""
    release_workers()
    for thread in worker_threads():
        thread.join(10)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait, without a reactor, until another thread has brought ``condition()`` about."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        os.sched_yield()


def turn_until(reactor: Reactor, condition: Callable[[], object]) -> None:
    """Turn ``reactor`` until ``condition()`` holds; fail if it never can any more."""
    while not condition():
        assert reactor.run_once(5) or condition(), "nothing is left that could bring it about"


SELECTORS = [
    getattr(selectors, name)
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector")
    if hasattr(selectors, name)
]
"""Those of this system, each of which may be all that another one has."""


def has_events(reactor: Reactor) -> bool:
    """Whether ``reactor`` would not have to wait for a descriptor now."""
    try:
        return bool(select.select([reactor], [], [], 0)[0])
    except RuntimeError:  # its selector has no descriptor
        try:
            return bool(reactor._selector.select(0))
        except OSError:
            return True


def reply(text: str) -> Reply:
    """Return the one reply that ``text`` is."""
    (parsed,) = ReplyParser(1 << 20).feed(text.encode() + b"\n")
    return parsed


class Talk:
    """A dialogue that was fed by hand, to its end.

    - ``steps``: what it yielded
    - ``value``, or ``error`` (SMTPError, Abandon): how it ended
    """

    def __init__(self, dialogue: Any, *answers: Any) -> None:
        """Feed ``answers`` one by one: a str is a reply (except to ``Ask``), a list of str several
        replies, an exception is raised inside, and anything else is sent in as it is.  What is to
        be computed is computed, and takes no answer."""
        self.steps: list[Any] = []
        self.value: Any = None
        self.error: Any = None
        waiting = list(answers)
        try:
            self.steps.append(next(dialogue))
            while waiting:
                self.steps.append(self._feed(dialogue, waiting.pop(0)))
                if isinstance(self.steps[-1], Compute):
                    self.steps.append(self._compute(dialogue, self.steps[-1]))
        except StopIteration as stop:
            self.value = stop.value
        except (SMTPError, Abandon) as error:
            self.error = error
        else:
            raise AssertionError(f"it goes on, after {self.said}")
        assert not waiting, f"it ended before {waiting}, after {self.said}"

    def _feed(self, dialogue: Any, answer: Any) -> Any:
        if isinstance(answer, BaseException):
            return dialogue.throw(answer)
        if isinstance(answer, str) and not isinstance(self.steps[-1], Ask):
            answer = reply(answer)
        elif isinstance(answer, list):
            answer = [reply(text) for text in answer]
        return dialogue.send(answer)

    def _compute(self, dialogue: Any, step: Compute) -> Any:
        try:
            value = step.function()
        except Exception as exc:
            return dialogue.throw(exc)
        return dialogue.send(value)

    @property
    def said(self) -> list[Any]:
        """The steps in short: lines of commands, lists of lines, names of the other steps."""
        return [_wire(step) for step in self.steps]

    @property
    def shown(self) -> list[str]:
        """The commands as the log gets them."""
        return [
            step.line if step.shown_as is None else step.shown_as
            for step in self.steps
            if isinstance(step, Command)
        ]


def failed(talk: Talk, code: str, command: str, text: str) -> None:
    """Check the error that ``talk`` ended with."""
    assert isinstance(talk.error, SMTPError)
    assert (talk.error.code, talk.error.command) == (code, command)
    assert str(talk.error) == text


def _wire(step: Any) -> Any:
    if isinstance(step, Command):
        return step.line
    if isinstance(step, Pipeline):
        return step.lines
    return type(step).__name__


class Pull:
    """Pulls a message out of its source as the exchange does; ``wire`` is what has come so far."""

    def __init__(self, content: Any, reactor: Reactor) -> None:
        self.wire = b""
        self.message = content if isinstance(content, Message) else Message(content, reactor)
        self._reactor = reactor
        self._begun = self.message.whole
        if not self._begun:
            self.message.start(reactor, self.go_on)
            reactor.call_soon(self.go_on)

    def go_on(self) -> None:
        """Take all that is there."""
        if self.message.finished:
            return
        if not self._begun:
            self._begun = self.message.has_begun()
        while self._begun and (piece := self.message.next_wire()):
            self.wire += piece

    def to_the_end(self) -> bytes:
        """Turn the reactor until the final dot is there; return all of the wire."""
        if self.message.whole:
            self.go_on()
        try:
            turn_until(self._reactor, lambda: self.message.finished)
        finally:
            self.message.close()
        assert self.message.size == len(self.wire)
        return self.wire


def wire_of(content: Any, reactor: Reactor) -> bytes:
    """Return what ``content`` is on the wire, from its first byte to the final dot."""
    return Pull(content, reactor).to_the_end()


def failure_of(content: Any, reactor: Reactor) -> SMTPError:
    """Return the error that ``content`` leads to."""
    with pytest.raises(SMTPError) as caught:
        wire_of(content, reactor)
    return caught.value


def in_child(function: Callable[[], object]) -> bool:
    """Run ``function`` in a forked child, and return whether it came to its end."""
    with warnings.catch_warnings():
        # Python 3.12 and later warn of other threads, with which these tests mean to be.
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            # A child that hangs dies, and fails the test.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@contextlib.contextmanager
def handling(signum: int, handler: Any) -> Iterator[None]:
    """Have ``handler`` handle the signal ``signum`` for a while."""
    previous = signal.signal(signum, handler)
    try:
        yield
    finally:
        signal.signal(signum, previous)


def open_files() -> set[tuple[str, str]]:
    """Return the open descriptors of this process (Linux), and what each stands for."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        except OSError:
            pass  # the one that listed the folder
    return found


def check_error_of_another(other: SMTPError, err: SMTPError) -> None:
    """Check that ``other`` is what an operation gets that was not under way when the connection
    ended with ``err``: an error of its own, and not in doubt."""
    assert other is not err
    assert other.__cause__ is err
    assert other.code == err.code
    assert err.message.startswith(other.message)
    assert not other.inDoubt
