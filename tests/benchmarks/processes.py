"""Child processes: pinned to a core, with as many descriptors as may be, and never left behind."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Cores", "descriptor_limit", "environment", "explanation", "raise_on_signals", "spawned"]

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Cores:
    """The core for the client and the one for the server; ``None`` where nothing is pinned."""

    client: int | None = None
    server: int | None = None

    @classmethod
    def choose(cls) -> Cores:
        """Take the last two of the cores that there are: interrupts prefer the first."""
        if not hasattr(os, "sched_getaffinity"):
            return cls()
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[-1], cores[-2]) if len(cores) > 1 else cls()

    def describe(self) -> str:
        """Return a sentence for the report."""
        if self.client is None:
            return "Client and server are not pinned to cores: there is one, or no way to do it."
        return f"The client is pinned to core {self.client}, the server to core {self.server}."


def descriptor_limit() -> int:
    """Return how many descriptors a child can have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _preparation(core: int | None) -> Callable[[], None]:
    """Return what a child does before it becomes the program."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    hard = descriptor_limit()
    parent = os.getpid()

    def prepare() -> None:
        if libc is not None:
            # The last resort: this process may be killed without a chance to end its children.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
        if core is not None:
            os.sched_setaffinity(0, {core})
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return prepare


def environment() -> dict[str, str]:
    """Return our own environment without what changes how interpreters behave."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "NODE_"))
    }


@contextmanager
def spawned(
    command: list[str], *, core: int | None, env: Mapping[str, str], cwd: str
) -> Iterator[subprocess.Popen[str]]:
    """Run ``command`` with pipes, pinned to ``core``, and kill it and its children at the end."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_preparation(core),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # it has just ended
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        process.wait()


def explanation(errors: str) -> str:
    """Return the line of ``errors``, a program's last words, that says what went wrong."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*:", line)]
    return (telling or lines or ["it says nothing"])[-1]


def raise_on_signals() -> None:
    """Make SIGTERM and SIGHUP end the program as Ctrl-C does, so that children are ended too."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
