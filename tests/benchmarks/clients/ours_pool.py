"""SMTPPool, which sends over as many connections as the task has."""

from __future__ import annotations

from smtp_connection import Reactor, SendInfo, SMTPError, SMTPPool, __version__

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out


class _Sender:
    """Hands messages over to a pool, some at a time."""

    def __init__(self, task: Task, message: bytes, reactor: Reactor) -> None:
        self.sent = 0
        self._queued = 0
        self._task = task
        self._message = message
        self._envelope = {"from": SENDER, "to": task.recipient_list}
        options = {"host": HOST, "port": task.port, "name": CLIENT_NAME}
        limits = {"maxConnections": task.connections, "maxMessages": float("inf")}
        self._pool = SMTPPool({**options, **limits}, reactor=reactor)
        self._send_more()

    def _send_more(self) -> None:
        count = min(self._task.queued, self._task.total - self._queued)
        self._queued += count
        for _ in range(count):
            self._pool.send(self._envelope, self._message, self._is_sent)

    def _is_sent(self, err: SMTPError | None, info: SendInfo | None) -> None:
        if err is not None:
            raise err
        self.sent += 1
        if self.sent == self._task.total:
            self._pool.close()
        elif self.sent == self._queued:
            self._send_more()


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    with Reactor() as reactor:
        sender = _Sender(task, message, reactor)
        reactor.run()
    if sender.sent != task.total:
        raise RuntimeError(f"{sender.sent} of {task.total} messages were sent")


if __name__ == "__main__":
    carry_out(_perform, __version__)
