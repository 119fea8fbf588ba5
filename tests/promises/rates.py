"""How many messages begin within one second, as the server sees it, where there is a limit.

``python -m tests.promises.rates`` lets one pool send over ten connections with ``rateLimit``, and
then two processes with a pool each, and one limit in a real Redis (of the extra ``databases``).  It
tells the worst second of each, however one lays it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from smtp_connection import Reactor, SMTPPool
from smtp_connection.pool.permits import PERMIT_LASTS
from tests.ledger.databases import redis_server
from tests.support.manual import PROGRAMS
from tests.support.smtp_server import Line, Listener, Session, hold

__all__ = ["over_ten_connections", "over_two_processes", "worst_window"]

LIMIT = 20
"""Messages a second."""
CONNECTIONS = 10


def worst_window(begun: list[float], seconds: float) -> int:
    """Return how many of ``begun`` lie within one window of ``seconds``, at most."""
    begun = sorted(begun)
    first = worst = 0
    for last, time in enumerate(begun):
        while time - begun[first] >= seconds:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


class _Noting(Session):
    """Notes when each message begins."""

    def __init__(self, note: Callable[[], object]) -> None:
        super().__init__("PIPELINING")
        self._note = note

    def obey(self, line: str) -> None:
        if line.startswith("MAIL"):
            self._note()
        super().obey(line)


class _Server:
    """Takes all mail, on ``reactor``; ``begun`` is when each MAIL has come, in seconds."""

    def __init__(self, reactor: Reactor) -> None:
        self.begun: list[float] = []
        self._reactor = reactor
        self._lines: list[Line] = []
        self._listener = Listener(reactor, self._accept)
        self.port = self._listener.port

    def _accept(self, sock) -> None:
        session = _Noting(lambda: self.begun.append(self._reactor.time()))
        self._lines.append(hold(self._reactor, sock, session))

    def close(self) -> None:
        self._listener.close()
        for line in self._lines:
            line.close()


def over_ten_connections(messages: int) -> list[float]:
    """Send over one pool with a limit of its own; return when each message has begun."""
    with Reactor() as reactor:
        server = _Server(reactor)
        options = {"port": server.port, "maxConnections": CONNECTIONS, "rateLimit": LIMIT}
        pool = SMTPPool(options, reactor=reactor)
        for _ in range(messages):
            pool.send({"from": "a@x.org", "to": "b@x.org"}, "hi")
        pool.close({"drain": True}, server.close)
        reactor.run()
    return server.begun


_SENDER = """
from smtp_connection import SMTPPool, run

pool = SMTPPool(host='127.0.0.1', port={port}, maxConnections=5, rateLimiter=limiter)
for _ in range({messages}):
    pool.send({{'from': 'a@x.org', 'to': 'b@x.org'}}, 'hi')
pool.close({{'drain': True}})
run()
"""


def over_two_processes(messages: int, redis: str) -> list[float]:
    """Let two processes share the limiter of the manual, in the Redis at the URL ``redis``; return
    when each of the messages, ``messages`` from each, has begun."""
    program = PROGRAMS["shared-limiter"]
    program = program.replace("redis://localhost:6379", redis.replace("unix:", "redis+unix:"))
    program = program.replace("14/second", f"{LIMIT}/second")
    with Reactor() as reactor:
        server = _Server(reactor)
        program += _SENDER.format(port=server.port, messages=messages)
        senders = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]

        def wait() -> None:
            for sender in senders:
                sender.wait()
            reactor.call_soon_threadsafe(server.close)

        waiting = threading.Thread(target=wait)
        waiting.start()
        reactor.run()
        waiting.join()
    assert [sender.returncode for sender in senders] == [0, 0]
    return server.begun


def main() -> int:
    """Return the exit status: 1 if a limit was passed."""
    kept = [_tell(f"one pool, {CONNECTIONS} connections", over_ten_connections(200), 1.0)]
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis:
        begun = over_two_processes(100, redis)
    # A permit may be used a little later than it was given.
    kept.append(_tell("two processes, a limiter in Redis", begun, 1.0 - PERMIT_LASTS))
    return 0 if all(kept) else 1


def _tell(what: str, begun: list[float], seconds: float) -> bool:
    """Print the worst window; return whether the limit was kept."""
    worst = worst_window(begun, seconds)
    print(f"{what}: {len(begun)} messages, {LIMIT} a second")
    print(f"    worst window of {seconds:g} s: {worst} of at most {LIMIT}")
    return worst <= LIMIT


if __name__ == "__main__":
    sys.exit(main())
