"""Many connections with many messages each, some of which the server kills; again and again.

Every message is reported once, as delivered, failed or in doubt, and the server's own count agrees:
what was delivered it has once, what failed it has not, what is in doubt it has or has not.  In the
end memory and descriptors are where they were.

``python -m tests.promises.load`` runs all of it.  With ``--pool`` one pool gets all messages, and
sends them over its connections, each of which ends after as many as it would have had.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import resource
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from smtp_connection import Reactor, SMTPConnection, SMTPError, SMTPPool
from tests.support.killing_server import Server, content_of

ENVELOPE = {"from": "a@example.com", "to": "b@example.com"}

DELIVERED, FAILED, IN_DOUBT = 1, 2, 3
OUTCOMES = {DELIVERED: "delivered", FAILED: "failed", IN_DOUBT: "in doubt"}

_WARM_UP = 4
"""The first cycles import modules and fill caches."""

_SHOWS_SMALL_LEAKS = {
    # Python's own allocator gives memory back by the MiB, and C's keeps some of what was freed.
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0",
}


_IN_POOL = 50
"""The connections of the pool that are open at the same time."""


class Cycle(ABC):
    """All messages once.

    - ``outcomes``: one for each message, 0 if nothing was reported
    - ``problems``: what is wrong already
    """

    def __init__(self, port: int, connections: int, messages: int) -> None:
        self.outcomes = bytearray(connections * messages)
        self.problems: list[str] = []
        with Reactor() as reactor:
            self._run(reactor, port, connections, messages)
            left = (len(reactor._handles), reactor._timers.live, len(reactor._jobs.unfinished))
        if any(left):
            self.problems.append(f"descriptors, timers and jobs are left: {left}")

    @abstractmethod
    def _run(self, reactor: Reactor, port: int, connections: int, messages: int) -> None:
        """Send all of them, and return when all connections have ended."""

    def _reporting(self, number: int) -> Callable[[SMTPError | None], None]:
        def report(err: SMTPError | None) -> None:
            if self.outcomes[number]:
                self.problems.append(f"message {number} was reported twice")
            doubt = err is not None and err.inDoubt
            self.outcomes[number] = DELIVERED if err is None else IN_DOUBT if doubt else FAILED

        return report


class BareCycle(Cycle):
    """All connections at once, each with all its messages queued, until all have ended."""

    _ended = 0

    def _run(self, reactor: Reactor, port: int, connections: int, messages: int) -> None:
        for number in range(connections):
            connection = SMTPConnection({"port": port, "host": "127.0.0.1"}, reactor=reactor)
            connection.on("error", lambda err: None)
            connection.on("end", self._end)
            connection.connect()
            for message in range(number * messages, (number + 1) * messages):
                connection.send(ENVELOPE, content_of(message), self._reporting(message))
            connection.quit()
        reactor.run()
        if self._ended != connections:
            self.problems.append(f"{self._ended} connections of {connections} ended")

    def _end(self) -> None:
        self._ended += 1


class PoolCycle(Cycle):
    """All messages in one pool, whose connections end after ``messages`` of them."""

    def _run(self, reactor: Reactor, port: int, connections: int, messages: int) -> None:
        options = {"port": port, "host": "127.0.0.1", "maxMessages": messages}
        pool = SMTPPool({**options, "maxConnections": _IN_POOL}, reactor=reactor)
        for message in range(connections * messages):
            pool.send(ENVELOPE, content_of(message), self._reporting(message))
        pool.close({"drain": True})
        reactor.run()


def disagreements(outcomes: bytes | bytearray, count: bytes) -> list[str]:
    """Compare what was reported with what the server has taken."""
    allowed = {(DELIVERED, 1), (FAILED, 0), (IN_DOUBT, 0), (IN_DOUBT, 1)}
    wrong = Counter(pair for pair in zip(outcomes, count, strict=True) if pair not in allowed)
    return [
        f"{number} messages {OUTCOMES.get(outcome, 'not reported')}, taken {taken} times"
        for (outcome, taken), number in wrong.items()
    ]


class Usage(NamedTuple):
    """What this process has in use: memory (resident, and of that what has been asked of C's
    allocator; bytes) and descriptors."""

    resident: int
    allocated: int
    descriptors: int


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33."""

    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefg"] + [
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    ]


_libc = ctypes.CDLL(None)
if hasattr(_libc, "mallinfo2"):
    _libc.mallinfo2.restype = _MallInfo


