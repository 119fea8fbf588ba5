"""smtp_connection with a ledger: each message passes the gate before its dot, and is settled.

Each connection claims some messages at a time, as a task of a queue does, and sends its next
message in the callback of the last.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from smtp_connection import Reactor, SendInfo, SMTPConnection, SMTPError, __version__
from smtp_connection.ledger import Claim, Ledger

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out

_BATCH = 20


class _Session:
    """One connection."""

    def __init__(
        self, task: Task, number: int, message: bytes, ledger: Ledger, reactor: Reactor
    ) -> None:
        self._names = [f"{number}.{each}" for each in range(task.messages)]
        self._task = task
        self._message = message
        self._ledger = ledger
        self._claims: list[Claim] = []
        self.connection = SMTPConnection(
            {"host": HOST, "port": task.port, "name": CLIENT_NAME}, reactor=reactor
        )
        self.connection.connect(self._send)

    def _send(self) -> None:
        if not self._claims:
            batch, self._names = self._names[:_BATCH], self._names[_BATCH:]
            if not batch:
                self.connection.quit()
                return
            self._claims = self._ledger.claim_all(
                (each, self._task.recipient_list) for each in batch
            )
        claim = self._claims.pop()
        envelope = {"from": SENDER, "to": claim.recipients, "beforeCommit": claim.before_commit}
        self.connection.send(envelope, self._message, partial(self._sent, claim))

    def _sent(self, claim: Claim, err: SMTPError | None, info: SendInfo | None) -> None:
        if err is not None:
            raise err
        claim.settle(err, info)
        self._send()


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    # On a disk: a ledger in memory would be synced for nothing.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with Reactor() as reactor, Ledger(Path(folder) / "ledger.db") as ledger:
            sessions: list[Any] = [
                _Session(task, number, message, ledger, reactor)
                for number in range(task.connections)
            ]
            reactor.run()
            del sessions
            ledger.flush()
            counts = ledger.counts()
        if counts["sent"] != task.total:
            raise RuntimeError(f"the ledger has {counts}, not {task.total} that were sent")


if __name__ == "__main__":
    carry_out(_perform, __version__)
