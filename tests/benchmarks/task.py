"""What a client is asked to do and what it reports, one JSON document each way.

Every client is a program that reads a :class:`Task` from standard input, carries it out twice (a
short time to warm up, then all of it) and writes what the second time cost to standard output.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["CLIENT_NAME", "HOST", "SENDER", "Stopwatch", "Task", "carry_out", "write_report"]

HOST = "127.0.0.1"
SENDER = "sender@client.example"
CLIENT_NAME = "client.example"
"""How the clients introduce themselves in EHLO."""


@dataclass(frozen=True)
class Task:
    """Some connections, and some messages on each; the next message follows when one is sent.

    With ``together`` all connections are open before the first message goes out and none is closed
    before the last one is sent, and opening, sending and closing are measured apart.
    """

    connections: int = 1
    at_once: int = 1
    """How many of the connections are open at the same time."""
    messages: int = 1
    """On each connection."""
    queued: int = 1
    """How many messages are handed over at a time."""
    recipients: int = 1
    size: int = 1024
    dots: bool = False
    """Whether lines end with LF, and every fourth begins with a dot; else nothing is to be done."""
    from_file: bool = False
    attachment: bool = False
    """Whether the message is composed, with what would be the message as a file attached to it."""
    debug: bool = False
    rides: bool = True
    """Whether the next envelope may be sent behind a message, for clients that do so."""
    together: bool = False
    idle: float = 0.0
    """Seconds of silence once all connections are open."""
    warmup: float = 0.2
    """How much of the task is done before measuring, as a fraction."""
    host: str = HOST
    """What to look up, for clients that can be told."""
    modules: str = ""
    """For the measurement of imports: what to import."""

    # What the server does.
    pipelining: bool = True
    starttls: bool = False
    resume: bool = True
    """Whether TLS sessions may be taken up again, for clients that do so."""
    reply_lines: int = 1
    """The lines in the reply to a message."""
    latency: float = 0.0
    """Seconds that everything takes from the client to the server, or back."""

    # Filled in by the runner.
    port: int = 0
    message_file: str = ""
    lf_message_file: str = ""
    """The same message with LF at the ends of lines, for clients that need it so."""
    ca_file: str = ""

    @property
    def total(self) -> int:
        """All messages."""
        return self.connections * self.messages

    @property
    def recipient_list(self) -> list[str]:
        """The recipients of each message."""
        return [f"recipient{number}@server.example" for number in range(self.recipients)]

    def shortened(self) -> Task:
        """Return what is done to warm up."""
        if self.messages >= 10:
            return replace(self, messages=max(1, round(self.messages * self.warmup)))
        connections = max(1, round(self.connections * self.warmup))
        return replace(
            self,
            connections=connections,
            at_once=min(connections, self.at_once),
            idle=min(self.idle, 0.1),
        )

    def quick(self) -> Task:
        """Return the task in a size that only shows that everything works."""
        return replace(
            self,
            connections=min(self.connections, 10),
            at_once=min(self.at_once, 10),
            messages=min(self.messages, 10),
            queued=min(self.queued, 10),
            recipients=min(self.recipients, 10),
            reply_lines=min(self.reply_lines, 10),
            size=min(self.size, 100_000),
            idle=min(self.idle, 0.2),
        )

    def as_json(self) -> str:
        """Return the form in which a client gets it."""
        return json.dumps(asdict(self))


def _resident_bytes() -> int | None:
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return None  # not Linux
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Stopwatch:
    """Measures CPU and wall time, phase by phase, and the growth of memory.

    ``who`` is ``resource.RUSAGE_CHILDREN`` for a client that is a program of its own.
    """

    def __init__(self, task: Task, who: int = resource.RUSAGE_SELF) -> None:
        self._who = who
        self.phases: list[dict[str, Any]] = []
        self.memory: int | None = None
        """Bytes that the process has grown by."""
        self.pause: float | None = None
        """The longest time, in seconds, in which the client did one thing alone."""
        self._resident = _resident_bytes()
        self._name = "open" if task.together else "mail"
        self._start = self._now()

    def _now(self) -> tuple[float, float, float]:
        usage = resource.getrusage(self._who)
        return usage.ru_utime, usage.ru_stime, time.perf_counter()

    def stop(self) -> None:
        """End the phase."""
        user, system, wall = (
            end - start for end, start in zip(self._now(), self._start, strict=True)
        )
        self.phases.append({"name": self._name, "user": user, "system": system, "wall": wall})

    def phase(self, name: str) -> None:
        """End the phase, and begin the one called ``name``; the first one is called ``open`` if
        the task has its connections open together, else ``mail``."""
        self.stop()
        self._name = name
        self._start = self._now()

    def note_memory(self) -> None:
        """Note by how much the process has grown so far."""
        now = _resident_bytes()
        if now is not None and self._resident is not None:
            self.memory = now - self._resident

    def note_peak(self) -> None:
        """Note by how much the process had grown when it was largest."""
        if self._resident is not None:
            peak = resource.getrusage(self._who).ru_maxrss * 1024
            self.memory = peak - self._resident


def write_report(
    task: Task,
    version: str,
    phases: list[dict[str, Any]],
    memory: int | None = None,
    pause: float | None = None,
) -> None:
    """Write to standard output what was measured."""
    sent = task.total + (task.shortened().total if task.warmup else 0)
    report = {
        "phases": phases,
        "memory": memory,
        "pause": pause,
        "sent": sent,
        "version": version,
    }
    print(json.dumps(report), flush=True)


def carry_out(
    perform: Callable[[Task, bytes, Stopwatch], None],
    version: str,
    *,
    line_break: str = "\r\n",
    who: int = resource.RUSAGE_SELF,
) -> None:
    """Carry out the task on standard input with ``perform``, which gets the message as well."""
    task = Task(**json.load(sys.stdin))
    if line_break == "\n":
        task = replace(task, message_file=task.lf_message_file)
    message = b""
    if task.message_file and not task.attachment:
        message = Path(task.message_file).read_bytes()
    if task.warmup:
        shortened = task.shortened()
        perform(shortened, message, Stopwatch(shortened, who))
    gc.collect()
    watch = Stopwatch(task, who)
    perform(task, message, watch)
    watch.stop()
    write_report(task, version, watch.phases, watch.memory, watch.pause)
