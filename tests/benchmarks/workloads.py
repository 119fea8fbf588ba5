"""What is measured: the workloads, who takes part in each, and what is to be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .clients import AIO, OURS, POOL, WITH_LEDGER
from .task import Task

__all__ = ["WORKLOADS", "Entry", "Goal", "Workload"]

_QUICK_SIZE = 10

Measure = Literal["cpu", "wall", "memory", "load", "pause"]
Unit = Literal["message", "recipient", "line", "MB", "connection", "import"]


@dataclass(frozen=True)
class Entry:
    """One line of a table: a client with a task; ``size`` is its place on a curve.  With ``full``
    there is a larger task that takes its time."""

    label: str
    client: str
    task: Task
    size: int = 0
    full: Task | None = None


@dataclass(frozen=True)
class Goal:
    """``measure`` of ``label`` is at most ``limit``, or ``limit`` times that of ``other``.

    - ``cpu``: CPU time per unit, us
    - ``wall``: wall time per unit, us
    - ``memory``: KiB per connection
    - ``load``: per cent of a core
    - ``pause``: the longest time in which nothing else went on, ms
    """

    limit: float
    other: str = ""
    label: str = OURS
    measure: Measure = "cpu"


@dataclass(frozen=True)
class Workload:
    """A comparison or, where its entries have sizes, a curve."""

    name: str
    title: str
    entries: tuple[Entry, ...]
    goals: tuple[Goal, ...] = ()
    unit: Unit = "message"
    phase: str = ""
    """The phase that counts, where it is not all of them."""
    remark: str = ""

    @property
    def is_curve(self) -> bool:
        """Whether the entries differ in size only."""
        return any(entry.size for entry in self.entries)

    def units(self, task: Task) -> float:
        """Return how many units ``task`` consists of."""
        if self.unit == "recipient":
            return task.total * task.recipients
        if self.unit == "line":
            return task.total * task.reply_lines
        if self.unit == "MB":
            return task.total * task.size / 1e6
        return task.connections if self.unit == "connection" else task.total

    def quick(self) -> Workload:
        """Return the workload in a size that only shows that everything works."""
        entries = [entry for entry in self.entries if entry.size <= _QUICK_SIZE]
        return replace(
            self,
            entries=tuple(replace(entry, task=entry.task.quick()) for entry in entries),
        )

    def full(self) -> Workload:
        """Return the workload in the size that its goals are about."""
        entries = [replace(entry, task=entry.full or entry.task) for entry in self.entries]
        return replace(self, entries=tuple(entries))


_ALL = (
    OURS,
    "floor",
    "smtp-source",
    "nodemailer",
    "smtp-connection-1",
    "smtp-connection-2",
    "smtplib",
    "pycurl",
    "aiosmtplib",
    "twisted",
)

_WAITING = ("smtp-connection-1", "smtp-connection-2", "twisted")
"""Those that wait for the delayed ACK of each message, and are given fewer where that matters."""


def _compared(
    task: Task, clients: Iterable[str], fewer: Mapping[str, int] | None = None
) -> tuple[Entry, ...]:
    """Let each of ``clients`` do ``task``, some of them with fewer messages."""
    return tuple(
        Entry(client, client, replace(task, messages=(fewer or {}).get(client, task.messages)))
        for client in clients
    )


def _without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in _ALL if name not in names)


_FAR = Task(messages=100, latency=0.02, warmup=0.1)
_FIFTY = Task(connections=50, at_once=50, messages=200)
_SESSIONS = Task(connections=2_000, at_once=50)
_IN_TURN = Task(connections=1_000)
_LARGE = Task(messages=10, size=20_000_000)
_QUEUE = Task(messages=10_000)
_CROWD = Task(connections=10_000, at_once=10_000, warmup=0.02)

_POOLS = (POOL, OURS, "floor", "smtp-source", "nodemailer-pool", "aiosmtplib-pool")


def _pooled(connections: int) -> Workload:
    """Return the comparison of pools: one gets all messages, and sends them over its connections.

    Those without a pool send as many messages over each of as many connections.
    """

    def entry(client: str) -> Entry:
        few, many = (
            Task(connections, connections, total // connections, total if "pool" in client else 1)
            for total in (10_000, 50_000)
        )
        return Entry(client, client, few, full=many)

    return Workload(
        f"pool-{connections}",
        f"1 KB to 1 recipient, all messages handed over at once, {connections} connections",
        tuple(map(entry, _POOLS)),
        (Goal(0.5, "nodemailer-pool", POOL), Goal(1.3, OURS, POOL)),
        remark="Without a pool, each connection sends in its callback.",
    )


_COMPARISONS = (
    Workload(
        "connections-50",
        "1 KB to 1 recipient, 50 connections, each sending in its callback",
        _compared(_FIFTY, _ALL),
        (Goal(2.0, "floor"), Goal(0.45, "nodemailer"), Goal(0.15, "aiosmtplib")),
        remark="smtp-source does not use PIPELINING.",
    ),
    Workload(
        "no-pipelining",
        "the same against a server without PIPELINING",
        _compared(replace(_FIFTY, pipelining=False), _ALL),
        (Goal(2.0, "floor"), Goal(0.45, "nodemailer")),
    ),
    Workload(
        "one-connection",
        "the same on one connection",
        _compared(Task(messages=3_000), _ALL, dict.fromkeys(_WAITING, 50)),
        (Goal(0.6, "nodemailer"), Goal(5_000, measure="wall")),
        remark="Nagle's algorithm against delayed ACK would cost 40,000 us of waiting a message.",
    ),
    Workload(
        "queued-3",
        "50 connections with three messages queued on each",
        _compared(
            Task(connections=50, at_once=50, messages=201, queued=3),
            (OURS, "floor", "smtp-source", "nodemailer"),
        ),
        (Goal(1.4, "floor"), Goal(0.3, "nodemailer"), Goal(0.85, "smtp-source")),
        remark="The floor waits for each verdict before the next message, as the others do.",
    ),
    Workload(
        "far-away",
        "a queue of messages on one connection, with 20 ms of latency each way",
        (
            Entry(OURS, OURS, replace(_FAR, queued=100)),
            Entry("nothing rides", OURS, replace(_FAR, queued=100, rides=False)),
            *_compared(_FAR, ("floor", "nodemailer", "smtplib")),
        ),
        (Goal(0.55, "floor", measure="wall"),),
        remark="The floor makes two round trips a message, so 0.55 of its wall time are 1.1.",
    ),
    Workload(
        "asyncio",
        "1 KB to 1 recipient, 1,000 messages on 50 connections, with coroutines",
        _compared(Task(connections=50, at_once=50, messages=20), (AIO, "aiosmtplib", OURS)),
        (Goal(0.6, "aiosmtplib", AIO), Goal(1.0, "aiosmtplib", AIO, "wall")),
        remark="Opening and closing the connections is included.",
    ),
    Workload(
        "ledger",
        "1 KB to 1 recipient, 200 messages on each of 50 connections, with the gate and a ledger",
        _compared(Task(connections=50, at_once=50, messages=200), (WITH_LEDGER, OURS)),
        remark="What the ledger costs is the difference.",
    ),
    Workload(
        "recipients-100",
        "1 KB to 100 recipients, 10 connections",
        _compared(Task(connections=10, at_once=10, messages=50, recipients=100), _ALL),
        (Goal(0.45, "nodemailer"),),
    ),
    Workload(
        "sessions",
        "connect, EHLO, one message, QUIT, 2,000 times, 50 at once",
        _compared(_SESSIONS, _ALL),
        (Goal(0.6, "nodemailer"),),
    ),
    Workload(
        "sessions-by-name",
        "the same with the name localhost, and with its address",
        (
            Entry("by name", OURS, replace(_SESSIONS, host="localhost")),
            Entry("by address", OURS, _SESSIONS),
            Entry("by name, in turn", OURS, replace(_IN_TURN, host="localhost")),
            Entry("by address, in turn", OURS, _IN_TURN),
        ),
        (
            Goal(1.2, "by address", "by name"),
            Goal(1.3, "by address, in turn", "by name, in turn"),
        ),
        remark="The system looks localhost up in a file: no name server is asked.",
    ),
    Workload(
        "sessions-starttls",
        "sessions with STARTTLS",
        _compared(replace(_SESSIONS, starttls=True), _without("floor", "smtp-source")),
        (Goal(1.0, "nodemailer"),),
        remark="Certificates are verified. Sessions that were resumed are counted by the server.",
    ),
    Workload(
        "sessions-resumed",
        "sessions with STARTTLS that take up TLS sessions again, and that do not",
        (
            Entry("resumed", OURS, replace(_SESSIONS, starttls=True)),
            Entry("full", OURS, replace(_SESSIONS, starttls=True, resume=False)),
        ),
        (Goal(0.86, "full", "resumed"),),
    ),
    Workload(
        "large-bytes",
        "20 MB from memory",
        _compared(_LARGE, _ALL),
        (Goal(0.3, "nodemailer"), Goal(1_000)),
        unit="MB",
        remark="The floor is a blocking loop of 48 KB pieces.",
    ),
    Workload(
        "large-file",
        "20 MB from a file",
        _compared(replace(_LARGE, from_file=True), _without("smtp-source")),
        (Goal(0.25, "nodemailer"), Goal(1_000)),
        unit="MB",
        remark="smtplib and aiosmtplib take no file: it is read for them. The floor sends memory.",
    ),
    Workload(
        "large-dots",
        "20 MB of text with dots and lone LFs",
        _compared(replace(_LARGE, dots=True), _without("smtp-source")),
        (Goal(0.25, "nodemailer"),),
        unit="MB",
        remark="The floor sends what has been encoded before.",
    ),
    Workload(
        "attachment",
        "a dict with a file of 200 MB attached, by its path",
        _compared(Task(size=200_000_000, attachment=True, warmup=0.0), (OURS, "nodemailer")),
        (
            Goal(0.5, "nodemailer"),
            Goal(16 * 1024, measure="memory"),
            Goal(50, measure="pause"),
        ),
        unit="MB",
        remark="Memory is what the process has grown by at its largest.",
    ),
    Workload(
        "idle-5000",
        "5,000 idle connections; opening them is what the CPU time is of",
        _compared(
            Task(
                connections=5_000,
                at_once=5_000,
                messages=0,
                together=True,
                idle=10.0,
                warmup=0.002,
            ),
            (OURS, "floor", "nodemailer", "aiosmtplib"),
        ),
        (Goal(8, measure="memory"), Goal(1, measure="load")),
        unit="connection",
        phase="open",
    ),
    Workload(
        "open-10000",
        "10,000 connections at once, one message each, opening and closing included",
        (
            *_compared(replace(_CROWD, together=True), (OURS, "floor", "nodemailer", "aiosmtplib")),
            Entry("50 at once", OURS, replace(_CROWD, at_once=50)),
        ),
        (Goal(1.5, "50 at once"),),
    ),
    Workload(
        "mail-10000",
        "the messages alone, of 10,000 connections that are all open",
        (
            Entry(OURS, OURS, replace(_CROWD, together=True)),
            Entry("50 connections", OURS, replace(_FIFTY, together=True)),
            Entry("floor", "floor", replace(_CROWD, together=True)),
            Entry("floor, 50", "floor", replace(_FIFTY, together=True)),
        ),
        (Goal(1.5, "50 connections"),),
        phase="mail",
        remark="The floor shows by how much the machine itself becomes slower.",
    ),
    Workload(
        "debug",
        "50 connections with debug on and one listener for each",
        (
            Entry("with debug", OURS, replace(_FIFTY, debug=True)),
            Entry("without", OURS, _FIFTY),
        ),
        (Goal(2.0, "without", "with debug"),),
    ),
    Workload(
        "queue-10000",
        "10,000 sends queued at once on one connection",
        (
            Entry("10,000 queued", OURS, replace(_QUEUE, queued=10_000)),
            Entry("1,000 queued", OURS, replace(_QUEUE, queued=1_000)),
        ),
        (Goal(1.2, "1,000 queued", "10,000 queued"),),
    ),
    *map(_pooled, (5, 20, 50)),
    Workload(
        "pool-queue",
        "a pool of 20 connections, which gets all messages at once, and 1,000 at a time",
        tuple(
            Entry(
                label,
                POOL,
                Task(20, 20, 1_000, queued),
                full=Task(20, 20, 5_000, 5 * queued if queued > 1_000 else queued),
            )
            for label, queued in (("all queued", 20_000), ("1,000 queued", 1_000))
        ),
        (Goal(1.2, "1,000 queued", "all queued"),),
        remark="All are 20,000, and 100,000 with --full.",
    ),
    Workload(
        "import",
        "importing the package, in a new interpreter",
        (
            Entry(OURS, "imports", Task(messages=20, modules="smtp_connection", warmup=0.0)),
            Entry(
                "ssl, selectors, pyee",
                "imports",
                Task(messages=20, modules="ssl, selectors, pyee", warmup=0.0),
            ),
        ),
        (Goal(1.5, "ssl, selectors, pyee"),),
        unit="import",
    ),
)


def _curve(tasks: Mapping[int, Task]) -> tuple[Entry, ...]:
    """Return the points of ours, and those of the floor: the machine has a curve of its own."""
    return tuple(
        Entry(f"{client}, {size:,}", client, task, size)
        for client in (OURS, "floor")
        for size, task in tasks.items()
    )


_SIZES = (1, 10, 100, 1_000, 10_000)


def _messages_of(size: int) -> int:
    """Return how many messages make a measurement long enough, at ``size`` units each."""
    return min(5_000, max(10, 100_000 // size))


_CURVES = (
    Workload(
        "curve-reply",
        "cost of a line against the lines in a reply",
        _curve({size: Task(messages=_messages_of(size), reply_lines=size) for size in _SIZES}),
        unit="line",
    ),
    Workload(
        "curve-recipients",
        "cost of a recipient against the recipients of a message",
        _curve(
            {
                size: Task(messages=_messages_of(size), recipients=size)
                for size in (*_SIZES, 100_000)
            }
        ),
        unit="recipient",
    ),
    Workload(
        "curve-queue",
        "cost of a message against those queued at once on one connection",
        _curve({size: replace(_QUEUE, queued=size) for size in _SIZES}),
    ),
    Workload(
        "curve-connections",
        "cost of a message against the connections that are open",
        _curve(
            {
                size: Task(size, size, 10_000 // size, together=True, warmup=0.02)
                for size in _SIZES[1:]
            }
        ),
        phase="mail",
    ),
)

WORKLOADS = {workload.name: workload for workload in (*_COMPARISONS, *_CURVES)}
"""By name."""
