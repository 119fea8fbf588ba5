"""Runs the entries of a workload in turn, round by round, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .clients import BENCH_EXTRA, CLIENTS, OURS, Client
from .processes import Cores, descriptor_limit, environment, explanation, spawned
from .servers import ServerFailed, Servers
from .task import HOST, Task
from .tools import Missing, Program, Tools
from .workloads import Entry, Workload

__all__ = ["BASELINE", "Bench", "Result", "Run"]

BASELINE = "baseline"
"""The name of the package in another checkout."""

_LINE = b"The quick brown fox jumps over the lazy dog, again and again."
_DESCRIPTORS_BESIDES = 50


@dataclass(frozen=True)
class Run:
    """What one client has used in one round."""

    phases: list[dict[str, Any]]
    memory: int | None
    version: str
    sent: int
    pause: float | None = None
    """The longest time, in seconds, in which nothing else went on; if that was measured."""
    counted: dict[str, int] = field(default_factory=dict)
    """What the server has seen, warming up included, if it counts."""

    def seconds(self, what: str, phase: str = "") -> float:
        """Return the CPU (``cpu``, ``user``, ``system``) or ``wall`` time of ``phase``, or all."""
        phases = [each for each in self.phases if not phase or each["name"] == phase]
        names = ("user", "system") if what == "cpu" else (what,)
        return sum(float(each[name]) for each in phases for name in names)


@dataclass
class Result:
    """A workload and what came of it: for each label one run for each round."""

    workload: Workload
    server: str
    """Its name; empty if there is none."""
    runs: dict[str, list[Run | None]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """The clients that are not there, and why."""


class RunFailed(Exception):
    """A client did not do what it was to do."""


class Bench:
    """All that runs need: a folder, the programs, the cores."""

    def __init__(
        self,
        folder: Path,
        tools: Tools,
        *,
        timeout: float,
        baseline: Path | None = None,
    ) -> None:
        """``timeout`` is for one run, seconds; ``baseline`` is another checkout to compare with."""
        self.cores = Cores.choose()
        self._folder = folder
        self._timeout = timeout
        root = str(Path(__file__).parent.parent.parent)
        self._path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # Byte code is kept, as an installation has it, but not in the checkout.
        self._env = {
            **environment(),
            "PYTHONPATH": self._path,
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        self.servers = Servers(tools, self.cores.server, self._env, str(folder))
        self.programs = {client.name: _find(client, tools) for client in CLIENTS.values()}
        """How to start each client, or why that cannot be done."""
        if baseline is not None:
            self.programs[BASELINE] = self._other_checkout(baseline)

    def _other_checkout(self, checkout: Path) -> Program | Missing:
        package = checkout.resolve() / OURS
        if not package.is_dir():
            return Missing(f"{checkout} has no folder {OURS}")
        # That package alone: the benchmarks are ours.
        folder = self._folder / BASELINE
        folder.mkdir()
        (folder / OURS).symlink_to(package)
        ours = self.programs[OURS]
        if isinstance(ours, Missing):
            return ours
        return Program(ours.command, {"PYTHONPATH": os.pathsep.join([str(folder), self._path])})

    def run(self, workload: Workload, rounds: int, tell: Callable[[str], None]) -> Result:
        """Run every entry ``rounds`` times, in turn; ``tell`` hears what is being done."""
        result = Result(workload, self.servers.choose([each.task for each in workload.entries]))
        entries = self._possible(workload, result)
        for number in range(rounds):
            # Whoever runs first in one round runs last in the next.
            start = number % max(1, len(entries))
            for entry in entries[start:] + entries[:start]:
                tell(f"{workload.name}, round {number + 1} of {rounds}: {entry.label}")
                run = None
                try:
                    run = self._run(entry, result.server)
                except (RunFailed, ServerFailed) as exc:
                    result.failures.append(f"{entry.label}, round {number + 1}: {exc}")
                result.runs.setdefault(entry.label, []).append(run)
        return result

    def _possible(self, workload: Workload, result: Result) -> list[Entry]:
        """Return the entries that can be run here; note in ``result`` why others cannot."""
        entries = []
        for entry in workload.entries:
            program = self.programs[entry.client]
            needed = entry.task.at_once + _DESCRIPTORS_BESIDES
            if isinstance(program, Missing):
                result.left_out[entry.label] = str(program)
            elif needed > descriptor_limit():
                result.left_out[entry.label] = (
                    f"it needs {needed} descriptors, and the hard limit is {descriptor_limit()}"
                )
            elif entry.task.starttls and find_spec("trustme") is None:
                result.left_out[entry.label] = f"there is no trustme: {BENCH_EXTRA}"
            else:
                entries.append(entry)
        return entries

    def _run(self, entry: Entry, server_name: str) -> Run:
        task = entry.task
        if not server_name:
            return Run(**self._report(entry, task))
        crlf, lf = self._message_files(task)
        task = replace(task, message_file=crlf, lf_message_file=lf)
        if task.starttls:
            task = replace(task, ca_file=self._authority())
        with self.servers.running(server_name, task) as server:
            report = self._report(entry, replace(task, port=server.port))
        arrived = server.counted.get("messages", report["sent"])
        if arrived != report["sent"]:
            raise RunFailed(f"{arrived} of {report['sent']} messages have arrived")
        return Run(**report, counted=server.counted)

    def _report(self, entry: Entry, task: Task) -> dict[str, Any]:
        """Let the client carry out ``task``, and return what it reports."""
        program = self.programs[entry.client]
        assert isinstance(program, Program)
        env = {**self._env, **program.env}
        with spawned(
            program.command, core=self.cores.client, env=env, cwd=str(self._folder)
        ) as process:
            try:
                output, errors = process.communicate(task.as_json(), timeout=self._timeout)
            except subprocess.TimeoutExpired:
                raise RunFailed(f"no end after {self._timeout:g} s") from None
        if process.returncode != 0:
            raise RunFailed(f"it ended with {process.returncode}: {explanation(errors)}")
        report: dict[str, Any] = json.loads(output)
        return report

    def _message_files(self, task: Task) -> tuple[str, str]:
        """Return the files with the message of ``task``, as it is and with LF."""
        kind = "dots" if task.dots else "clean"
        names = [self._folder / f"{kind}-{task.size}.{each}" for each in ("eml", "lf.eml")]
        if not names[0].exists():
            message = _message(task)
            names[0].write_bytes(message)
            names[1].write_bytes(message.replace(b"\r\n", b"\n"))
        return str(names[0]), str(names[1])

    def _authority(self) -> str:
        """Return the file with the CA's certificate; see that the server has its own."""
        import trustme

        ca_file = self._folder / "ca.pem"
        if not ca_file.exists():
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(ca_file))
            server_file = self._folder / "server.pem"
            # Through an intermediate authority, like the certificates of public servers.
            certificate = authority.create_child_ca().issue_cert(HOST)
            certificate.private_key_and_cert_chain_pem.write_to_path(str(server_file))
            self.servers.certificate = str(server_file)
        return str(ca_file)


def _find(client: Client, tools: Tools) -> Program | Missing:
    try:
        return client.find(tools)
    except Missing as exc:
        return exc


def _message(task: Task) -> bytes:
    """Return a message of ``task.size`` bytes."""
    line_break = b"\n" if task.dots else b"\r\n"
    lines = [_LINE + line_break] * 4
    if task.dots:
        lines[3] = b"." + lines[3]
    head = line_break.join([b"Subject: a benchmark", b"", b""])
    block = b"".join(lines)
    text = (head + block * (task.size // len(block) + 1))[: task.size - len(line_break)]
    if text.endswith(b"\r"):
        text = text[:-1] + b"."  # half a line break would have to be mended by the clients
    return text + line_break
