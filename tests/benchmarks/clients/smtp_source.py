"""Postfix's smtp-source, a test program in C that knows no PIPELINING and looks at little.

Its path is the argument. It makes up its own message, of the same size.
"""

from __future__ import annotations

import resource
import subprocess
import sys

from ..task import CLIENT_NAME, HOST, SENDER, Stopwatch, Task, carry_out


def _perform(task: Task, message: bytes, watch: Stopwatch) -> None:
    command = [sys.argv[1], "-4", "-M", CLIENT_NAME, "-f", SENDER, "-t", "recipient@server.example"]
    command += ["-s", str(task.at_once), "-m", str(task.total), "-l", str(task.size)]
    command += ["-r", str(task.recipients)]
    if task.messages > 1:
        command.append("-d")
    subprocess.run([*command, f"inet:{HOST}:{task.port}"], check=True)


if __name__ == "__main__":
    carry_out(_perform, "Postfix", who=resource.RUSAGE_CHILDREN)
