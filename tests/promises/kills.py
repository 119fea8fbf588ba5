"""Kills workers at random while they send, and counts what has become of the messages.

``python -m tests.promises.kills --messages 20000 --kills 200`` runs real Celery workers (prefork,
two processes) on a real Redis (of the extra ``databases``) against a server that records what it
accepts.  Every kill is SIGKILL: of one of the processes, or of the worker with all of them.  Then
each message must have been delivered once, or refused, or be in doubt in the ledger; none may have
been delivered twice.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from smtp_connection.ledger import Ledger
from tests.ledger.databases import redis_server

__all__ = ["Report", "run"]

BATCH = 20
REFUSED_EVERY = 50
"""Every one of so many recipients does not exist."""


class Report:
    """What has become of all messages.

    - ``states`` (Counter): the entries of the ledger by state
    - ``delivered`` (Counter): how often the server has accepted each message
    - ``wrong`` (list of str): what must not be
    """

    def __init__(self, place: str, record: Path, messages: int) -> None:
        with Ledger(place) as ledger:
            entries = {entry.message: entry.state for entry in ledger.entries()}
        self.states = Counter(entries.values())
        self.delivered = Counter(record.read_text().split())
        self.wrong: list[str] = []
        for number in range(messages):
            name = str(number)
            state, times = entries.get(name, "unknown"), self.delivered[name]
            expected = {"sent": (1,), "in doubt": (0, 1), "refused": (0,)}.get(state, ())
            if times not in expected:
                self.wrong.append(f"{name} is {state} and was delivered {times} times")

    def __str__(self) -> str:
        in_doubt = self.states["in doubt"]
        twice = sum(times > 1 for times in self.delivered.values())
        # Of those in doubt, the server knows which ones it has got.
        unsettled = len(self.delivered) - self.states["sent"]
        return (
            f"accepted {self.states['sent']:,}, refused {self.states['refused']:,}, in doubt"
            f" {in_doubt:,} ({unsettled:,} of these delivered); duplicates {twice};"
            f" wrong {len(self.wrong)}"
        )


class _Worker:
    """A Celery worker with some processes, in a process group of its own."""

    def __init__(self, environment: dict[str, str], log: Path, processes: int) -> None:
        self._command = [sys.executable, "-m", "celery", "-A", "tests.promises.kills_tasks"]
        self._command += ["worker", "--concurrency", str(processes), "--loglevel", "warning"]
        self._command += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
        self._environment = environment
        self._log = log
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _children(self) -> list[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def kill_one(self, chance: random.Random) -> bool:
        """Kill one of the processes; return whether there was one."""
        children = self._children()
        if children:
            os.kill(chance.choice(children), signal.SIGKILL)
        return bool(children)

    def keep(self) -> None:
        """Start another one if it has ended: it gives up if a process dies before it is ready."""
        if self._process.poll() is not None:
            self._start()

    def kill_all(self) -> None:
        """Kill the worker with all of its processes, and start another one."""
        self.end()
        self._start()

    def end(self) -> None:
        """Kill the worker with all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run(
    messages: int, kills: int, seed: int = 1, processes: int = 2, folder: Path | None = None
) -> Report:
    """Send ``messages`` while workers are killed ``kills`` times, then let them finish."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = folder or Path(temporary)
        record = folder / "record"
        place = str(folder / "ledger.db")
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.promises.kills_server", str(record)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            (folder / "redis").mkdir()
            with redis_server(folder / "redis") as broker:
                environment = {
                    **os.environ,
                    "BROKER_URL": broker.replace("unix://", "redis+socket://"),
                    "SMTP_URL": f"smtp://127.0.0.1:{port}",
                    "LEDGER": place,
                }
                _enqueue(messages, environment)
                worker = _Worker(environment, folder / "worker.log", processes)
                try:
                    _kill_and_wait(worker, place, messages, kills, random.Random(seed))
                finally:
                    worker.end()
        finally:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
        return Report(place, record, messages)


def _enqueue(messages: int, environment: dict[str, str]) -> None:
    program = (
        "from tests.promises.kills_tasks import send, batches\n"
        f"for batch in batches({messages}, {BATCH}, {REFUSED_EVERY}): send.delay(batch)"
    )
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def _kill_and_wait(
    worker: _Worker, place: str, messages: int, kills: int, chance: random.Random
) -> None:
    done = 0
    with Ledger(place) as ledger:
        while True:
            worker.keep()
            counts = ledger.counts()
            begun = sum(counts.values())
            if begun == messages and not counts["sending"]:
                break
            # Spread over all of the messages, as far as they go.
            if done < kills and begun >= messages * done / (kills + 1):
                if chance.random() < 0.2:
                    worker.kill_all()
                    done += 1
                elif worker.kill_one(chance):
                    done += 1
                if done % 20 == 0:
                    print(f"{done} kills; {counts}", file=sys.stderr, flush=True)
            time.sleep(chance.uniform(0.05, 0.4))
        # What is in doubt just now may be on its way: only what stays so is.
        time.sleep(3)
    assert done == kills, f"only {done} kills: more messages are needed"


def main() -> int:
    """Run what the command line asks for; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="of the worker")
    arguments = parser.parse_args()
    started = time.monotonic()
    report = run(arguments.messages, arguments.kills, arguments.seed, arguments.processes)
    print(f"{arguments.kills} kills in {time.monotonic() - started:.0f} s: {report}")
    for line in report.wrong[:20]:
        print(line)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
