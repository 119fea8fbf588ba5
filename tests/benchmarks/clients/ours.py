"""smtp_connection itself: each connection sends its next message in the callback of the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from smtp_connection import Reactor, SendInfo, SMTPConnection, SMTPError, __version__

from ..task import CLIENT_NAME, SENDER, Stopwatch, Task, carry_out


class _Crowd:
    """The connections of one task, on one reactor."""

    def __init__(self, task: Task, message: bytes, watch: Stopwatch, reactor: Reactor) -> None:
        self.task = task
        self.message = message
        self.reactor = reactor
        self.envelope = {"from": SENDER, "to": task.recipient_list}
        self.sent = 0
        self.heard = 0
        self._watch = watch
        self._opened = 0
        self._to_open = task.connections
        self._together: list[_Session] = []
        self.options: dict[str, Any] = {"host": task.host, "port": task.port, "name": CLIENT_NAME}
        if task.starttls:
            tls = {"ca": task.ca_file, "session": task.resume}
            self.options |= {"requireTLS": True, "tls": tls}
        if task.debug:
            self.options["debug"] = True
        if not task.rides:
            self.options["pipelineMessages"] = False

    def open(self) -> None:
        for _ in range(self.task.at_once):
            self.open_another()

    def open_another(self) -> None:
        if self._to_open:
            self._to_open -= 1
            _Session(self)

    def is_open(self, session: _Session) -> None:
        if not self.task.together:
            session.send()
            return
        self._together.append(session)
        if len(self._together) < self.task.connections:
            return
        if self.task.idle:
            self._watch.note_memory()
            self._watch.phase("idle")
            self.reactor.call_later(self.task.idle, self.close_all)
        else:
            self._watch.phase("mail")
            for each in self._together:
                each.send()

    def finished(self, session: _Session) -> None:
        if not self.task.together:
            session.connection.quit()
        elif self.sent == self.task.total:
            self.close_all()

    def close_all(self) -> None:
        self._watch.phase("close")
        for session in self._together:
            session.connection.quit()

    def hear(self, entry: object) -> None:
        self.heard += 1


class _Session:
    """One connection, and how many messages it has still to send."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._left = crowd.task.messages
        self._pending = 0
        self._file: BinaryIO | None = None
        self.connection = SMTPConnection(crowd.options, reactor=crowd.reactor)
        if crowd.task.at_once < crowd.task.connections:
            self.connection.on("end", crowd.open_another)
        if crowd.task.debug:
            self.connection.on("log", crowd.hear)
        self.connection.connect(lambda: crowd.is_open(self))

    def send(self) -> None:
        crowd = self._crowd
        self._pending = min(crowd.task.queued, self._left)
        for _ in range(self._pending):
            self.connection.send(crowd.envelope, self._message(), self._sent)

    def _message(self) -> bytes | BinaryIO | dict[str, Any]:
        if self._crowd.task.attachment:
            return composed(self._crowd.task)
        if not self._crowd.task.from_file:
            return self._crowd.message
        self._file = open(self._crowd.task.message_file, "rb")  # noqa: SIM115 - closed when sent
        return self._file

    def _sent(self, err: SMTPError | None, info: SendInfo | None) -> None:
        if err is not None:
            raise err
        if self._file is not None:
            self._file.close()
        self._crowd.sent += 1
        self._left -= 1
        self._pending -= 1
        if self._pending:
            return
        if self._left:
            self.send()
        else:
            self._crowd.finished(self)


class _Pulse:
    """Wants to be called each millisecond; ``longest`` is how much longer it had to wait."""

    def __init__(self, reactor: Reactor, is_over: Callable[[], bool]) -> None:
        self.longest = 0.0
        self._reactor = reactor
        self._is_over = is_over
        self._start()

    def _start(self) -> None:
        self._due = self._reactor.time() + 0.001
        self._reactor.call_later(0.001, self._beat)

    def _beat(self) -> None:
        self.longest = max(self.longest, self._reactor.time() - self._due)
        if not self._is_over():
            self._start()


def composed(task: Task) -> dict[str, Any]:
    """Return the dict of a message with an attached file."""
    return {
        "from": SENDER,
        "to": task.recipient_list,
        "subject": "The file",
        "text": "It is attached.",
        "attachments": [{"path": task.message_file, "filename": "file.bin"}],
    }


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    with Reactor() as reactor:
        crowd = _Crowd(task, message, watch, reactor)
        crowd.open()
        if task.attachment:
            pulse = _Pulse(reactor, lambda: crowd.sent == task.total)
            reactor.run()
            watch.pause = pulse.longest
            watch.note_peak()
        else:
            reactor.run()
    if crowd.sent != task.total:
        raise RuntimeError(f"{crowd.sent} of {task.total} messages were sent")
    if task.debug and crowd.heard < 4 * task.total:
        raise RuntimeError(f"only {crowd.heard} entries were heard")


if __name__ == "__main__":
    carry_out(_perform, __version__)
