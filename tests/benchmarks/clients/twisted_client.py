"""Twisted's ESMTP client, which asks for its next message when one is sent."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import twisted
from twisted.internet import defer, protocol, ssl
from twisted.internet import task as twisted_task
from twisted.mail.smtp import ESMTPClient

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, write_report


class _Client(ESMTPClient):
    """One connection."""

    def __init__(self, run: _Run) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            None, contextFactory=run.tls, identity=CLIENT_NAME.encode()
        )
        self.requireTransportSecurity = run.tls is not None
        self.requireAuthentication = False
        self._run = run
        self._left = run.task.messages

    def getMailFrom(self) -> bytes | None:
        return SENDER.encode() if self._left else None

    def getMailTo(self) -> list[bytes]:
        return self._run.recipients

    def getMailData(self) -> BinaryIO:
        run = self._run
        return open(run.task.message_file, "rb") if run.task.from_file else io.BytesIO(run.message)

    def sentMail(self, code: int, *_: object) -> None:
        if code != 250:
            raise RuntimeError(f"a message was refused with {code}")
        self._left -= 1
        self._run.sent += 1

    def connectionLost(self, reason: object = protocol.connectionDone) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._run.one_is_over()


class _Run:
    """The connections of one task; ``done`` fires when all are over."""

    def __init__(self, reactor: Any, task: Task, message: bytes) -> None:
        self.task = task
        self.message = message
        self.recipients = [recipient.encode() for recipient in task.recipient_list]
        self.sent = 0
        self.tls: Any = None
        if task.starttls:
            authority = ssl.Certificate.loadPEM(Path(task.ca_file).read_bytes())
            self.tls = ssl.optionsForClientTLS(HOST, trustRoot=authority)
        self.done: defer.Deferred[None] = defer.Deferred()
        self._reactor = reactor
        self._to_open = task.connections
        self._open = 0
        self._factory = protocol.ClientFactory.forProtocol(lambda: _Client(self))
        self._factory.noisy = False
        for _ in range(task.at_once):
            self._open_another()

    def _open_another(self) -> None:
        self._to_open -= 1
        self._open += 1
        self._reactor.connectTCP(HOST, self.task.port, self._factory)

    def one_is_over(self) -> None:
        self._open -= 1
        if self._to_open:
            self._open_another()
        elif not self._open:
            if self.sent == self.task.total:
                self.done.callback(None)
            else:
                text = f"{self.sent} of {self.task.total} messages were sent"
                self.done.errback(RuntimeError(text))


async def _main(reactor: Any, task: Task) -> None:
    # The reactor cannot be started twice, so both times happen within one run of it.
    message = Path(task.message_file).read_bytes()
    await _Run(reactor, task.shortened(), message).done
    watch = Stopwatch(task)
    await _Run(reactor, task, message).done
    watch.stop()
    write_report(task, twisted.__version__, watch.phases)


if __name__ == "__main__":
    received = Task(**json.load(sys.stdin))
    # What it reads has LF at the ends of lines.
    received = replace(received, message_file=received.lf_message_file)
    twisted_task.react(lambda reactor: defer.ensureDeferred(_main(reactor, received)))