def usage() -> Usage:
    """Throw away what nobody needs, and return what is in use."""
    gc.collect()
    allocated = 0
    if hasattr(_libc, "mallinfo2"):
        _libc.malloc_trim(0)
        allocated = _libc.mallinfo2().uordblks
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * resource.getpagesize()
    descriptors = len(os.listdir("/proc/self/fd")) - 1
    return Usage(resident, allocated, descriptors)


def allow_descriptors(needed: int) -> bool:
    """Raise the limit of descriptors, as far as needed; return whether it is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft == resource.RLIM_INFINITY or soft >= needed


class Result(NamedTuple):
    """What one cycle came to; ``outcomes`` in the order of :data:`OUTCOMES`."""

    outcomes: list[int]
    problems: list[str]
    seconds: float
    usage: Usage


def run_cycle(
    server: Server, connections: int, messages: int, kind: type[Cycle] = BareCycle
) -> Result:
    """Run one cycle, and compare with ``server``."""
    started = time.monotonic()
    cycle = kind(server.port, connections, messages)
    seconds = time.monotonic() - started
    problems = cycle.problems + disagreements(cycle.outcomes, server.count())
    outcomes = [cycle.outcomes.count(outcome) for outcome in OUTCOMES]
    del cycle
    return Result(outcomes, problems, seconds, usage())


class Growth(NamedTuple):
    """By how much :class:`Usage` grows from cycle to cycle, once the first ones are over."""

    resident: float
    allocated: float
    descriptors: float

    def problems(self, connections: int) -> list[str]:
        """Return what is too much for chance.

        The least that can be left of a connection, a small object of Python's, is some 64 bytes; a
        page may come and go.
        """
        least = max(64 * connections, resource.getpagesize())
        limits = Growth(least, least, 0)
        return [
            f"{what}: {more:+.1f} a cycle, where {limit:.0f} may be chance"
            for what, more, limit in zip(self._fields, self, limits, strict=True)
            if more > limit
        ]


def growth(usages: list[Usage]) -> Growth:
    """Return by how much ``usages``, one after each cycle, grow (least squares)."""
    steady = usages[_WARM_UP if len(usages) > 2 * _WARM_UP else 1 :]
    cycles = range(len(steady))
    return Growth(
        *(
            statistics.linear_regression(cycles, figures).slope
            for figures in zip(*steady, strict=True)
        )
    )


def main() -> int:
    if not _SHOWS_SMALL_LEAKS.items() <= os.environ.items():
        again = [sys.executable, "-m", "tests.promises.load", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **_SHOWS_SMALL_LEAKS})
    parser = argparse.ArgumentParser(prog="python -m tests.promises.load")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100, help="for each connection")
    parser.add_argument("--killed", type=int, help="connections; by default 1 %%")
    parser.add_argument("--cycles", type=int, default=24)
    parser.add_argument("--pool", action="store_true", help="send all of them over one pool")
    parser.add_argument("--seed", type=int, default=1, help="of the server's choices")
    arguments = parser.parse_args()
    connections, messages, cycles = arguments.connections, arguments.messages, arguments.cycles
    killed = connections // 100 if arguments.killed is None else arguments.killed
    kind = PoolCycle if arguments.pool else BareCycle
    if not allow_descriptors(connections + 100):
        print(f"{connections} connections need more descriptors than 'ulimit -n' allows")
        return 2
    problems: list[str] = []
    usages: list[Usage] = []
    print(_row("cycle", *OUTCOMES.values(), "seconds", *Usage._fields))
    with Server(connections, messages, killed, arguments.seed) as server:
        before = usage()
        print(_row("before", "", "", "", "", *before))
        for number in range(1, cycles + 1):
            result = run_cycle(server, connections, messages, kind)
            usages.append(result.usage)
            problems += [f"cycle {number}: {problem}" for problem in result.problems]
            row = _row(number, *result.outcomes, f"{result.seconds:.1f}", *result.usage)
            print(row, flush=True)
    if usages[-1].descriptors != before.descriptors:
        problems.append(f"{usages[-1].descriptors - before.descriptors} descriptors are left")
    if cycles > 2:
        more = growth(usages)
        problems += more.problems(connections)
        print(_row("a cycle", "", "", "", "", *(f"{each:+.1f}" for each in more)))
    for problem in problems:
        print(problem)
    if problems:
        numbers = f"--connections {connections} --messages {messages} --killed {killed}"
        again = f"{numbers} --cycles {cycles} --seed {arguments.seed}{' --pool' * arguments.pool}"
        print(f"    python -m tests.promises.load {again}")
    print(f"{len(problems)} violations")
    return 1 if problems else 0


def _row(*cells: object) -> str:
    return "".join(f"{cell:>12}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
