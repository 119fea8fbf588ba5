"""How long an import takes in an interpreter that has just been started."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

from ..task import Task, write_report

_PROGRAM = """
import time
cpu, wall = time.process_time(), time.perf_counter()
import {modules}
print(time.process_time() - cpu, time.perf_counter() - wall)
"""


def _import_once(modules: str) -> tuple[float, float]:
    program = _PROGRAM.format(modules=modules)
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    cpu, wall = output.split()
    return float(cpu), float(wall)


def main() -> None:
    """Import what the task says, as often as it says, and once before that to warm up."""
    task = Task(**json.load(sys.stdin))
    _import_once(task.modules)
    times = [_import_once(task.modules) for _ in range(task.messages)]
    cpu, wall = (sum(each) for each in zip(*times, strict=True))
    phase = {"name": "import", "user": cpu, "system": 0.0, "wall": wall}
    write_report(task, f"Python {platform.python_version()}", [phase])


if __name__ == "__main__":
    main()
