"""What the clients talk to: Postfix's ``smtp-sink`` where it will do, else ``sink.py``."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .processes import explanation, spawned
from .task import HOST, Task
from .tools import Missing, Program, Tools

__all__ = ["SINK", "SMTP_SINK", "Server", "ServerFailed", "Servers"]

SMTP_SINK = "smtp-sink"
SINK = "sink.py"

_BACKLOG = 4096
_START_SECONDS = 20
_STOP_SECONDS = 20


class ServerFailed(Exception):
    """The server did not start, or died."""


@dataclass
class Server:
    """One that is running; after its end ``counted`` says what it has seen, if it counts."""

    port: int
    counted: dict[str, int] = field(default_factory=dict)


class Servers:
    """Starts servers, on ``core``."""

    def __init__(self, tools: Tools, core: int | None, env: dict[str, str], cwd: str) -> None:
        self._core = core
        self._env = env
        self._cwd = cwd
        self.certificate = ""
        """The file with certificate and key for STARTTLS."""
        self.missing = ""
        """Why there is no ``smtp-sink``."""
        self._smtp_sink: Program | None = None
        try:
            self._smtp_sink = tools.postfix(SMTP_SINK)
        except Missing as exc:
            self.missing = str(exc)

    def choose(self, tasks: list[Task]) -> str:
        """Return the name of the server for ``tasks``, one for all; empty if they need none."""
        if any(task.modules for task in tasks):
            return ""
        # smtp-sink knows neither TLS nor replies of more than one line.
        plain = not any(task.starttls or task.reply_lines > 1 for task in tasks)
        return SMTP_SINK if self._smtp_sink is not None and plain else SINK

    @contextmanager
    def running(self, name: str, task: Task) -> Iterator[Server]:
        """Run the server ``name``, as ``task`` needs it."""
        running = self._running_smtp_sink if name == SMTP_SINK else self._running_sink
        with running(task) as server:
            if not task.latency:
                yield server
                return
            with self._relay(server.port, task.latency) as port:
                direct, server.port = server.port, port
                yield server
                server.port = direct

    @contextmanager
    def _relay(self, port: int, latency: float) -> Iterator[int]:
        command = [sys.executable, "-m", f"{__package__}.relay", str(port), str(latency)]
        with spawned(command, core=self._core, env=self._env, cwd=self._cwd) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ServerFailed(f"relay.py did not start: {_last_words(process)}")
            yield int(line)

    @contextmanager
    def _running_sink(self, task: Task) -> Iterator[Server]:
        command = [sys.executable, "-m", f"{__package__}.sink"]
        command += ["--reply-lines", str(task.reply_lines)]
        if not task.pipelining:
            command.append("--no-pipelining")
        if task.starttls:
            command += ["--certificate", self.certificate]
        with spawned(command, core=self._core, env=self._env, cwd=self._cwd) as process:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port:
                raise ServerFailed(f"sink.py did not start: {_last_words(process)}")
            server = Server(int(port))
            yield server
            try:
                output, errors = process.communicate(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                raise ServerFailed("sink.py did not end") from None
            if process.returncode != 0:
                raise ServerFailed(f"sink.py died: {explanation(errors)}")
            server.counted = json.loads(output)

    @contextmanager
    def _running_smtp_sink(self, task: Task) -> Iterator[Server]:
        program = self._smtp_sink
        assert program is not None
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        # It takes 256 connections, and hangs up after 100 seconds, unless told otherwise.
        command = [*program.command, "-4", "-m", str(task.at_once + 100), "-t", "3600"]
        if os.getuid() == 0:
            command += ["-u", pwd.getpwuid(0).pw_name]  # root has to say so
        if not task.pipelining:
            command.append("-p")
        command += [f"inet:{HOST}:{port}", str(_BACKLOG)]
        env = {**self._env, **program.env}
        with spawned(command, core=self._core, env=env, cwd=self._cwd) as process:
            _wait_for(process, port)
            yield Server(port)
            if process.poll() is not None:
                raise ServerFailed(f"smtp-sink died: {_last_words(process)}")


def _last_words(process: subprocess.Popen[str]) -> str:
    try:
        _, errors = process.communicate(timeout=1)
    except subprocess.TimeoutExpired:
        return "it says nothing"
    return explanation(errors)


def _wait_for(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise ServerFailed(f"smtp-sink did not start: {_last_words(process)}")
